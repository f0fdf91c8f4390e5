/** Paths in directories of another user, who swaps files at the worst moment. */

import { assert, assertEquals } from "@std/assert";
import { bindDatagram } from "../../src/os/net/bound_datagram.ts";
import { closeFd } from "../../src/os/fd/descriptor.ts";
import { AT_FDCWD } from "../../src/os/ffi/constants.ts";
import { fileStatus } from "../../src/os/ffi/file_status.ts";
import { cString, libc } from "../../src/os/ffi/libc.ts";
import { openListener } from "../../src/os/net/open_listener.ts";
import { startFunction } from "../support/processes.ts";
import { replaceSockets, swapPipeAndLink } from "../support/swapping.ts";
import { TempDir } from "../support/temp.ts";
import { PATIENCE_MS } from "../support/wait.ts";

for (const kind of ["file", "named pipe"] as const) {
  Deno.test(`openListener() opens nothing but a named pipe, whatever is put in its place meanwhile: a link to a ${kind}`, async () => {
    using dir = new TempDir();
    const victim = dir.write("victim", "precious");
    if (kind === "named pipe") {
      Deno.removeSync(victim);
      assertEquals(libc().mkfifoat(AT_FDCWD, cString(victim), 0o600), 0);
    }
    const { ino: precious } = Deno.statSync(victim);
    await using attacker = await swapPipeAndLink(dir.file("pipe"), victim);
    const opened = { pipes: 0, others: 0, refused: 0 };
    for (let round = 0; round < 3_000 || opened.pipes === 0; round++) {
      try {
        const { fd } = openListener({ kind: "fifo", path: dir.file("pipe") });
        const { isFifo, ino } = fileStatus(fd, "pipe");
        if (isFifo && ino !== precious) opened.pipes++;
        else opened.others++;
        closeFd(fd);
      } catch {
        opened.refused++;
      }
    }
    await attacker.closeInput();
    await attacker.succeeds();
    assertEquals(opened.others, 0, JSON.stringify(opened));
  });
}

Deno.test("a named pipe in the place of a script, or of the pid file, is not waited for", async () => {
  using dir = new TempDir();
  await using child = startFunction(import.meta, async ([script, pidFile]) => {
    const { AT_FDCWD } = await import("../../src/os/ffi/constants.ts");
    const { cString, libc } = await import("../../src/os/ffi/libc.ts");
    const { PidFile } = await import("../../src/os/process/lock_file.ts");
    const { interpreterLine, isStartedByKernel } = await import(
      "../../src/os/process/program_lookup.ts"
    );
    const lock = PidFile.tryLock(pidFile)!;
    lock.write(Deno.pid);
    console.log(lock.readPid() === Deno.pid, interpreterLine(script));
    for (const path of [script, pidFile]) {
      Deno.removeSync(path);
      libc().mkfifoat(AT_FDCWD, cString(path), 0o600);
    }
    console.log(lock.readPid(), `${interpreterLine(script)}`, isStartedByKernel(script));
    Deno.exit(0);
  }, { arg: [dir.write("script", "#!/usr/bin/env deno\nmore\n"), dir.file("pid")] });
  assertEquals(await child.succeeds(), "true #!/usr/bin/env deno\nundefined  false\n");
});

Deno.test("bindDatagram() changes only the mode of its own socket", async () => {
  using dir = new TempDir();
  const victim = dir.write("victim", "precious"), path = dir.file("log.sock");
  Deno.chmodSync(victim, 0o600);
  await using attacker = await replaceSockets(path, victim);
  let replaced = 0;
  // On a busy machine the attacker seldom runs at the right moment.
  const untilMs = performance.now() + PATIENCE_MS;
  for (let round = 0; round < 300 || replaced === 0 && performance.now() < untilMs; round++) {
    try {
      closeFd(bindDatagram(path).fd);
    } catch {
      // The link is there already.
    }
    if (Deno.lstatSync(path).isSymlink) replaced++;
    Deno.removeSync(path);
    assertEquals(Deno.statSync(victim).mode! & 0o777, 0o600, `after ${round} sockets`);
    await new Promise((resolve) => setTimeout(resolve, round % 3));
  }
  await attacker.closeInput();
  await attacker.succeeds();
  assert(replaced > 0, "the attacker has never been in time");
});
