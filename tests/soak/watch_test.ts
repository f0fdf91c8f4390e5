import { assert, assertEquals, assertMatch } from "@std/assert";
import { PidFile } from "../../src/os/process/lock_file.ts";
import { Watch } from "../../tools/soak/watch.ts";
import { TempDir } from "../support/temp.ts";
import { eventually } from "../support/wait.ts";

Deno.test("Watch sees a lock that nobody holds and a socket that is not there, and nothing else", async () => {
  using dir = new TempDir();
  const pidFile = dir.file("pid"), path = dir.file("socket");
  const lock = PidFile.tryLock(pidFile)!;
  using listener = Deno.listen({ transport: "unix", path });
  {
    using good = new Watch(pidFile, [path]);
    using missing = new Watch(pidFile, [path, dir.file("none")]);
    await eventually(() => missing.faults.length > 0, { what: "a fault" });
    assertMatch(missing.faults[0], /\/none was missing, \d+ times$/);
    assertEquals([good.faults, missing.faults.length], [[], 1]);
  }
  lock.release();
  using free = new Watch(pidFile, [path]);
  await eventually(() => free.faults.length > 0, { what: "a fault" });
  assertMatch(free.faults[0], /^the lock of the pid file could be had, \d+ times$/);
  assert(listener.addr.transport === "unix");
});
