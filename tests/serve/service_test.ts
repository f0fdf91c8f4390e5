import { assertEquals, assertRejects } from "@std/assert";
import { createServer } from "node:http";
import { ConfigError } from "../../src/config/errors.ts";
import type { FdType } from "../../src/server/common.ts";
import { connections, fifo, http, lines, nodeServer, type Service } from "../../serve.ts";

const ANSWER = () => new Response();
const CONNECTION = "host:port, or the path of a unix socket";
const PIPE = "a named pipe, fifo:PATH";

/** Services, each with addresses that it can't serve, and what it expects. */
const UNFIT: Readonly<Record<string, readonly [() => Service, readonly FdType[], string]>> = {
  http: [() => http(ANSWER), ["fifo"], CONNECTION],
  https: [() => http(ANSWER, { tls: true }), ["fifo", "unix"], "host:port"],
  connections: [() => connections(async () => {}), ["fifo"], CONNECTION],
  lines: [() => lines(async () => {}), ["fifo"], CONNECTION],
  nodeServer: [() => nodeServer(() => createServer()), ["fifo"], CONNECTION],
  fifo: [() => fifo(async () => {}), ["inet", "unix"], PIPE],
};

const WRITTEN = { inet: "host:port", unix: "the path of a unix socket", fifo: PIPE };

for (const [name, [make, types, expected]] of Object.entries(UNFIT)) {
  Deno.test(`${name}() refuses addresses that it can't serve, by the setting and the service`, async () => {
    for (const type of types) {
      const about = `${WRITTEN[type]} as its address, expected ${expected}`;
      const refusal = async (service: string) =>
        (await assertRejects(() => make().serve(service, -1, type), ConfigError)).message;
      assertEquals(await refusal("x"), `server-service: Cannot serve "x": ${about}`);
      assertEquals(
        await refusal(""),
        `server-service: Cannot serve "an address without a name": ${about}`,
      );
    }
  });
}
