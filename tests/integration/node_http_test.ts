import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { HttpClient } from "../server/http_client.ts";
import { Site } from "../support/master.ts";
import { eventually } from "../support/wait.ts";

const SERVER = new URL("../support/servers/node_http.ts", import.meta.url).pathname;

for (const [name, args] of [["node:http", ""], ["Express", " --express"]]) {
  Deno.test(`serveNode() with ${name}: a reload loses no request, and the old process ends`, async () => {
    await using site = new Site();
    const port = site.port(), until = site.dir.file("until");
    site.write("node.cf", {
      "server-command": SERVER + args,
      "server-service": `127.0.0.1:${port}`,
      until,
    });
    const master = await site.start();
    const [old] = await master.serving("node.cf", 1);
    using idle = await HttpClient.connect(port);
    using busy = await HttpClient.connect(port);
    const first = await idle.get("/");
    assertEquals([first.status, first.body], [200, `${old} /`]);
    await busy.request("/slow");
    await master.logs(/slow/);
    await master.reload();
    await master.logs(/beforeSoftstop/);
    // Who has a connection is served once more, and told to close it.
    const last = await idle.get("/");
    assertEquals([last.body, last.headers.get("connection")], [`${old} /`, "close"]);
    using fresh = await HttpClient.connect(port);
    const { body } = await fresh.get("/");
    assertMatch(body, /^\d+ \/$/);
    assertNotEquals(body, `${old} /`);
    site.dir.write("until", "");
    assertEquals((await busy.answer()).body, `${old} /slow`);
    await eventually(() => !master.servers().some(({ pid }) => pid === old), {
      what: "the end of the old process",
      withinMs: 8_000,
    });
    await master.stop();
  });
}

Deno.test("serveNode() closes a connection that stays idle after the stop", async () => {
  await using site = new Site();
  const port = site.port();
  site.write("node.cf", { "server-command": SERVER, "server-service": `127.0.0.1:${port}` });
  const master = await site.start();
  await master.serving("node.cf", 1);
  using idle = await HttpClient.connect(port);
  await idle.get("/");
  const stopped = master.stop();
  await idle.ended();
  await stopped;
});
