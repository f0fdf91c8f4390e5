/** A server of node with a handler of SIGTERM, as node's own documentation shows it. */
import { createServer } from "node:http";
import process from "node:process";

const server = createServer((request, answer) => {
  setTimeout(() => answer.end(`node ${process.pid}\n`), request.url === "/slow" ? 300 : 0);
});
const { port } = server.listen(Number(process.argv[2]), () => {
  console.log("listening", JSON.stringify(server.address()), server.listening);
}).address() as { port: number };
console.log("port", port);
process.on("SIGTERM", (name) => {
  console.log(name, "accepting:", server.listening);
  server.close(() => {
    console.log("closed");
    process.exit(0);
  });
});
