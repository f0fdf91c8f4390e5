import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { SysError } from "../../../src/os/ffi/errors.ts";
import { PidFile } from "../../../src/os/process/lock_file.ts";
import { flagsOf, leavesNothingOpen } from "../../support/descriptors.ts";
import { openDescriptors } from "../../../src/os/fd/descriptor.ts";
import { leaveOut } from "../../support/left_out.ts";
import { giveLinkAway, NOBODY } from "../../support/privileges.ts";
import { pidText } from "../../support/master.ts";
import { startFunction, TestProcess } from "../../support/processes.ts";
import { plainPython } from "../../support/python.ts";
import { TempDir } from "../../support/temp.ts";

/** Holds the lock in a process of its own until its input is closed. */
function startHolder(path: string): TestProcess {
  return startFunction(import.meta, async (path) => {
    const { PidFile } = await import("../../../src/os/process/lock_file.ts");
    const { untilInputCloses } = await import("../../support/processes.ts");
    const lock = PidFile.tryLock(path);
    lock?.write(Deno.pid);
    console.log(lock === undefined ? "refused" : "held");
    await untilInputCloses();
    lock?.release();
    console.log("released");
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  }, { arg: path });
}

function isFree(path: string): boolean {
  const lock = PidFile.tryLock(path);
  lock?.release();
  return lock !== undefined;
}

Deno.test("PidFile.tryLock() makes the file accessible only to its owner, close-on-exec", async () => {
  using temp = new TempDir();
  await leavesNothingOpen(() => {
    const path = temp.file("pid");
    const lock = PidFile.tryLock(path);
    assert(lock !== undefined);
    assertEquals(lock.path, path);
    assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
    const [fd] = [...openDescriptors()].find(([, target]) => target === path)!;
    assert(flagsOf(fd).closeOnExec);
    lock.release();
  });
});

Deno.test("PidFile.tryLock() gives nothing while another process holds the lock", async () => {
  using temp = new TempDir();
  const path = temp.file("pid");
  await using holder = startHolder(path);
  assertEquals(await holder.nextLine(), "held");
  await leavesNothingOpen(() => {
    assertEquals(PidFile.tryLock(path), undefined);
  });
  // Nor has the attempt touched what the holder wrote.
  assertEquals(Deno.readTextFileSync(path), pidText(holder.pid));

  await using second = startHolder(path);
  assertEquals(await second.nextLine(), "refused");
});

Deno.test("PidFile.release() frees the lock while its process goes on, twice is harmless", async () => {
  using temp = new TempDir();
  const path = temp.file("pid");
  await using holder = startHolder(path);
  assertEquals(await holder.nextLine(), "held");
  await holder.closeInput();
  assertEquals(await holder.nextLine(), "released");
  assert(isFree(path));

  const lock = PidFile.tryLock(path);
  lock?.release();
  const other = PidFile.tryLock(path);
  // Must not close the descriptor that may have got the same number.
  lock?.release();
  assertEquals(isFree(path), false);
  other?.release();
});

Deno.test("PidFile.tryLock() has the lock of a holder that was killed", async () => {
  using temp = new TempDir();
  const path = temp.file("pid");
  await using holder = startHolder(path);
  assertEquals(await holder.nextLine(), "held");
  assertEquals(isFree(path), false);
  holder.signal("SIGKILL");
  await holder.ended();
  assert(isFree(path));
});

Deno.test("PidFile.tryLock() and Deno.FsFile.lock() exclude each other", async () => {
  using temp = new TempDir();
  const path = temp.file("pid");
  await using other = startFunction(import.meta, async (path) => {
    const file = await Deno.open(path, { create: true, write: true });
    await file.lock(true);
    console.log("locked");
    await Deno.stdin.read(new Uint8Array(1));
    await file.unlock();
    console.log("unlocked");
    await Deno.stdin.read(new Uint8Array(1));
    console.log("wants");
    await file.lock(true);
    console.log("has");
  }, { arg: path });
  assertEquals(await other.nextLine(), "locked");
  assertEquals(isFree(path), false);
  await other.write("1");
  assertEquals(await other.nextLine(), "unlocked");

  const lock = PidFile.tryLock(path);
  assert(lock !== undefined);
  await other.write("2");
  assertEquals(await other.nextLine(), "wants");
  lock.release();
  assertEquals(await other.nextLine(), "has");
  await other.succeeds();
  assert(isFree(path));
});

Deno.test("PidFile.write() overwrites older content, and writes a number that a shell and LIB-ZC can read", () => {
  using temp = new TempDir();
  const path = temp.write("pid", "1234567890\nfrom another program\n");
  const lock = PidFile.tryLock(path);
  assertEquals(Deno.readTextFileSync(path).length, 32, "locking alone changes nothing");
  for (const pid of [1, 4_194_304, 12]) {
    lock?.write(pid);
    assertEquals(Deno.readTextFileSync(path), pidText(pid));
    assertEquals(Deno.statSync(path).size, 10);
    for (const command of ["cat", "head -n 1"]) {
      const script = `echo "/proc/$(${command} "$0")/fd"`;
      const { stdout } = new Deno.Command("sh", { args: ["-c", script, path] }).outputSync();
      assertEquals(new TextDecoder().decode(stdout), `/proc/${pid}/fd\n`, command);
    }
  }
  lock?.release();
});

Deno.test("PidFile.isAt() finds the file at a path that is not UTF-8", () => {
  using temp = new TempDir();
  const path = temp.file("\udcb0"), lock = PidFile.tryLock(path);
  assert(lock !== undefined);
  assertEquals([lock.isAt(path), lock.isAt(temp.file("\udcb1"))], [true, false]);
  lock.release();
});

Deno.test("PidFile.release() leaves the file in place", () => {
  using temp = new TempDir();
  const path = temp.file("pid");
  const lock = PidFile.tryLock(path);
  const { ino } = Deno.statSync(path);
  lock?.write(7);
  lock?.release();
  assertEquals(Deno.statSync(path).ino, ino);
  assertEquals(Deno.readTextFileSync(path), pidText(7));
});

Deno.test("PidFile.tryLock() says which file it can't open, and why", async () => {
  using temp = new TempDir();
  await leavesNothingOpen(() => {
    const path = temp.file("missing/pid");
    const missing = assertThrows(() => PidFile.tryLock(path), SysError);
    assertEquals(missing.message, `open "${path}": no such file or directory (ENOENT)`);
    const directory = assertThrows(() => PidFile.tryLock(temp.path), SysError);
    assertEquals(directory.message, `open "${temp.path}": is a directory (EISDIR)`);
  });
});

Deno.test("PidFile.write() throws once the lock is given up", () => {
  using temp = new TempDir();
  const lock = PidFile.tryLock(temp.file("pid"));
  lock?.release();
  const error = assertThrows(() => lock?.write(1), SysError);
  assertStringIncludes(error.message, "EBADF");
});

Deno.test("PidFile.tryLock() writes to no file that a link of another user leads to", () => {
  using dir = new TempDir();
  const victim = dir.write("victim", "precious"), path = dir.file("pid");
  Deno.symlinkSync(victim, path);
  if (Deno.uid() === 0) {
    giveLinkAway(path);
    const error = assertThrows(() => PidFile.tryLock(path), SysError);
    assertStringIncludes(error.found, "which is not followed");
  } else {
    // Links of other users can't be made here, and one's own are followed.
    PidFile.tryLock(path)!.release();
  }
  assertEquals(Deno.readTextFileSync(victim), "precious");
});

for (const mode of [0o666, 0o644, 0o664]) {
  Deno.test(`PidFile.tryLock() makes a file of mode 0${mode.toString(8)} accessible only to its owner`, () => {
    using temp = new TempDir();
    const path = temp.write("pid", "1\n");
    Deno.chmodSync(path, mode);
    PidFile.tryLock(path)!.release();
    assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
    assertEquals(Deno.readTextFileSync(path), "1\n");
  });
}

/** How to take a lock: flock(1) opens a file for reading, and needs no more. */
const FLOCK = { "a shared": "-s", "an exclusive": "-x" } as const;

for (const [kind, option] of Object.entries(FLOCK)) {
  Deno.test(`PidFile.tryLock() is not kept by ${kind} lock of a process that may only read the file`, async () => {
    using temp = new TempDir();
    const path = temp.write("pid", "1\n");
    // If possible, as another user that may read this file but not write to it.
    Deno.chmodSync(path, 0o644);
    Deno.chmodSync(temp.path, 0o755);
    const user = Deno.uid() === 0 ? ["setpriv", `--reuid=${NOBODY}`, "--clear-groups"] : [];
    const command = ["flock", option, path, "sh", "-c", "echo has; read _"];
    await using reader = new TestProcess([...user, ...command]);
    assertEquals(await reader.nextLine(), "has");
    await leavesNothingOpen(() => {
      const lock = PidFile.tryLock(path);
      assert(lock !== undefined, "the reader keeps it");
      assert(lock.isAt(path));
      assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
      lock.write(Deno.pid);
      assertEquals(PidFile.tryLock(path), undefined, "locked twice");
      lock.release();
    });
    assertEquals([...Deno.readDirSync(temp.path)].map(({ name }) => name), ["pid"]);
    await reader.closeInput();
    await reader.ended();
  });
}

Deno.test("PidFile.tryLock() puts no file of another user in the place of the pid file", async (t) => {
  if (Deno.uid() !== 0) return leaveOut(t);
  using temp = new TempDir();
  const path = temp.write("pid", "1\n"), trap = temp.write("pid.new", "");
  Deno.chmodSync(path, 0o644);
  Deno.chmodSync(temp.path, 0o1777);
  Deno.chownSync(trap, NOBODY, NOBODY);
  const command = ["flock", "-x", path, "sh", "-c", "echo has; read _"];
  await using reader = new TestProcess([
    ...["setpriv", `--reuid=${NOBODY}`, "--clear-groups"],
    ...command,
  ]);
  assertEquals(await reader.nextLine(), "has");
  // The first attempt removes it, or the kernel refuses to open it (fs.protected_regular).
  PidFile.tryLock(path)?.release();
  assertEquals(Deno.statSync(path).uid, 0);
});

const KEEPER = new URL("../../support/lock_keeper.py", import.meta.url).pathname;

for (const kind of ["mapping", "message"]) {
  for (const locker of ["lives", "ended"]) {
    Deno.test(`PidFile.tryLock() is not kept by the lock of a reader that has it in a ${kind}: its locker ${locker}`, async () => {
      using temp = new TempDir();
      const path = temp.write("pid", "1\n");
      Deno.chmodSync(path, 0o644);
      Deno.chmodSync(temp.path, 0o755);
      const isRoot = Deno.uid() === 0, user = isRoot ? NOBODY : Deno.uid();
      await using reader = new TestProcess([
        ...plainPython(),
        KEEPER,
        path,
        kind,
        locker,
        `${user}`,
      ]);
      assertEquals(await reader.nextLine(), "has");
      const lock = PidFile.tryLock(path);
      // An ordinary user can't look into processes of root, one of which might have it.
      assertEquals(lock !== undefined, isRoot);
      if (lock === undefined) return;
      assert(lock.isAt(path));
      assertEquals(PidFile.tryLock(path), undefined, "locked twice");
      lock.release();
      await reader.closeInput();
    });
  }
}

/** Locks a file that it may only read, and lets nobody look into it from then on. */
const HIDDEN_READER = `
import ctypes, fcntl, os, sys
PR_SET_DUMPABLE = 4
fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)
ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
print("has", flush=True)
sys.stdin.read()
`;

Deno.test("PidFile.tryLock() of an ordinary user is not kept by the lock of a reader that nobody may look into", async (t) => {
  // The processes of two users.
  if (Deno.uid() !== 0) return leaveOut(t);
  using temp = new TempDir();
  const path = temp.write("pid", "1\n");
  Deno.chmodSync(temp.path, 0o755);
  Deno.chmodSync(path, 0o644);
  for (const file of [temp.path, path]) Deno.chownSync(file, NOBODY, NOBODY);
  await using reader = new TestProcess([
    ...["setpriv", `--reuid=${NOBODY - 1}`, "--clear-groups"],
    ...plainPython(),
    "-c",
    HIDDEN_READER,
    path,
  ]);
  assertEquals(await reader.nextLine(), "has");
  await using master = startFunction(import.meta, async (path) => {
    const { PidFile } = await import("../../../src/os/process/lock_file.ts");
    const { becomeOrdinaryUser } = await import("../../support/privileges.ts");
    becomeOrdinaryUser();
    console.log(PidFile.tryLock(path) === undefined ? "refused" : "held");
  }, { arg: path });
  assertEquals(await master.nextLine(), "held");
  await reader.closeInput();
});

Deno.test("PidFile.tryLock() gives the lock that a reader has kept to one of many", async () => {
  using temp = new TempDir();
  const path = temp.write("pid", "1\n");
  await using reader = new TestProcess(["flock", "-s", path, "sh", "-c", "echo has; read _"]);
  assertEquals(await reader.nextLine(), "has");
  const holders = Array.from({ length: 6 }, () => startHolder(path));
  try {
    const lines = await Promise.all(holders.map((holder) => holder.nextLine()));
    assertEquals(lines.filter((line) => line === "held").length, 1, `${lines}`);
    const winner = holders[lines.indexOf("held")];
    assertEquals(PidFile.holderOf(path), winner.pid);
    assertEquals(Deno.readTextFileSync(path), pidText(winner.pid));
  } finally {
    for (const holder of holders) await holder[Symbol.asyncDispose]();
  }
});

Deno.test("PidFile.holderOf() finds the process with the lock, and none if it is free", async () => {
  using temp = new TempDir();
  const path = temp.file("pid");
  assertEquals(PidFile.holderOf(path), undefined);
  await using holder = startHolder(path);
  assertEquals(await holder.nextLine(), "held");
  assertEquals(PidFile.holderOf(path), holder.pid);
});
