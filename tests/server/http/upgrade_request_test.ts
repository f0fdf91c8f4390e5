import { assertEquals } from "@std/assert";
import { mayUpgrade } from "../../../src/server/http/upgrade_request.ts";
import { Http2Client } from "../http2_client.ts";
import { HttpClient } from "../http_client.ts";

Deno.test("mayUpgrade() tells the requests that may be upgraded, of each version of HTTP", async () => {
  const answer = (request: Request) => new Response(`${mayUpgrade(request)}`);
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, answer);
  const { port } = server.addr;
  using client = await HttpClient.connect(port);
  for (
    const [fields, expected] of [
      ["", false],
      ["Connection: Upgrade\r\n", false],
      ["Connection: Upgrade\r\nUpgrade: other\r\n", true],
      ["connection: upgrade\r\nUPGRADE: WebSocket\r\n", true],
    ] as const
  ) {
    await client.send(`GET / HTTP/1.1\r\nHost: test\r\n${fields}\r\n`);
    assertEquals((await client.answer()).body, `${expected}`, fields);
  }
  await using session = await Http2Client.connect(port, { tls: false });
  assertEquals(await session.ask("/", {}), "false");
});

Deno.test("mayUpgrade() takes any request of another kind for one that may be upgraded", () => {
  assertEquals(mayUpgrade(new Request("http://test/")), true);
  assertEquals(mayUpgrade({} as Request), true);
});
