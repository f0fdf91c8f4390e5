import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  closeFd,
  duplicateFd,
  O_APPEND,
  openDescriptors,
  setCloseOnExec,
  setNonblocking,
} from "../../../src/os/fd/descriptor.ts";
import { SysError } from "../../../src/os/ffi/errors.ts";
import { socketPair } from "../../../src/os/net/socket.ts";
import { writeWithoutWaiting } from "../../../src/os/net/datagram.ts";
import { libc } from "../../../src/os/ffi/libc.ts";
import { TempDir } from "../../support/temp.ts";
import { flagsOf, leavesNothingOpen, openFile } from "../../support/descriptors.ts";
import { startFunction, TestProcess } from "../../support/processes.ts";

const NOT_OPEN = 1_000_000;

Deno.test("closeFd() closes, and is harmless on a descriptor that is not open", async () => {
  await leavesNothingOpen(() => {
    const [one, two] = socketPair();
    closeFd(one);
    assert(!openDescriptors().has(one));
    closeFd(two);
    closeFd(NOT_OPEN);
    closeFd(-1);
  });
});

Deno.test("setCloseOnExec() clears and sets the flag, and leaves the others", async () => {
  await leavesNothingOpen(() => {
    const [one, two] = socketPair();
    setNonblocking(one);
    setCloseOnExec(one, false);
    assertEquals(flagsOf(one), { closeOnExec: false, nonblocking: true });
    setCloseOnExec(one, false);
    assertEquals(flagsOf(one), { closeOnExec: false, nonblocking: true });
    setCloseOnExec(one, true);
    assertEquals(flagsOf(one), { closeOnExec: true, nonblocking: true });
    closeFd(one);
    closeFd(two);
  });
});

Deno.test("setCloseOnExec() decides what a started program inherits", async () => {
  const [kept, given] = socketPair();
  setCloseOnExec(given, false);
  await using list = new TestProcess(["ls", "/proc/self/fd"]);
  setCloseOnExec(given, true);
  const inherited = (await list.succeeds()).trim().split("\n").map(Number);
  assert(inherited.includes(given));
  assert(!inherited.includes(kept));
  closeFd(kept);
  closeFd(given);
});

Deno.test("setNonblocking() holds for everybody who shares the open file description", async () => {
  await leavesNothingOpen(() => {
    const [one, two] = socketPair();
    const copy = duplicateFd(one);
    assertEquals(flagsOf(copy).nonblocking, false);
    setNonblocking(one);
    setNonblocking(one);
    assertEquals([one, copy, two].map((fd) => flagsOf(fd).nonblocking), [true, true, false]);
    [one, two, copy].forEach(closeFd);
  });
});

Deno.test("duplicateFd() makes a close-on-exec duplicate from a number on", async () => {
  await leavesNothingOpen(() => {
    const [one, two] = socketPair();
    setCloseOnExec(one, false);
    const copy = duplicateFd(one);
    const high = duplicateFd(one, 500);
    assert(copy >= 3 && high >= 500);
    assertEquals(flagsOf(copy).closeOnExec, true);
    assertEquals(openDescriptors().get(high), openDescriptors().get(one));
    [one, two, copy, high].forEach(closeFd);
  });
});

Deno.test("descriptor functions tell EBADF for a descriptor that is not open", () => {
  for (
    const call of [
      () => setCloseOnExec(NOT_OPEN, true),
      () => setNonblocking(NOT_OPEN),
      () => duplicateFd(NOT_OPEN),
    ]
  ) {
    const error = assertThrows(call, SysError);
    assertEquals(error.message, 'fcntl "1000000": not an open descriptor (EBADF)');
  }
});

Deno.test("openDescriptors() lists what is open, and not the directory that it reads", async () => {
  await leavesNothingOpen(() => {
    const [one, two] = socketPair();
    const found = openDescriptors();
    assert(found.get(one)?.startsWith("socket:["));
    assert(found.get(two)?.startsWith("socket:["));
    assert(![...found.values()].some((target) => /^\/proc\/\d+\/fd$/.test(target)));
    closeFd(one);
    closeFd(two);
  });
});

Deno.test("keepDescriptorsFromChildren() keeps all above 2 from the programs started next", async () => {
  await using child = startFunction(import.meta, async () => {
    const { duplicateFd, keepDescriptorsFromChildren, setCloseOnExec } = await import(
      "../../../src/os/fd/descriptor.ts"
    );
    for (const lowest of [3, 100, 200]) setCloseOnExec(duplicateFd(0, lowest), false);
    const list = async () => {
      const { stdout } = await new Deno.Command("ls", { args: ["/proc/self/fd"], stdin: "null" })
        .output();
      return new TextDecoder().decode(stdout).trim().split("\n").length;
    };
    const before = await list();
    keepDescriptorsFromChildren();
    // 0, 1, 2 and the directory.
    console.log(before >= 7, await list());
  });
  assertEquals(await child.succeeds(), "true 4\n");
});

Deno.test("writeWithoutWaiting() writes to a file that another process has set to whole blocks", () => {
  using dir = new TempDir();
  const fd = openFile(dir.file("log"));
  try {
    const O_DIRECT = Deno.build.arch === "aarch64" ? 0o200000 : 0o40000;
    const flags = libc().fcntl(fd, 3, 0);
    assertEquals(libc().fcntl(fd, 4, flags | O_DIRECT), 0);
    assertEquals(writeWithoutWaiting(fd, new TextEncoder().encode("line\n")), 5);
    assertEquals(Deno.readTextFileSync(dir.file("log")), "line\n");
  } finally {
    closeFd(fd);
  }
});

/** The last position in a file that the system knows, where nothing can be written. */
function endOfFiles(fd: number): bigint {
  let end = 0n;
  for (let power = 62n; power >= 0n; power--) {
    if (libc().lseek(fd, end + 2n ** power, 0) > 0n) end += 2n ** power;
  }
  return end;
}

Deno.test("writeWithoutWaiting() writes to a file that another process has gone too far in", () => {
  using dir = new TempDir();
  const fd = openFile(dir.file("log"));
  try {
    const flags = libc().fcntl(fd, 3, 0), line = new TextEncoder().encode("line\n");
    const write = () => writeWithoutWaiting(fd, line);
    assertEquals(write(), 5);
    assertEquals(libc().fcntl(fd, 4, flags & ~O_APPEND), 0);
    assert(libc().lseek(fd, endOfFiles(fd), 0) > 0n);
    assertEquals(write(), 5);
    assertEquals(Deno.readTextFileSync(dir.file("log")), "line\nline\n");
  } finally {
    closeFd(fd);
  }
});
