// A web server in Node that is started by socket activation: its socket is descriptor 3.
import { createServer } from "node:http";

const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = process.env;

createServer((_request, response) => {
  const own = LISTEN_PID === String(process.pid);
  response.end(JSON.stringify({ pid: process.pid, own, LISTEN_FDS, LISTEN_FDNAMES }));
}).listen({ fd: 3 });
