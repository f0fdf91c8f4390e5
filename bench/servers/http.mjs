// HTTP hello by node:http, alone or as a process of a cluster, in Node and in Deno.
import { createServer } from "node:http";
import process from "node:process";
import { PORT, sayReady } from "./ready.mjs";

const body = `hello from ${process.pid}\n`;
const server = createServer((_request, response) => response.end(body));
server.listen(PORT, "127.0.0.1", sayReady);

/** How long connections may take to end. */
const PATIENCE_MS = 3_000;

function stop() {
  server.close(() => process.exit(0));
  setTimeout(() => process.exit(0), PATIENCE_MS).unref();
}

// PM2 sends the signal, cluster.mjs the message.
process.on("SIGINT", stop);
process.on("message", (message) => message === "stop" && stop());
