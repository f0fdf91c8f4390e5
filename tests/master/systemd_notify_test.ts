import { assert, assertEquals, assertMatch } from "@std/assert";
import { monotonicMicroseconds } from "../../src/os/net/notify_socket.ts";
import { SystemdNotify, type SystemdNotifyOptions } from "../../src/master/systemd_notify.ts";
import { FakeClock } from "../fakes/fake_clock.ts";
import { TestServiceManager } from "../support/service_manager.ts";
import { TempDir } from "../support/temp.ts";

const PID = 4711;

function managed(
  env: Record<string, string | undefined>,
  { clock = new FakeClock(), warn = unexpected, hasBeenReady }: Partial<SystemdNotifyOptions> = {},
): { manager: SystemdNotify; left: string[] } {
  const variables = new Map(
    Object.entries(env).flatMap(([name, value]) => value === undefined ? [] : [[name, value]]),
  );
  const manager = new SystemdNotify({ env: variables, pid: PID, clock, warn, hasBeenReady });
  return { manager, left: [...variables.keys()] };
}

function unexpected(text: string): void {
  throw new Error(`Cannot go on: warned of "${text}", expected no warning`);
}

Deno.test("SystemdNotify reports each step by sd_notify(3)", async () => {
  using dir = new TempDir();
  using receiver = new TestServiceManager(dir.file("notify"));
  const { manager } = managed({ NOTIFY_SOCKET: receiver.address });
  manager.ready("two\n  lines");
  assertEquals(await receiver.next(), { READY: "1", STATUS: "two; lines" });
  const before = monotonicMicroseconds();
  manager.reloading();
  const { RELOADING, MONOTONIC_USEC } = await receiver.next();
  assertEquals(RELOADING, "1");
  assert(BigInt(MONOTONIC_USEC) >= before && BigInt(MONOTONIC_USEC) <= monotonicMicroseconds());
  manager.replacedBy(4711);
  assertEquals(await receiver.next(), { MAINPID: "4711" });
  manager.stopping();
  assertEquals(await receiver.next(), { STOPPING: "1" });
});

Deno.test("SystemdNotify reports a long start, and no reload before its end", async () => {
  using dir = new TempDir();
  using receiver = new TestServiceManager(dir.file("notify"));
  const { manager } = managed({ NOTIFY_SOCKET: receiver.address });
  manager.starting("waiting", 30_000);
  const extended = { EXTEND_TIMEOUT_USEC: "30000000", STATUS: "waiting" };
  assertEquals(await receiver.next(), extended);
  manager.reloading();
  manager.reloaded("reloaded");
  assertEquals(await receiver.next(), { STATUS: "reloaded" });
  // The services of the new master are ready.
  manager.replacedBy(4711);
  assertEquals(await receiver.next(), { MAINPID: "4711", READY: "1" });
  const { manager: next } = managed({ NOTIFY_SOCKET: receiver.address }, { hasBeenReady: true });
  next.reloading();
  assertEquals((await receiver.next()).RELOADING, "1");
  next.reloaded("reloaded");
  assertEquals(await receiver.next(), { READY: "1", STATUS: "reloaded" });
  next.status("all is well");
  assertEquals(await receiver.next(), { STATUS: "all is well" });
});

Deno.test("SystemdNotify truncates a long status, so that the message arrives", async () => {
  using dir = new TempDir();
  using receiver = new TestServiceManager(dir.file("notify"));
  const { manager } = managed({ NOTIFY_SOCKET: receiver.address });
  // The status of a master with a thousand services, in characters of two bytes.
  manager.ready("ä".repeat(40_000));
  const { READY, STATUS } = await receiver.next();
  assertEquals([READY, STATUS], ["1", `${"ä".repeat(500)}…`]);
});

Deno.test("SystemdNotify reaches a socket in the abstract namespace", async () => {
  using receiver = new TestServiceManager(`@zc-${crypto.randomUUID()}`);
  const { manager } = managed({ NOTIFY_SOCKET: receiver.address });
  manager.stopping();
  assertEquals(await receiver.next(), { STOPPING: "1" });
});

Deno.test("SystemdNotify removes its variables from the environment, and keeps them for a new master", () => {
  const env = {
    NOTIFY_SOCKET: "/run/notify",
    WATCHDOG_USEC: "4178336",
    WATCHDOG_PID: `${PID}`,
    HOME: "/",
  };
  const { manager, left } = managed(env);
  assertEquals(left, ["HOME"]);
  assertEquals(manager.environment, { NOTIFY_SOCKET: "/run/notify", WATCHDOG_USEC: "4178336" });
});

Deno.test("SystemdNotify sends two heartbeats in the watchdog time, until it is closed", async () => {
  using dir = new TempDir();
  using receiver = new TestServiceManager(dir.file("notify"));
  for (const end of ["close", "replacedBy"] as const) {
    const clock = new FakeClock();
    const env = { NOTIFY_SOCKET: receiver.address, WATCHDOG_USEC: "3000000" };
    const { manager } = managed(env, { clock, hasBeenReady: true });
    manager.beat();
    for (let count = 0; count < 3; count++) {
      assertEquals(await receiver.next(), { WATCHDOG: "1" });
      assertEquals(clock.nextInMs, 1_500);
      clock.advance(1_500);
    }
    assertEquals(await receiver.next(), { WATCHDOG: "1" });
    manager[end](1);
    assertEquals(clock.pending, 0);
    if (end === "replacedBy") assertEquals(await receiver.next(), { MAINPID: "1" });
  }
});

Deno.test("SystemdNotify sends no heartbeats without a watchdog, or for another process", () => {
  for (
    const env of [
      { NOTIFY_SOCKET: "/run/notify" },
      { NOTIFY_SOCKET: "/run/notify", WATCHDOG_USEC: "soon" },
      { NOTIFY_SOCKET: "/run/notify", WATCHDOG_USEC: "3000000", WATCHDOG_PID: "1" },
      { WATCHDOG_USEC: "3000000" },
    ]
  ) {
    const clock = new FakeClock();
    managed(env, { clock }).manager.beat();
    assertEquals(clock.pending, 0);
  }
});

Deno.test("SystemdNotify sends nothing without a service manager", () => {
  for (const address of [undefined, ""]) {
    const { manager } = managed({ NOTIFY_SOCKET: address });
    manager.ready("listening");
    assertEquals(manager.environment, {});
  }
});

Deno.test("SystemdNotify warns of a service manager that can't be reached", () => {
  using dir = new TempDir();
  const found: string[] = [];
  for (const address of [dir.file("nobody"), "vsock:2:1234", `/${"x".repeat(200)}`]) {
    managed({ NOTIFY_SOCKET: address }, { warn: (text) => found.push(text) }).manager.stopping();
  }
  assertEquals(found.length, 3);
  assertMatch(found[0], /the service manager is not told: .*no such file or directory/);
  assertMatch(found[1], /Cannot notify "vsock:2:1234": not a unix socket/);
  assertMatch(found[2], /expected at most 10\d/);
});
