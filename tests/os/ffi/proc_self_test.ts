import { assertEquals, assertThrows } from "@std/assert";
import {
  isMissing,
  listProcSelf,
  readLinkProcSelf,
  readTextProcSelf,
} from "../../../src/os/ffi/proc_self.ts";
import { startFunction } from "../../support/processes.ts";

Deno.test("the functions of /proc/self read what is there", () => {
  assertEquals(readLinkProcSelf("cwd"), Deno.cwd());
  assertEquals(readTextProcSelf("comm"), Deno.readTextFileSync("/proc/self/comm"));
  assertEquals(listProcSelf("fd").includes("2"), true);
});

Deno.test("the functions of /proc/self throw what isMissing() knows for what is not there", () => {
  for (const read of [listProcSelf, readLinkProcSelf, readTextProcSelf]) {
    assertEquals(isMissing(assertThrows(() => read("fd/99999"))), true);
  }
  assertEquals(isMissing(new Error("another")), false);
});

Deno.test("the functions of /proc/self read the same once keepProcSelf() was called", async () => {
  await using child = startFunction(import.meta, async () => {
    const own = await import("../../../src/os/ffi/proc_self.ts");
    const { assertEquals, assertThrows } = await import("@std/assert");
    const { execPath, isMissing, keepProcSelf, listProcSelf, readLinkProcSelf, readTextProcSelf } =
      own;
    keepProcSelf();
    keepProcSelf();
    assertEquals(execPath(), Deno.execPath());
    assertEquals(readLinkProcSelf("cwd"), Deno.cwd());
    assertEquals(readTextProcSelf("cmdline"), Deno.readTextFileSync("/proc/self/cmdline"));
    assertEquals(readTextProcSelf("maps").length > 4096, true);
    const entries = [...Deno.readDirSync("/proc/self/task")].map(({ name }) => name);
    assertEquals(listProcSelf("task").toSorted(), entries.toSorted());
    const before = [...Deno.readDirSync("/proc/self/fd")].length;
    for (const read of [listProcSelf, readLinkProcSelf, readTextProcSelf]) {
      assertEquals(isMissing(assertThrows(() => read("fd/99999"))), true);
    }
    assertEquals([...Deno.readDirSync("/proc/self/fd")].length, before);
    console.log("done");
  });
  assertEquals(await child.succeeds(), "done\n");
});

Deno.test("the functions of /proc/self say what they did once keepProcSelfFiles() was called, and keep no directory", async () => {
  await using child = startFunction(import.meta, async () => {
    const { isMissing, keepProcSelf, keepProcSelfFiles, listProcSelf, ...own } = await import(
      "../../../src/os/ffi/proc_self.ts"
    );
    const { readLinkProcSelf, readTextProcSelf } = own;
    const { assertEquals, assertThrows } = await import("@std/assert");
    const { closeFd, duplicateFd } = await import("../../../src/os/fd/descriptor.ts");
    const { AT_FDCWD } = await import("../../../src/os/ffi/constants.ts");
    const { libc, cString } = await import("../../../src/os/ffi/libc.ts");
    const { pipe, socketPair } = await import("../../../src/os/net/socket.ts");
    const fifo = await Deno.makeTempFile();
    Deno.removeSync(fifo);
    libc().mkfifoat(AT_FDCWD, cString(fifo), 0o600);
    keepProcSelf();
    keepProcSelfFiles();
    keepProcSelfFiles();
    const opened = [...pipe(), ...socketPair(), libc().open(cString(fifo), 2, 0)];
    opened.push(duplicateFd(opened[0], 300));
    const link = (fd: number) => Deno.readLinkSync(`/proc/self/fd/${fd}`);
    for (const fd of opened.slice(0, 4)) assertEquals(readLinkProcSelf(`fd/${fd}`), link(fd));
    assertEquals(readLinkProcSelf(`fd/${opened[4]}`).startsWith("fifo:"), true);
    const all = () => [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => Number(name));
    const there = all().filter((fd) => libc().fcntl(fd, 1, 0) >= 0).sort((a, b) => a - b);
    assertEquals(listProcSelf("fd").map(Number), there);
    const epolls = there.filter((fd) => link(fd) === "anon_inode:[eventpoll]");
    for (const fd of epolls) {
      assertEquals(readLinkProcSelf(`fd/${fd}`), link(fd));
      const path = `fdinfo/${fd}`;
      assertEquals(readTextProcSelf(path), Deno.readTextFileSync(`/proc/self/${path}`));
    }
    assertEquals(epolls.length > 0, true);
    assertEquals(/^Pid:\s*(\d+)/m.exec(readTextProcSelf("status"))?.[1], `${Deno.pid}`);
    for (const read of [listProcSelf, readLinkProcSelf, readTextProcSelf]) {
      assertEquals(isMissing(assertThrows(() => read("fd/99999"))), true);
    }
    const isDirectory = (fd: number) => Deno.statSync(`/proc/self/fd/${fd}`).isDirectory;
    assertEquals(there.filter((fd) => link(fd).startsWith("/") && isDirectory(fd)), []);
    opened.forEach(closeFd);
    Deno.removeSync(fifo);
    console.log("done");
  });
  assertEquals(await child.succeeds(), "done\n");
});
