import { assert, assertEquals } from "@std/assert";
import { systemSpawner } from "../../../src/os/process/spawn.ts";
import { findZombie, type Zombie } from "../../../src/os/process/waitid.ts";
import { PATIENCE_MS } from "../../support/wait.ts";

/** Looks without a turn of the event loop, in which the end would be asked for. */
function zombieOf(pid: number): Zombie | undefined {
  const deadline = performance.now() + PATIENCE_MS;
  let found: Zombie | undefined;
  while (found === undefined && performance.now() < deadline) found = findZombie(pid);
  return found;
}

for (
  const [script, status] of [
    ["exit 7", { code: 7, signal: null }],
    ["kill -KILL $$", { code: 137, signal: "SIGKILL" }],
  ] as const
) {
  Deno.test(`findZombie() tells how a child has ended (${script}), and leaves it to its parent`, async () => {
    const child = systemSpawner.spawn({ argv: ["/bin/sh", "-c", script], inherit: [] });
    const { pid } = child;
    assertEquals(zombieOf(pid), { pid, status });
    assertEquals(findZombie(pid), { pid, status });
    assertEquals(await child.exited, status);
    assertEquals(findZombie(pid), undefined, "it was reaped");
  });
}

Deno.test("findZombie() finds no child that runs, and no process that is none", async () => {
  const child = systemSpawner.spawn({ argv: ["/bin/sleep", "60"], inherit: [] });
  try {
    assertEquals(findZombie(child.pid), undefined);
    assertEquals(findZombie(Deno.ppid), undefined);
  } finally {
    child.kill("SIGKILL");
    assert((await child.exited).signal === "SIGKILL");
  }
});
