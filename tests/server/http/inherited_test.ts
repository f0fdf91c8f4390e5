import { assertEquals, assertRejects } from "@std/assert";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { serveInherited } from "../../../src/server/http/inherited.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { HttpClient } from "../http_client.ts";
import { inetSocket } from "../service_sockets.ts";

const onError = () => new Response("failed", { status: 500 });

Deno.test("serveInherited() tries another port where the throw-away one is in use", async () => {
  const busy = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  // The port that it would take for this number.
  const fraction = (busy.addr.port - 32_768 + 0.5) / 28_232;
  const { random } = Math;
  await leavesNothingOpen(async () => {
    const { fd, addr, port } = inetSocket();
    const fractions = [fraction, fraction];
    Math.random = () => fractions.shift() ?? random();
    const handler = (request: Request) => new Response(request.url);
    const address = { kind: "inet", hostname: "127.0.0.1", port } as const;
    const server = serveInherited(fd, { address, handler, onError });
    Math.random = random;
    assertEquals([fractions.length, handler.length, "port" in addr], [0, 1, true]);
    {
      using client = await HttpClient.connect(port);
      await client.send("GET /path HTTP/1.1\r\n\r\n");
      assertEquals((await client.answer()).body, `http://localhost:${port}/path`);
    }
    await server.shutdown();
    closeFd(fd);
    await assertRejects(() => HttpClient.connect(port), Deno.errors.ConnectionRefused);
  });
  busy.close();
});
