/** No fault of a client ends a server without any permission, whichever way its services come to it. */
import { assertEquals, assertMatch } from "@std/assert";
import { HttpClient } from "../server/http_client.ts";
import { connectRaw } from "../server/raw_client.ts";
import { greeted } from "../support/client.ts";
import { Site } from "../support/master.ts";
import { within } from "../support/wait.ts";

const CONFINED = new URL("../support/servers/confined.ts", import.meta.url).pathname;

const encoder = new TextEncoder();

/** What clients send before they leave, or wait for an end. */
const FAULTS = [
  "",
  "GET / HTTP/1.1\r\nHo",
  "no request at all\r\n\r\n",
  "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
  "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
  "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
  "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3),
  "GET /fail HTTP/1.1\r\nHost: a\r\n\r\n",
];

function connect(target: number | string): Promise<Deno.Conn> {
  return typeof target === "number"
    ? Deno.connect({ hostname: "127.0.0.1", port: target })
    : Deno.connect({ transport: "unix", path: target });
}

Deno.test("a server without any permission survives every fault of its clients, and drains at once", async () => {
  await using site = new Site();
  const lines = site.port(), http = site.port(), path = site.socket("u"), web = site.socket("h");
  site.write("a.cf", {
    "server-command": CONFINED,
    "server-service": `127.0.0.1:${lines} ${path} http://127.0.0.1:${http} http://${web}`,
    "server-permissions": "none",
  });
  const master = await site.start();
  const [pid] = await master.serving("a.cf", 1);
  for (const target of [lines, path, http, web]) {
    for (const fault of FAULTS) {
      const leaving = await connect(target);
      await leaving.write(encoder.encode(fault));
      leaving.close();
      const ending = await connect(target);
      await ending.write(encoder.encode(fault));
      await ending.closeWrite();
      const room = new Uint8Array(64 * 1024);
      while (await within(ending.read(room), { what: `the end behind ${fault}` }) !== null);
      ending.close();
    }
    if (typeof target === "number") {
      for (let count = 0; count < 5; count++) connectRaw(target).reset();
    }
  }
  for (const target of [http, web]) {
    using client = await HttpClient.connect(target);
    assertEquals((await client.get("/x")).status, 200);
  }
  for (const target of [lines, path]) {
    using client = await greeted(target);
    assertMatch(client.greeting, new RegExp(`confined ${pid}`));
  }
  assertEquals(master.logged(/Uncaught|NotCapable|Requires/), 0, master.log);
  assertEquals(master.servers("a.cf").map((server) => server.pid), [pid]);
  // What those clients have left behind holds nothing.
  await master.reload();
  await master.logs(new RegExp(`reaped process ${pid}, which was draining`));
  await master.stop();
});
