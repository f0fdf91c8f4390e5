/** Servers of node:net and its like that know nothing of their master. */
import { assertEquals } from "@std/assert";
import { createServer, Server } from "node:net";
import { chooseBackend } from "../../../src/server/backend/chosen.ts";
import { replaceNodeListen } from "../../../src/server/unchanged/node_listen.ts";
import { ProgramServices } from "../../../src/server/unchanged/services.ts";
import { within } from "../../support/wait.ts";
import { inetSocket } from "../service_sockets.ts";

Deno.test("a server of node keeps the close() that its program has given it before listen()", async () => {
  await chooseBackend();
  const { fd, port } = inetSocket(), { listen } = Server.prototype;
  const address = { kind: "inet", hostname: "127.0.0.1", port } as const;
  const services = new ProgramServices([{ name: "", address }], () => {});
  replaceNodeListen(services);
  try {
    const server = createServer(), close = server.close.bind(server);
    let calls = 0;
    server.close = (callback) => {
      calls++;
      return close(callback);
    };
    const listening = new Promise((resolve) => server.listen(port, () => resolve(true)));
    services.pass({ fd, type: "inet" });
    await within(listening, { what: "listening" });
    const closed = new Promise((resolve) => server.once("close", () => resolve(true)));
    server.close();
    await within(closed, { what: "the end of the server" });
    assertEquals(calls, 1);
  } finally {
    Server.prototype.listen = listen;
  }
});
