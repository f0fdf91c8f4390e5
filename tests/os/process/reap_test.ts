import { assertEquals } from "@std/assert";
import { adoptsOrphans } from "../../../src/os/process/reap.ts";
import { startFunction } from "../../support/processes.ts";

Deno.test("adoptsOrphans() is false for an ordinary process", () => {
  assertEquals(adoptsOrphans(), false);
});

Deno.test("reapOrphans() reaps the orphans that a process has got, and leaves each child to its parent", async () => {
  await using child = startFunction(import.meta, async () => {
    const { adoptsOrphans, reapOrphans } = await import("../../../src/os/process/reap.ts");
    const { libc } = await import("../../../src/os/ffi/libc.ts");
    const { systemSpawner } = await import("../../../src/os/process/spawn.ts");
    const { eventually } = await import("../../support/wait.ts");
    const PR_SET_CHILD_SUBREAPER = 36;
    libc().prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n);
    const zombies = () =>
      [...Deno.readDirSync("/proc")].filter(({ name }) => {
        try {
          const stat = /^\d+ \(.*\) Z (\d+)/.exec(Deno.readTextFileSync(`/proc/${name}/stat`));
          return Number(stat?.[1]) === Deno.pid;
        } catch {
          return false;
        }
      }).map(({ name }) => Number(name));
    // The shell ends at once, and leaves two processes without a parent.
    const leave = () =>
      systemSpawner.spawn({
        argv: ["/bin/sh", "-c", "sleep 0.1 & sleep 0.1 & exit 3"],
        inherit: [],
      });
    const before = await leave().exited;
    await eventually(() => zombies().length === 2, { what: "zombies" });
    const reaped: number[] = [];
    const stop = reapOrphans({ onReaped: (pid) => reaped.push(pid) });
    await eventually(() => reaped.length === 2, { what: "their end" });

    // In the midst of orphans each parent learns how its own child has ended.
    const own = Array.from({ length: 20 }, (_, index) => {
      leave();
      const argv = ["/bin/sh", "-c", `exit ${index}`];
      return index % 2 === 0
        ? systemSpawner.spawn({ argv, inherit: [] })
        : systemSpawner.spawnPlaced({ path: "/bin/sh", argv, fds: [] });
    });
    const codes = await Promise.all(own.map(async ({ exited }) => (await exited).code));
    await eventually(() => reaped.length === 42, { what: "the end of all orphans" });
    stop();
    console.log(JSON.stringify({
      adopts: adoptsOrphans(),
      before,
      codes,
      mistaken: own.filter(({ pid }) => reaped.includes(pid)).length,
      left: zombies().length,
    }));
  });
  assertEquals(JSON.parse(await child.succeeds(30_000)), {
    adopts: true,
    before: { code: 3, signal: null },
    codes: Array.from({ length: 20 }, (_, index) => index),
    mistaken: 0,
    left: 0,
  });
});

Deno.test("reapOrphans() sets no timer while there is nothing to reap", async () => {
  await using child = startFunction(import.meta, async () => {
    const { reapOrphans } = await import("../../../src/os/process/reap.ts");
    const { FakeClock } = await import("../../fakes/fake_clock.ts");
    const clock = new FakeClock();
    let callback = () => {};
    const signals = { on: (_: Deno.Signal, it: () => void) => (callback = it, () => {}) };
    const stop = reapOrphans({ clock, signals });
    clock.advance(1_000);
    const pending = [clock.pending];
    callback();
    callback();
    pending.push(clock.pending);
    clock.advance(1_000);
    pending.push(clock.pending);
    callback();
    stop();
    console.log(JSON.stringify([...pending, clock.pending]));
  });
  assertEquals(JSON.parse(await child.succeeds()), [0, 1, 0, 0]);
});

Deno.test("reapOrphans() reaps all orphans that have waited since the last look, however many", async () => {
  await using child = startFunction(import.meta, async () => {
    const { adoptOrphans, reapOrphans } = await import("../../../src/os/process/reap.ts");
    const { systemSpawner } = await import("../../../src/os/process/spawn.ts");
    const { FakeClock } = await import("../../fakes/fake_clock.ts");
    const { childrenOf } = await import("../../support/namespaces.ts");
    const { eventually } = await import("../../support/wait.ts");
    adoptOrphans();
    const count = 50, script = `for i in $(seq ${count}); do true & done`;
    await systemSpawner.spawn({ argv: ["/bin/sh", "-c", script], inherit: [] }).exited;
    const zombies = () => childrenOf(Deno.pid).filter(({ state }) => state === "Z").length;
    await eventually(() => zombies() === count, { what: "zombies" });
    const clock = new FakeClock();
    const stop = reapOrphans({ clock });
    const left = [100, 100].map((ms) => {
      clock.advance(ms);
      return zombies();
    });
    stop();
    console.log(JSON.stringify(left));
  });
  assertEquals(JSON.parse(await child.succeeds()), [50, 0]);
});
