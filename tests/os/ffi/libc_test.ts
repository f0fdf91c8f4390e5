import { walkSync } from "@std/fs/walk";
import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { SysError } from "../../../src/os/ffi/errors.ts";
import { cString, libc, unwrap, unwrapOrBlock } from "../../../src/os/ffi/libc.ts";
import { startDeno, startFunction } from "../../support/processes.ts";

const EPERM = 1, EINTR = 4, EAGAIN = 11;

/** A system call that fails in the ways given, one after the other, and then returns 5. */
function failing(...errnos: number[]): () => number {
  return () => {
    const next = errnos.shift();
    if (next === undefined) return 5;
    const location = Deno.UnsafePointer.value(libc().__errno_location());
    const view = Deno.UnsafePointerView.getArrayBuffer(Deno.UnsafePointer.create(location)!, 4);
    new Int32Array(view)[0] = next;
    return -1;
  };
}

Deno.test("unwrap() gives the result as a number", () => {
  assertStrictEquals(unwrap({ syscall: "x" }, () => 3), 3);
  assertStrictEquals(unwrap({ syscall: "x" }, () => 3n), 3);
  assertStrictEquals(unwrap({ syscall: "x" }, () => 0), 0);
});

Deno.test("unwrap() makes an interrupted call again", () => {
  assertEquals(unwrap({ syscall: "x" }, failing(EINTR, EINTR)), 5);
});

Deno.test("unwrap() throws a SysError with the call, its subject and errno", () => {
  const error = assertThrows(
    () => unwrap({ syscall: "bind", subject: "/a" }, failing(EINTR, EPERM)),
    SysError,
  );
  assertEquals(error.message, 'bind "/a": operation not permitted (EPERM)');
  assertEquals([error.syscall, error.errno, error.code], ["bind", EPERM, "EPERM"]);
  assertThrows(() => unwrap({ syscall: "x", subject: 0 }, failing(EAGAIN)), SysError, 'x "0": ');
});

Deno.test("unwrapOrBlock() gives undefined for a call that would block", () => {
  assertEquals(unwrapOrBlock({ syscall: "x" }, failing(EINTR, EAGAIN)), undefined);
  assertEquals(unwrapOrBlock({ syscall: "x" }, failing()), 5);
  assertThrows(() => unwrapOrBlock({ syscall: "x" }, failing(EPERM)), SysError, "EPERM");
});

Deno.test("unwrap() reads the errno that a real call has left", () => {
  const error = assertThrows(() => unwrap({ syscall: "close" }, () => libc().close(-1)), SysError);
  assertEquals(error.message, "close: not an open descriptor (EBADF)");
});

Deno.test("SysError names an errno that it has no name for by its number", () => {
  const error = new SysError("x", 4_000);
  assertEquals([error.code, error.message], ["E4000", "x: see errno(3) (E4000)"]);
});

Deno.test("cString() ends with NUL, in UTF-8", () => {
  assertEquals([...cString("aü")], [0x61, 0xc3, 0xbc, 0]);
});

Deno.test("libc() gives the same symbols each time", () => {
  assertStrictEquals(libc(), libc());
});

Deno.test("importing src/os opens nothing: no permission is asked for", async () => {
  const folder = new URL("../../../src/os/", import.meta.url);
  const files = Array.from(walkSync(folder, { exts: [".ts"], includeDirs: false }));
  const code = files.map(({ path }) => `import ${JSON.stringify(`file://${path}`)};`).join("\n");
  const main = `data:application/typescript,${encodeURIComponent(code)}`;
  await using child = startDeno(["run", "--no-prompt", main]);
  await child.succeeds();
});

Deno.test("libc() throws where the system is another one", async () => {
  await using child = startFunction(import.meta, async () => {
    const { libc } = await import("../../../src/os/ffi/libc.ts");
    for (const build of [{ os: "darwin", arch: "aarch64" }, { os: "linux", arch: "riscv64" }]) {
      Object.defineProperty(Deno, "build", { value: build });
      try {
        libc();
      } catch (error) {
        console.log(error instanceof Deno.errors.NotSupported, (error as Error).message);
      }
    }
  });
  const expected = (what: string) =>
    `true Cannot run on "${what}": @zc/master works with Linux system calls, expected Linux on x86-64 or arm64\n`;
  assertEquals(await child.succeeds(), expected("darwin aarch64") + expected("linux riscv64"));
});
