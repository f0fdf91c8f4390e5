/** The file of the control socket, which other programs remove or have at the same path. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { ControlClient } from "../../src/control/client.ts";
import { controlAt, zcHere } from "../support/commands.ts";
import { Site } from "../support/master.ts";
import { TempDir } from "../support/temp.ts";
import { within } from "../support/wait.ts";

Deno.test("an upgrade leaves a socket of another program at the path of master-control alone", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const path = site.busySocket();
  const { ino } = Deno.statSync(path);
  const master = await site.start({ args: ["-master-control", path] });
  await master.logs(/no control socket, .*in use/);
  await master.upgrade();
  await master.logs(/no control socket, .*in use/, 2);
  assertEquals(Deno.statSync(path).ino, ino);
  (await Deno.connect({ transport: "unix", path })).close();
  await master.stop();
  assertEquals(Deno.statSync(path).ino, ino);
});

Deno.test("a reload opens the control socket anew if its file was removed, and an upgrade replaces it", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const master = await site.start(), path = `${site.pidFile}.sock`;
  using first = await ControlClient.connect(path);
  Deno.removeSync(path);
  const { code, err } = await zcHere(site, "status");
  assertEquals(code, 3);
  const remedy = `kill -HUP ${master.pid} makes a socket anew whose file was removed`;
  assertStringIncludes(err, `process ${master.pid} ("deno") holds the lock of ${site.pidFile}`);
  assertStringIncludes(err, remedy);
  await master.reload();
  await first.closed();
  const pid = async () => {
    using client = await controlAt(path);
    return (await client.request("hello")).pid;
  };
  assertEquals(await pid(), master.pid);
  await master.upgrade();
  assertEquals(await pid(), master.pid);
  await master.stop();
});

Deno.test("a reload opens the control socket and the status socket where that failed before", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const directory = site.dir.file("run");
  const paths = ["control", "status"].map((name) => `${directory}/${name}`);
  const args = ["-master-control", paths[0], "-master-status", paths[1]];
  const master = await site.start({ args });
  await master.logs(/no control socket, .*run.control/);
  await master.logs(/no status socket, .*run.status/);
  Deno.mkdirSync(directory);
  await master.reload();
  for (const path of paths) {
    using client = await controlAt(path);
    assertEquals((await client.request("hello")).pid, master.pid);
  }
  await master.stop();
  assertEquals([...Deno.readDirSync(directory)], []);
});

Deno.test("a reload moves the control socket where its settings say, and is answered where it was asked for", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const path = site.dir.file("control"), before = `${site.pidFile}.sock`;
  const master = await site.start();
  using client = await ControlClient.connect(before);
  site.write("all.gcf", { "master-control": path });
  assertEquals((await client.request("reload"))?.outcome, "committed");
  await within(client.closed(), { what: "the end of the former socket" });
  assertEquals(existsSync(before), false);
  using moved = await controlAt(path);
  assertEquals((await moved.request("hello")).pid, master.pid);
  site.write("all.gcf", { "master-control": "off" });
  assertEquals((await moved.request("reload"))?.outcome, "committed");
  await within(moved.closed(), { what: "the end of the control socket" });
  assertEquals([existsSync(path), existsSync(before)], [false, false]);
  site.remove("all.gcf");
  await master.reload();
  using last = await controlAt(before);
  assertEquals((await last.request("hello")).pid, master.pid);
  await master.stop();
});

Deno.test("the end of a listener that has not accepted a client is the end of its connection", async () => {
  using dir = new TempDir();
  const path = dir.file("sock");
  const listener = Deno.listen({ transport: "unix", path });
  using client = await ControlClient.connect(path);
  listener.close();
  await within(client.closed(), { what: "the end" });
});
