import { assertEquals } from "@std/assert";
import { isHttp2 } from "../../../src/server/http/version.ts";
import { Http2Client } from "../http2_client.ts";
import { HttpClient } from "../http_client.ts";

Deno.test("isHttp2() tells the versions of HTTP from each other, whatever their fields are", async () => {
  for (const takesTime of [false, true]) {
    const answer = (request: Request) => {
      const text = `${isHttp2(request)}`;
      return takesTime ? Promise.resolve().then(() => new Response(text)) : new Response(text);
    };
    await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, answer);
    const { port } = server.addr;
    using client = await HttpClient.connect(port);
    for (
      const request of [
        "GET / HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nab",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
      ]
    ) {
      await client.send(request);
      assertEquals((await client.answer()).body, "false", request);
    }
    await using session = await Http2Client.connect(port, { tls: false });
    for (const headers of [{}, { host: "test" }] as Record<string, string>[]) {
      assertEquals(await session.ask("/", { headers }), "true");
    }
  }
});

Deno.test("isHttp2() goes by the host where the callers are unknown, and leaves stacks as they were", () => {
  const { stackTraceLimit } = Error;
  assertEquals(isHttp2(new Request("http://test/")), true);
  assertEquals(isHttp2(new Request("http://test/", { headers: { host: "test" } })), false);
  assertEquals(Error.stackTraceLimit, stackTraceLimit);
});
