import { assert, assertEquals, assertThrows } from "@std/assert";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { SysError } from "../../../src/os/ffi/errors.ts";
import { openListener } from "../../../src/os/net/open_listener.ts";
import { removeSocketFile } from "../../../src/os/net/socket_file.ts";
import { setFileAccess } from "../../../src/os/net/socket_file.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { startFunction } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";

const IS_ROOT = Deno.uid() === 0;
const OTHER = { uid: 54321, gid: 54322 };

function modeOf(path: string): string {
  return (Deno.lstatSync(path).mode! & 0o7777).toString(8);
}

for (const kind of ["unix", "fifo"] as const) {
  Deno.test(`openListener() gives a new ${kind} path the mode that is asked for, whatever the umask`, () =>
    leavesNothingOpen(() => {
      using dir = new TempDir();
      for (const [index, mode] of [0o600, 0o660, 0o666, 0o777, 0o040].entries()) {
        const path = dir.file(String(index));
        closeFd(openListener({ kind, path }, { mode }).fd);
        assertEquals(modeOf(path), mode.toString(8));
      }
    }));

  Deno.test(`openListener() gives a new ${kind} path the mode of the umask where only an owner is asked for`, () =>
    leavesNothingOpen(() => {
      using dir = new TempDir();
      const path = dir.file("s"), umask = Deno.umask(0o027);
      try {
        closeFd(openListener({ kind, path }, { uid: Deno.uid()! }).fd);
      } finally {
        Deno.umask(umask);
      }
      assertEquals(modeOf(path), kind === "unix" ? "750" : "640");
    }));

  Deno.test(`openListener() gives a new ${kind} path to an owner, or leaves nothing of it behind`, () =>
    leavesNothingOpen(() => {
      using dir = new TempDir();
      const path = dir.file("s");
      const open = () => openListener({ kind, path }, { mode: 0o660, ...OTHER });
      if (IS_ROOT) {
        closeFd(open().fd);
        const { uid, gid } = Deno.lstatSync(path);
        assertEquals([uid, gid, modeOf(path)], [OTHER.uid, OTHER.gid, "660"]);
      } else {
        const error = assertThrows(open, SysError, path);
        assertEquals([error.syscall, error.code], ["chown", "EPERM"]);
        assertEquals([...Deno.readDirSync(dir.path)], []);
      }
    }));
}

Deno.test("openListener() accepts no client before the file has its mode", async () => {
  using dir = new TempDir();
  Deno.chmodSync(dir.path, 0o777);
  const path = dir.file("s");
  await using other = startFunction(import.meta, async (path) => {
    const { becomeOrdinaryUser } = await import("../../support/privileges.ts");
    const { untilInputCloses } = await import("../../support/processes.ts");
    becomeOrdinaryUser();
    let isOver = false;
    const answers = new Map<string, number>();
    untilInputCloses().then(() => isOver = true);
    console.log("trying");
    for (let attempt = 0; !isOver; attempt++) {
      // Refusals come without a turn of the event loop, in which the end of the input would be seen.
      if (attempt % 50 === 0) await new Promise((resolve) => setTimeout(resolve));
      const answer = await Deno.connect({ transport: "unix", path }).then(
        (conn) => (conn.close(), "connected"),
        (error) => error.name,
      );
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
    }
    console.log(answers.has("PermissionDenied"), answers.get("connected"));
  }, { arg: path });
  assertEquals(await other.nextLine(), "trying");
  const umask = Deno.umask(0);
  try {
    // Enough for a window of some microseconds to be hit, where there is one.
    for (let round = 0; round < 500; round++) {
      const { fd, socketFile } = openListener({ kind: "unix", path }, { mode: 0 });
      await new Promise((resolve) => setTimeout(resolve, round % 3));
      removeSocketFile(socketFile!);
      closeFd(fd);
    }
  } finally {
    Deno.umask(umask);
  }
  await other.closeInput();
  assertEquals(await other.succeeds(), "trying\ntrue undefined\n");
});

Deno.test("openListener() leaves a named pipe as it is that was there before", () =>
  leavesNothingOpen(() => {
    using dir = new TempDir();
    const path = dir.file("pipe");
    closeFd(openListener({ kind: "fifo", path }, { mode: 0o600 }).fd);
    closeFd(openListener({ kind: "fifo", path }, { mode: 0o666 }).fd);
    assertEquals(modeOf(path), "600");
  }));

Deno.test("setFileAccess() does not change another file that has taken the path, a link included", () =>
  leavesNothingOpen(() => {
    using dir = new TempDir();
    const path = dir.file("s"), victim = dir.write("victim", "precious");
    const { fd, socketFile } = openListener({ kind: "unix", path });
    assert(socketFile !== undefined);
    Deno.chmodSync(victim, 0o600);
    const change = () => setFileAccess(socketFile, { mode: 0o666 });
    Deno.removeSync(path);
    assertEquals(assertThrows(change, SysError).code, "ENOENT");
    Deno.symlinkSync(victim, path);
    assertThrows(change, Error, "another file is there by now");
    Deno.removeSync(path);
    Deno.linkSync(victim, path);
    assertThrows(change, Error, "another file is there by now");
    assertEquals(modeOf(victim), "600");
    closeFd(fd);
  }));

Deno.test("setFileAccess() gives the new owner no more than the new mode, and the old owner no more than the old one", async () => {
  using dir = new TempDir();
  const path = dir.file("s");
  const { fd, socketFile } = openListener({ kind: "unix", path }, { mode: 0o660 });
  const { gid } = Deno.lstatSync(path);
  // An ordinary user may have one group only.
  const next = { mode: 0o606, gid: IS_ROOT ? OTHER.gid : gid! };
  await using watcher = startFunction(import.meta, async (path) => {
    const { untilInputCloses } = await import("../../support/processes.ts");
    let isOver = false;
    untilInputCloses().then(() => isOver = true);
    const seen = new Set<string>();
    let before: string | undefined;
    console.log("watching");
    for (let round = 0; !isOver; round++) {
      if (round % 1_000 === 0) await new Promise((resolve) => setTimeout(resolve));
      const { gid, mode } = Deno.lstatSync(path);
      const found = `${gid} ${(mode! & 0o7777).toString(8)}`;
      // The kernel reads mode and group one after the other, so what one look alone finds may never have been.
      if (found === before) seen.add(found);
      before = found;
    }
    console.log(JSON.stringify([...seen]));
    Deno.exit(0);
  }, { arg: path });
  assertEquals(await watcher.nextLine(), "watching");
  for (let round = 0; round < 3_000; round++) {
    setFileAccess(socketFile!, next);
    setFileAccess(socketFile!, { mode: 0o660, gid: gid! });
  }
  await watcher.closeInput();
  const [, seen] = (await watcher.succeeds()).trim().split("\n");
  const allowed = [`${gid} 660`, `${gid} 600`, `${next.gid} 600`, `${next.gid} 606`];
  assertEquals(JSON.parse(seen).filter((found: string) => !allowed.includes(found)), []);
  closeFd(fd);
});

Deno.test("setFileAccess() as an ordinary user gives a socket to no other user", async () => {
  using dir = new TempDir();
  Deno.chmodSync(dir.path, 0o777);
  await using child = startFunction(import.meta, async (path) => {
    const { openListener } = await import("../../../src/os/net/open_listener.ts");
    const { becomeOrdinaryUser } = await import("../../support/privileges.ts");
    becomeOrdinaryUser();
    try {
      openListener({ kind: "unix", path }, { uid: 0 });
    } catch (error) {
      console.log((error as Error).message);
    }
  }, { arg: dir.file("s") });
  assertEquals(
    await child.succeeds(),
    `chown "${dir.file("s")}": operation not permitted (EPERM)\n`,
  );
  assertEquals([...Deno.readDirSync(dir.path)], []);
});
