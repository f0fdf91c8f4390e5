/** The status socket: who may use it, for what, and how little its clients can do to a master. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { ControlClient, ControlRequestError } from "../../src/control/client.ts";
import type { CommandName } from "../../src/control/messages.ts";
import { greeted } from "../support/client.ts";
import { Site } from "../support/master.ts";
import { eventually } from "../support/wait.ts";

/** A master with a status socket. */
async function started(site: Site) {
  const port = site.port(), path = site.dir.file("status.sock");
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start({ args: ["-master-status", path] });
  await master.serving("a.cf", 1);
  await eventually(() => existsSync(path), { what: "the status socket" });
  return { master, port, path };
}

Deno.test("the status socket shows status and events, and refuses every other command", async () => {
  await using site = new Site();
  const { master, port, path } = await started(site);
  assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
  using client = await ControlClient.connect(path);
  const { services: [{ id }], master: { pid } } = await client.request("status");
  assertEquals([id, pid, (await client.request("hello")).pid], ["a.cf", master.pid, master.pid]);
  const refused: [CommandName, Record<string, unknown>][] = [
    ["stop", {}],
    ["stop", { services: ["a.cf"] }],
    ["reload", { wait: false }],
    ["restart", { services: ["a.cf"] }],
    ["start", { services: ["a.cf"] }],
    ["scale", { service: "a.cf", count: 0 }],
    ["upgrade", {}],
    ["plan", {}],
    ["wait", {}],
    ["logs", { follow: true }],
  ];
  for (const [command, args] of refused) {
    const { failure } = await assertRejects(
      () => client.request(command, args as never),
      ControlRequestError,
    );
    assertEquals(failure.code, "read-only", command);
    assertStringIncludes(failure.message, "status socket");
  }
  using watching = await ControlClient.connect(path);
  const events = await watching.events();
  await master.reload();
  const { value } = await events.next();
  assertEquals(value?.type === "ready" || value?.type === "reload", true);
  (await greeted(port)).close();
  await master.stop();
  assert(!existsSync(path));
});

Deno.test("a flood on the status socket neither costs the control socket nor a client of the service", async () => {
  await using site = new Site();
  const { master, port, path } = await started(site);
  const line = (id: number) =>
    new TextEncoder().encode(`${JSON.stringify({ v: 1, id, do: "status" })}\n`.repeat(200));
  const flood: Deno.UnixConn[] = [];
  try {
    for (let index = 0; index < 100; index++) {
      const conn = await Deno.connect({ transport: "unix", path });
      flood.push(conn);
      // Nobody reads the answers.
      conn.write(line(index)).catch(() => {});
    }
    using operator = await ControlClient.connect(`${site.pidFile}.sock`);
    for (let count = 0; count < 10; count++) {
      assertEquals((await operator.request("status")).services.length, 1);
      (await greeted(port)).close();
    }
  } finally {
    for (const conn of flood) conn.close();
  }
  using client = await ControlClient.connect(path);
  assertEquals((await client.request("status")).services.length, 1);
  await master.stop();
});

Deno.test("the status socket is opened anew if its file was removed, and an upgrade replaces it", async () => {
  await using site = new Site();
  const { master, path } = await started(site);
  Deno.removeSync(path);
  await master.reload();
  const pid = async () => {
    using client = await ControlClient.connect(path);
    return (await client.request("hello")).pid;
  };
  assertEquals(await pid(), master.pid);
  await master.upgrade();
  await eventually(async () => await pid().catch(() => 0) === master.pid, { what: "the new one" });
  await master.stop();
  assert(!existsSync(path));
});
