// Line echo by node:net, alone or as a process of a cluster, in Node and in Deno.
import { createServer } from "node:net";
import process from "node:process";
import { PORT, sayReady } from "./ready.mjs";

const server = createServer({ noDelay: true }, (socket) => {
  socket.on("data", (data) => socket.write(data));
  socket.on("error", () => socket.destroy());
});
server.listen(PORT, "127.0.0.1", sayReady);

process.on("message", (message) => message === "stop" && server.close(() => process.exit(0)));
