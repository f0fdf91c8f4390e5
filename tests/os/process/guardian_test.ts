import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import {
  guardedSpawner,
  Guardian,
  GUARDIAN_NAME,
  type ProcessId,
  processIdOf,
} from "../../../src/os/process/guardian.ts";
import { systemSpawner } from "../../../src/os/process/spawn.ts";
import { FakeClock } from "../../fakes/fake_clock.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { descriptorsOf } from "../../support/proc.ts";
import { startFunction, type TestProcess } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";
import { eventually, within } from "../../support/wait.ts";

/** The longest time that a process may outlive its starter, in milliseconds: 2 s, and more on a busy machine. */
const OUTLIVE_MS = 10_000;
/** What it has to finish by itself. */
const GRACE_MS = 1_000;

const SLEEP = { argv: ["sleep", "60"], inherit: [] } as const;

/** Stands for a master that starts processes, each by its own way, and then waits to be killed. */
function startMaster(commands: readonly (readonly string[])[]): TestProcess {
  return startFunction(import.meta, async (commands) => {
    const { Guardian, guardedSpawner } = await import("../../../src/os/process/guardian.ts");
    const { systemSpawner } = await import("../../../src/os/process/spawn.ts");
    const { untilInputCloses } = await import("../../support/processes.ts");
    const guardian = new Guardian((error) => console.error(error));
    const spawner = guardedSpawner(systemSpawner, guardian);
    const pids = commands.map((argv, index) =>
      index % 2
        ? spawner.spawn({ argv, inherit: [] }).pid
        : spawner.spawnPlaced({ path: argv[0], argv, fds: [] }).pid
    );
    console.log("started", guardian.pid, ...pids);
    await untilInputCloses();
  }, { arg: commands });
}

/** The guardian and the processes that such a master has started. */
async function startedBy(master: TestProcess): Promise<ProcessId[]> {
  const [, pids] = await master.prints(/^started (.*)\n/m);
  return pids.split(" ").map((pid) => processIdOf(Number(pid))!);
}

/** Whether a process is running; a zombie is not. */
function isRunning({ pid, startTime }: ProcessId): boolean {
  try {
    return !/^State:\s*Z/m.test(Deno.readTextFileSync(`/proc/${pid}/status`)) &&
      processIdOf(pid)?.startTime === startTime;
  } catch {
    return false;
  }
}

/** Kills a master, and waits for the end of processes of its. */
async function outlived(master: TestProcess, processes: readonly ProcessId[]) {
  const startMs = performance.now();
  master.signal("SIGKILL");
  await eventually(() => !processes.some(isRunning), {
    what: `the end of ${processes.filter(isRunning).map(({ pid }) => pid)}`,
    withinMs: OUTLIVE_MS,
  });
  return performance.now() - startMs;
}

/** Fails unless a guardian was started with such processes, which it had to take over. */
async function assertTakesOver(guardian: Guardian, processes: readonly ProcessId[]) {
  // The kernel shows the arguments a moment after the start.
  const argv = await eventually(() => {
    const text = Deno.readTextFileSync(`/proc/${guardian.pid}/cmdline`);
    return text !== "" && text.split("\0").slice(0, -1);
  }, { what: "the arguments of the guardian" });
  assertEquals(
    argv.slice(argv.indexOf(GUARDIAN_NAME) + 1),
    processes.map(({ pid, startTime }) => `${pid}:${startTime}`),
  );
}

/** Runs a test with a guardian in this process, which must leave nothing. */
async function withGuardian(body: (guardian: Guardian) => Promise<void>): Promise<void> {
  await leavesNothingOpen(async () => {
    const guardian = new Guardian((error) => {
      throw error;
    });
    try {
      await body(guardian);
    } finally {
      await within(guardian.close(), { what: "the end of the guardian" });
    }
  });
}

Deno.test("Guardian kills processes that outlive its killed parent, whatever they do, and ends", async () => {
  const stubborn = "trap '' HUP TERM INT; exec sleep 60";
  await using master = startMaster([
    ["/bin/sleep", "60"],
    ["/bin/sleep", "60"],
    ["/bin/sh", "-c", stubborn],
    ["/bin/sh", "-c", stubborn],
    ["/bin/sleep", "60"],
  ]);
  const processes = await startedBy(master);
  Deno.kill(processes.at(-1)!.pid, "SIGSTOP");
  const elapsed = await outlived(master, processes);
  assert(elapsed > GRACE_MS, `nothing could be finished in ${elapsed} ms`);
});

Deno.test("Guardian kills processes whose names look like a part of their stat files", async () => {
  using dir = new TempDir();
  const names = ["a) R 1 (b", "with\nline) ends", "(", "* ? [x]"];
  const paths = names.map((name) => dir.file(name));
  for (const path of paths) Deno.copyFileSync("/bin/sleep", path);
  await using master = startMaster(paths.map((path) => [path, "60"]));
  const processes = await startedBy(master);
  assertEquals(
    processes.slice(1).map(({ pid }) => Deno.readTextFileSync(`/proc/${pid}/comm`)),
    names.map((name) => `${name}\n`),
  );
  await outlived(master, processes);
});

Deno.test("Guardian does not kill a process that has got the pid of another one", async () => {
  await using master = startFunction(import.meta, async () => {
    const { Guardian, processIdOf } = await import("../../../src/os/process/guardian.ts");
    const { systemSpawner } = await import("../../../src/os/process/spawn.ts");
    const { untilInputCloses } = await import("../../support/processes.ts");
    const guardian = new Guardian((error) => console.error(error));
    guardian.start();
    const pids = [1, 0, -1].map((delta) => {
      const { pid } = systemSpawner.spawn({ argv: ["sleep", "60"], inherit: [] });
      const startTime = String(Number(processIdOf(pid)!.startTime) + delta);
      guardian.add({ pid, startTime });
      return pid;
    });
    console.log("started", guardian.pid, ...pids);
    await untilInputCloses();
  });
  const [guardian, later, same, earlier] = await startedBy(master);
  try {
    await outlived(master, [guardian, same]);
    assert(isRunning(later) && isRunning(earlier), "another process was killed");
  } finally {
    for (const { pid } of [later, earlier].filter(isRunning)) Deno.kill(pid, "SIGKILL");
  }
});

Deno.test("Guardian outlives the signals that a terminal and a careless script send", async () => {
  await using master = startMaster([["/bin/sleep", "60"]]);
  const processes = await startedBy(master);
  for (const signal of ["SIGHUP", "SIGINT", "SIGTERM", "SIGQUIT", "SIGTSTP"] as const) {
    Deno.kill(processes[0].pid, signal);
  }
  await outlived(master, processes);
});

Deno.test("Guardian has its pipe, no output of its parent and nothing else, and hands on none", async () => {
  await using master = startMaster([["/bin/sleep", "60"], ["/bin/sleep", "60"]]);
  const [guardian, ...processes] = await startedBy(master);
  const found = descriptorsOf(guardian.pid);
  const pipe = found.get(0) ?? "none";
  assert(pipe.startsWith("pipe:"), pipe);
  assertEquals([found.get(1), found.get(2)], ["/dev/null", "/dev/null"]);
  for (const { pid } of processes) {
    assert(![...descriptorsOf(pid).values()].includes(pipe), "a process has its pipe");
  }
  assertEquals([...descriptorsOf(master.pid).values()].filter((it) => it === pipe).length, 1);
  await outlived(master, [guardian, ...processes]);
});

Deno.test("guardedSpawner() forgets a process that has ended, and starts one guardian for all", async () => {
  await withGuardian(async (guardian) => {
    const spawner = guardedSpawner(systemSpawner, guardian);
    assertEquals(guardian.pid, undefined);
    const first = spawner.spawn({ argv: ["true"], inherit: [] });
    const started = guardian.pid;
    assertNotEquals(started, undefined);
    const second = spawner.spawnPlaced({ path: "/bin/true", argv: ["true"], fds: [] });
    const third = spawner.spawn(SLEEP);
    const left = processIdOf(third.pid)!;
    await within(Promise.all([first.exited, second.exited]), { what: "their ends" });
    assertEquals(guardian.pid, started);
    Deno.kill(started!, "SIGKILL");
    await successorOf(guardian, started!);
    await assertTakesOver(guardian, [left]);
    third.kill("SIGKILL");
    await within(third.exited, { what: "the end of sleep" });
  });
});

/** Waits until a killed process was replaced. */
async function successorOf(guardian: Guardian, pid: number): Promise<number> {
  return await eventually(() => guardian.pid !== pid && guardian.pid, {
    what: "the next guardian",
  });
}

Deno.test("a killed Guardian is replaced at once, without a start, with the whole list", async () => {
  await using master = startFunction(import.meta, async () => {
    const { Guardian, guardedSpawner } = await import("../../../src/os/process/guardian.ts");
    const { systemSpawner } = await import("../../../src/os/process/spawn.ts");
    const { untilInputCloses } = await import("../../support/processes.ts");
    const { eventually } = await import("../../support/wait.ts");
    const guardian = new Guardian((error) => console.error(error));
    const spawner = guardedSpawner(systemSpawner, guardian);
    const sleep = () => spawner.spawn({ argv: ["sleep", "60"], inherit: [] }).pid;
    const pids = [sleep(), sleep()];
    for (let kills = 0; kills < 3; kills++) {
      const killed = guardian.pid!;
      Deno.kill(killed, "SIGKILL");
      const isNext = () => guardian.pid !== undefined && guardian.pid !== killed;
      await eventually(isNext, { what: "the next guardian" });
    }
    console.log("started", guardian.pid, ...pids);
    await untilInputCloses();
  });
  await outlived(master, await startedBy(master));
});

Deno.test("Guardian that ends again and again is started ever more rarely, and at once when it has lived", async () => {
  const clock = new FakeClock();
  const guardian = new Guardian((error) => {
    throw error;
  }, clock);
  // No process has that number.
  const nobody = { pid: 2 ** 22 + 1, startTime: "1" };
  guardian.start();
  guardian.add(nobody);
  const kill = async () => {
    const { pid } = guardian;
    Deno.kill(pid!, "SIGKILL");
    await eventually(() => guardian.pid !== pid, { what: "its end" });
    return clock.nextInMs;
  };
  assertEquals(await kill(), undefined);
  for (const waitMs of [10, 20, 40, 80, 160, 320, 640, 1_000, 1_000]) {
    assertEquals(await kill(), waitMs);
    clock.advance(waitMs);
  }
  clock.advance(1_000);
  assertEquals(await kill(), undefined);
  // Nothing is left to guard.
  assertEquals(await kill(), 10);
  guardian.remove(nobody);
  assertEquals(clock.pending, 0);
  guardian.start();
  await within(guardian.close(), { what: "the end of the guardian" });
});

Deno.test("Guardian that takes no more lines is replaced, and kills nothing at its end", async () => {
  await withGuardian(async (guardian) => {
    const spawner = guardedSpawner(systemSpawner, guardian);
    const child = spawner.spawn(SLEEP);
    const first = processIdOf(guardian.pid!)!;
    Deno.kill(first.pid, "SIGSTOP");
    const process = processIdOf(child.pid)!;
    while (guardian.pid === first.pid) guardian.add(process);
    await eventually(() => !isRunning(first), { what: "the end of the first guardian" });
    await assertTakesOver(guardian, [process]);
    assert(isRunning(process));
    child.kill("SIGKILL");
    await within(child.exited, { what: "the end of sleep" });
  });
});

Deno.test("Guardian.close() kills the listed processes, such as a process that was detached", async () => {
  await withGuardian(async (guardian) => {
    const child = guardedSpawner(systemSpawner, guardian).spawn(SLEEP);
    const process = processIdOf(guardian.pid!)!;
    await guardian.close();
    const status = await within(child.exited, { what: "its end", withinMs: OUTLIVE_MS });
    assertEquals(status.signal, "SIGKILL");
    await eventually(() => !isRunning(process), { what: "the end of the guardian" });
  });
});

Deno.test("Guardian.close() ends it at once if nothing is listed, and it can be started again", async () => {
  await withGuardian(async (guardian) => {
    for (let count = 0; count < 3; count++) {
      guardian.start();
      const process = processIdOf(guardian.pid!)!;
      await within(guardian.close(), { what: "its end", withinMs: GRACE_MS });
      assert(!isRunning(process));
      assertEquals(guardian.pid, undefined);
    }
  });
});

Deno.test("Guardian that can't be started is told of once, and processes are started all the same", async () => {
  await using process = startFunction(import.meta, async () => {
    const { Guardian, guardedSpawner } = await import("../../../src/os/process/guardian.ts");
    const { libc, unwrap } = await import("../../../src/os/ffi/libc.ts");
    const RLIMIT_NOFILE = 7;
    const [, hard] = /^Max open files +\d+ +(\d+)/m.exec(
      Deno.readTextFileSync("/proc/self/limits"),
    )!;
    const limitOpenFiles = (count: string) => {
      const limit = new Uint8Array(new BigUint64Array([BigInt(count), BigInt(hard)]).buffer);
      unwrap({ syscall: "setrlimit" }, () => libc().setrlimit(RLIMIT_NOFILE, limit));
    };
    const child = {
      pid: Deno.pid,
      exited: Promise.resolve({ code: 0, signal: null }),
      status: () => undefined,
      kill: () => {},
      unref: () => {},
    };
    const guardian = new Guardian((error) => console.log(String(error)));
    const spawner = guardedSpawner({ spawn: () => child, spawnPlaced: () => child }, guardian);
    const start = () => console.log(spawner.spawn({ argv: [], inherit: [] }).pid === child.pid);
    limitOpenFiles("3");
    start();
    start();
    limitOpenFiles(hard);
    start();
    console.log(typeof guardian.pid);
    await child.exited;
    await guardian.close();
  });
  const [error, ...rest] = (await process.succeeds()).trim().split("\n");
  assertMatch(error, /too many open files/);
  assertEquals(rest, ["true", "true", "true", "number"]);
});

Deno.test("guardedSpawner() removes a process as soon as its end is known", async () => {
  await using process = startFunction(import.meta, async () => {
    const { Guardian, guardedSpawner } = await import("../../../src/os/process/guardian.ts");
    const { systemSpawner } = await import("../../../src/os/process/spawn.ts");
    const real = systemSpawner.spawn({ argv: ["/bin/sleep", "60"], inherit: [] });
    // The runtime takes its time to tell.
    const slow = {
      ...real,
      exited: new Promise<never>(() => {}),
      status: () => ({ code: 0, signal: null }),
    };
    const guardian = new Guardian((error) => console.log(String(error)));
    const spawner = guardedSpawner({ spawn: () => slow, spawnPlaced: () => slow }, guardian);
    const child = spawner.spawn({ argv: [], inherit: [] });
    const { pid } = guardian;
    console.log(child.status());
    // With an empty list it ends at once, and is waited for.
    await guardian.close();
    try {
      console.log(Deno.readTextFileSync(`/proc/${pid}/stat`));
    } catch (error) {
      console.log(error instanceof Deno.errors.NotFound);
    }
    real.kill("SIGKILL");
    await real.exited;
  });
  assertEquals(await process.succeeds(), "{ code: 0, signal: null }\ntrue\n");
});
