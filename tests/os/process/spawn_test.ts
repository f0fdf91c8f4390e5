import { assertEquals, assertThrows } from "@std/assert";
import { setImmediate } from "node:timers";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { socketPair } from "../../../src/os/net/socket.ts";
import { systemSpawner } from "../../../src/os/process/spawn.ts";
import { flagsOf, leavesNothingOpen } from "../../support/descriptors.ts";
import { startFunction } from "../../support/processes.ts";
import { PATIENCE_MS, within } from "../../support/wait.ts";

Deno.test("systemSpawner.spawn() tells how a process ended", async () => {
  await leavesNothingOpen(async () => {
    const end = async (script: string) => {
      const { exited } = systemSpawner.spawn({ argv: ["sh", "-c", script], inherit: [] });
      return await within(exited, { what: "the end of a shell" });
    };
    assertEquals(await end("exit 0"), { code: 0, signal: null });
    assertEquals(await end("exit 78"), { code: 78, signal: null });
    assertEquals(await end("kill -SEGV $$"), { code: 139, signal: "SIGSEGV" });
  });
});

Deno.test("systemSpawner.spawn() gives a process 0, 1, 2 and the named descriptors, no others", async () => {
  await using parent = startFunction(import.meta, async () => {
    const { keepDescriptorsFromChildren } = await import("../../../src/os/fd/descriptor.ts");
    const { socketPair } = await import("../../../src/os/net/socket.ts");
    const { systemSpawner } = await import("../../../src/os/process/spawn.ts");
    const [one, two] = socketPair();
    // The one by which the shell looks is closed when it tests; wc shows that its input is empty.
    const script = 'for fd in /proc/$$/fd/*; do [ -L "$fd" ] && printf "${fd##*/} "; done; wc -c';
    const list = async (inherit: number[]) => {
      await systemSpawner.spawn({ argv: ["sh", "-c", script], inherit }).exited;
    };
    // The starter of the tests may have left some open.
    keepDescriptorsFromChildren();
    console.log(one, two);
    await list([two]);
    await list([]);
    await list([one, two]);
  });
  const [numbers, ...lists] = (await parent.succeeds()).trim().split("\n");
  const [one, two] = numbers.split(" ");
  const standard = ["0", "1", "2"];
  assertEquals(lists.map((list) => list.split(" ").toSorted()), [
    [...standard, two, "0"].toSorted(),
    [...standard, "0"].toSorted(),
    [...standard, one, two, "0"].toSorted(),
  ]);
});

Deno.test("systemSpawner.spawn() keeps the descriptors from the children that come later", async () => {
  await leavesNothingOpen(async () => {
    const [one, two] = socketPair();
    const { exited } = systemSpawner.spawn({ argv: ["true"], inherit: [one] });
    assertEquals(flagsOf(one).closeOnExec, true);
    await exited;
    assertThrows(
      () => systemSpawner.spawn({ argv: ["/nonexistent/program"], inherit: [two] }),
      Deno.errors.NotFound,
    );
    assertEquals(flagsOf(two).closeOnExec, true);
    closeFd(one);
    closeFd(two);
  });
});

Deno.test("ChildProcess.status() tells how a process has ended, before exited and ever after", async () => {
  const child = systemSpawner.spawn({ argv: ["/bin/sh", "-c", "read line; exit 7"], inherit: [] });
  let status = child.status();
  const deadline = performance.now() + PATIENCE_MS;
  while (status === undefined && performance.now() < deadline) status = child.status();
  const expected = { code: 7, signal: null };
  assertEquals(status, expected);
  assertEquals(await child.exited, expected);
  assertEquals(child.status(), expected);
});

Deno.test("ChildProcess.status() tells nothing of a process that runs", async () => {
  const child = systemSpawner.spawn({ argv: ["sleep", "60"], inherit: [] });
  assertEquals(child.status(), undefined);
  child.kill("SIGKILL");
  await child.exited;
});

Deno.test("ChildProcess.kill() throws at no moment around the end of a process", async () => {
  await leavesNothingOpen(async () => {
    for (let round = 0; round < 100; round++) {
      const child = systemSpawner.spawn({ argv: ["sleep", "60"], inherit: [] });
      let ended = false;
      child.exited.then(() => ended = true);
      while (!ended) {
        child.kill("SIGTERM");
        // Now within a turn of the event loop, now in the next one.
        await (round % 2 ? undefined : new Promise((resolve) => setTimeout(resolve, 0)));
        child.kill("SIGTERM");
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  });
});

Deno.test("ChildProcess.kill() sends a signal, and nothing once the process has ended", async () => {
  await leavesNothingOpen(async () => {
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const child = systemSpawner.spawn({ argv: ["sleep", "60"], inherit: [] });
      child.kill(signal);
      const status = await within(child.exited, { what: "the end of sleep" });
      assertEquals(status.signal, signal);
      child.kill(signal);
    }
  });
});
