/** A server of node that closes its idle connections at SIGTERM before itself, as SvelteKit's does. */
import { createServer } from "node:http";
import process from "node:process";

const server = createServer((_request, answer) => {
  answer.end(`${process.pid}\n`);
}).listen(3000);
process.on("SIGTERM", () => {
  server.closeIdleConnections();
  server.close(() => console.log("closed"));
  console.log("closes");
});
