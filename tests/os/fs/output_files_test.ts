/** Standard outputs whose files are renamed, in processes of their own. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { AT_FDCWD } from "../../../src/os/ffi/constants.ts";
import { cString, libc } from "../../../src/os/ffi/libc.ts";
import { leaveOut } from "../../support/left_out.ts";
import { giveLinkAway } from "../../support/privileges.ts";
import { startFunction, type TestProcess } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";

/** A user that no test runs as. */
const OTHER_USER = 65_534;

/** A process with both outputs in files: for each line of input it opens them anew, and prints it. */
function startPrinter(dir: TempDir, redirection: string): TestProcess {
  return startFunction(import.meta, async () => {
    const { zinfo } = await import("../../../src/log/log.ts");
    const { OutputFiles } = await import("../../../src/os/fs/output_files.ts");
    const files = new OutputFiles();
    const decoder = new TextDecoder();
    for await (const bytes of Deno.stdin.readable) {
      const [line, marker] = decoder.decode(bytes).trim().split(" ");
      const changed = files.reopen((_path, { found }) => zinfo(found));
      console.log(`${line} ${changed.map(({ fd }) => fd).join("+")}`);
      zinfo(`logged ${line}`);
      await new Deno.Command("echo", { args: ["child", line], stdout: "inherit" }).spawn().status;
      Deno.writeTextFileSync(marker, "");
    }
  }, { prefix: ["sh", "-c", `umask 0; exec "$@" ${redirection}`, dir.path] });
}

/** Has it print a line, and waits until it has. */
async function say(printer: TestProcess, dir: TempDir, line: string): Promise<void> {
  const { eventually } = await import("../../support/wait.ts");
  const { existsSync } = await import("@std/fs/exists");
  const marker = dir.file(`${line}.done`);
  await printer.write(`${line} ${marker}\n`);
  await eventually(() => existsSync(marker), { what: line });
}

function text(dir: TempDir, name: string): string {
  return Deno.readTextFileSync(dir.file(name)).replaceAll(/ \[[^\]]*:\d+\]/g, "");
}

Deno.test("OutputFiles.reopen() begins new files in the place of renamed ones, and no others", async () => {
  using dir = new TempDir();
  await using printer = startPrinter(dir, '> "$0"/out 2> "$0"/err');
  await say(printer, dir, "one");
  Deno.renameSync(dir.file("out"), dir.file("out.1"));
  await say(printer, dir, "two");
  Deno.renameSync(dir.file("err"), dir.file("err.1"));
  // As logrotate does that makes the new file itself.
  dir.write("err", "begun\n");
  await say(printer, dir, "three");
  assertEquals(text(dir, "out.1"), "one \nchild one\n");
  assertEquals(text(dir, "out"), "two 1\nchild two\nthree 2\nchild three\n");
  assertEquals(text(dir, "err.1"), "logged one\nlogged two\n");
  assertEquals(text(dir, "err"), "begun\nlogged three\n");
});

Deno.test("OutputFiles.reopen() keeps two outputs in one file, with its mode", async () => {
  using dir = new TempDir();
  dir.write("log", "");
  Deno.chmodSync(dir.file("log"), 0o640);
  await using printer = startPrinter(dir, '>> "$0"/log 2>&1');
  await say(printer, dir, "one");
  Deno.renameSync(dir.file("log"), dir.file("log.1"));
  await say(printer, dir, "two");
  await say(printer, dir, "three");
  assertEquals(text(dir, "log.1"), "one \nlogged one\nchild one\n");
  assertEquals(
    text(dir, "log"),
    "two 1\nlogged two\nchild two\nthree \nlogged three\nchild three\n",
  );
  assertEquals(Deno.statSync(dir.file("log")).mode! & 0o777, 0o640);
});

for (const owner of ["its own user", "another user"] as const) {
  Deno.test(`OutputFiles.reopen() makes no program of a file whose mode ${owner} has changed`, async (t) => {
    if (owner === "another user" && Deno.uid() !== 0) return leaveOut(t);
    using dir = new TempDir();
    dir.write("log", "");
    await using printer = startPrinter(dir, '>> "$0"/log 2>&1');
    await say(printer, dir, "one");
    if (owner === "another user") Deno.chownSync(dir.file("log"), OTHER_USER, OTHER_USER);
    Deno.chmodSync(dir.file("log"), 0o6755);
    Deno.renameSync(dir.file("log"), dir.file("log.1"));
    await say(printer, dir, "two");
    assertStringIncludes(text(dir, "log"), "logged two\n");
    const { uid, mode } = Deno.statSync(dir.file("log"));
    // Another user's choice of readers counts as little as that of a set-user-ID bit.
    const expected = owner === "another user" ? 0o600 : 0o644;
    assertEquals({ uid, mode: mode! & 0o7777 }, { uid: Deno.uid(), mode: expected });
  });
}

Deno.test("OutputFiles.reopen() goes on with the old file where a new one can't be had", async () => {
  using dir = new TempDir();
  const victim = dir.write("victim", "precious\n");
  await using printer = startPrinter(dir, '>> "$0"/log 2>&1');
  await say(printer, dir, "one");
  Deno.renameSync(dir.file("log"), dir.file("log.1"));
  if (Deno.uid() === 0) {
    Deno.symlinkSync(victim, dir.file("log"));
    giveLinkAway(dir.file("log"));
  } else Deno.mkdirSync(dir.file("log"));
  await say(printer, dir, "two");
  assertStringIncludes(text(dir, "log.1"), "two \nlogged two\n");
  assertStringIncludes(text(dir, "log.1"), Deno.uid() === 0 ? "is a link of user" : "directory");
  assertEquals(Deno.readTextFileSync(victim), "precious\n");
});

Deno.test("OutputFiles.reopen() neither waits for a named pipe in the place of a file nor writes to it", async () => {
  using dir = new TempDir();
  await using printer = startPrinter(dir, '>> "$0"/log 2>&1');
  await say(printer, dir, "one");
  Deno.renameSync(dir.file("log"), dir.file("log.1"));
  assertEquals(libc().mkfifoat(AT_FDCWD, cString(dir.file("log")), 0o600), 0);
  await say(printer, dir, "two");
  assertStringIncludes(text(dir, "log.1"), "no reader (open: ENXIO)");
  // Now it could be opened, and the output would be the reader's.
  using _reader = Deno.openSync(dir.file("log"), { read: true, write: true });
  await say(printer, dir, "three");
  assertStringIncludes(text(dir, "log.1"), "no regular file");
  assertStringIncludes(text(dir, "log.1"), "three \nlogged three\nchild three\n");
});
