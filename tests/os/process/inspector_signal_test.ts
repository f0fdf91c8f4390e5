import { assert, assertEquals } from "@std/assert";
import { hasSignal } from "../../support/credentials.ts";
import { giveTimeToOpen, startWitness, untilGrownUp } from "../../support/inspector.ts";
import { listeningSockets } from "../../support/proc.ts";
import { startFunction } from "../../support/processes.ts";

const SIGUSR1 = 10;

Deno.test("keepInspectorClosed() lets SIGUSR1 do nothing, from its first moment on", async () => {
  await using child = startFunction(import.meta, async () => {
    const { keepInspectorClosed } = await import("../../../src/os/process/inspector_signal.ts");
    const { untilInputCloses } = await import("../../support/processes.ts");
    keepInspectorClosed();
    // What a program does of its own accord with the signal must not bring it back.
    const listener = () => {};
    Deno.addSignalListener("SIGUSR1", listener);
    Deno.removeSignalListener("SIGUSR1", listener);
    console.log("here");
    await untilInputCloses();
    console.log("there");
    Deno.exit(0);
  });
  await child.nextLine();
  await untilGrownUp([child.pid], () => child.signal("SIGUSR1"));
  await using witness = startWitness();
  await giveTimeToOpen(witness, () => {
    for (let round = 0; round < 100; round++) child.signal("SIGUSR1");
  });
  assertEquals(listeningSockets(child.pid), []);
  await child.closeInput();
  assertEquals(await child.nextLine(), "there");
  assertEquals((await child.ended()).stderr, "");
});

Deno.test("keepInspectorClosed() leaves the signal to the programs that are started", async () => {
  await using child = startFunction(import.meta, async () => {
    const { keepInspectorClosed } = await import("../../../src/os/process/inspector_signal.ts");
    const { spawn } = await import("node:child_process");
    keepInspectorClosed();
    const script = "kill -USR1 $$; echo survived";
    const { signal } = await new Deno.Command("sh", { args: ["-c", script] }).output();
    console.log(signal);
    const node = Promise.withResolvers<string | null>();
    spawn("sh", ["-c", script]).on("exit", (_code, signal) => node.resolve(signal));
    console.log(await node.promise);
  });
  assertEquals(await child.succeeds(), "SIGUSR1\nSIGUSR1\n");
});

Deno.test("onInspectorSignal() calls back, once for all that have come, and listens nowhere", async () => {
  await using child = startFunction(import.meta, async () => {
    const { keepInspectorClosed, onInspectorSignal } = await import(
      "../../../src/os/process/inspector_signal.ts"
    );
    const { Poller } = await import("../../../src/os/fd/poller.ts");
    const { untilInputCloses } = await import("../../support/processes.ts");
    keepInspectorClosed();
    const poller = new Poller((error) => console.log(error));
    const stop = onInspectorSignal(poller, () => console.log("signal"));
    console.log("here");
    await untilInputCloses();
    stop();
    Deno.kill(Deno.pid, "SIGUSR1");
    console.log("stopped");
  });
  assertEquals(await child.nextLine(), "here");
  child.signal("SIGUSR1");
  assertEquals(await child.nextLine(), "signal");
  await untilGrownUp([child.pid], () => child.signal("SIGUSR1"));
  await using witness = startWitness();
  // However many come, and on whichever thread.
  await giveTimeToOpen(witness, () => {
    for (let round = 0; round < 2_000; round++) child.signal("SIGUSR1");
  });
  assertEquals(await child.nextLine(), "signal");
  assertEquals(listeningSockets(child.pid), []);
  await child.closeInput();
  const { code, stdout, stderr } = await child.ended();
  assertEquals([code, stderr, stdout.split("\n").at(-2)], [0, "", "stopped"]);
});

Deno.test("withInspectorSignalBlocked() starts a process that the signal does not reach", async () => {
  await using parent = startFunction(import.meta, async () => {
    const { systemSpawner } = await import("../../../src/os/process/spawn.ts");
    const { untilInputCloses } = await import("../../support/processes.ts");
    const argv = [Deno.execPath(), "eval", "await new Promise(() => setInterval(() => {}, 1000))"];
    const request = { argv, inherit: [], blocksInspectorSignal: true };
    const placed = { path: argv[0], argv, fds: [], blocksInspectorSignal: true };
    const children = [
      systemSpawner.spawn(request),
      systemSpawner.spawnPlaced(placed),
      systemSpawner.spawn({ ...request, blocksInspectorSignal: false }),
    ];
    for (const { pid } of children.slice(0, 2)) Deno.kill(pid, "SIGUSR1");
    console.log(children.map(({ pid }) => pid).join());
    await untilInputCloses();
    for (const child of children) child.kill("SIGKILL");
    console.log(
      (await Promise.all(children.map(({ exited }) => exited))).map((e) => e.signal).join(),
    );
    Deno.exit(0);
  });
  const pids = (await parent.nextLine()).split(",").map(Number);
  const signal = () => pids.slice(0, 2).forEach((pid) => Deno.kill(pid, "SIGUSR1"));
  await untilGrownUp(pids, signal);
  await using witness = startWitness();
  await giveTimeToOpen(witness, signal);
  assertEquals(pids.map((pid) => hasSignal(pid, "SigBlk", SIGUSR1)), [true, true, false]);
  assertEquals(pids.map(listeningSockets), [[], [], []]);
  assert(!hasSignal(parent.pid, "SigBlk", SIGUSR1), "the one who starts them is blocked itself");
  await parent.closeInput();
  assertEquals(await parent.nextLine(), "SIGKILL,SIGKILL,SIGKILL");
});
