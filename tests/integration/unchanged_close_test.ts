import { assertEquals } from "@std/assert";
import { HttpClient } from "../server/http_client.ts";
import { Site } from "../support/master.ts";

Deno.test("a program that closes its idle connections at SIGTERM answers once more on each of them", async () => {
  await using site = new Site();
  const port = site.port();
  site.write("closing.cf", {
    "server-command": site.server("unchanged/closing_idle"),
    "server-service": `127.0.0.1:${port}`,
    "server-protocol": "deno",
  });
  const master = await site.start();
  await master.logs(/all services are ready/);
  using idle = await HttpClient.connect(port);
  const { body } = await idle.get("/");
  await master.reloadBegun();
  await master.logs(/\] closes\n/);
  const last = await idle.get("/");
  assertEquals([last.status, last.body, last.headers.get("connection")], [200, body, "close"]);
  await master.logs(/\] closed\n/);
  using fresh = await HttpClient.connect(port);
  assertEquals((await fresh.get("/")).status, 200);
  await master.stop();
});
