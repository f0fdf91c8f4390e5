import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { closeFd, O_APPEND, O_CREAT, O_RDWR, O_WRONLY } from "../../../src/os/fd/descriptor.ts";
import { SysError } from "../../../src/os/ffi/errors.ts";
import { openTrusted, othersMayRedirect } from "../../../src/os/fs/trusted_open.ts";
import { leavesNothingOpen, targetOf } from "../../support/descriptors.ts";
import { giveLinkAway, NOBODY } from "../../support/privileges.ts";
import { TempDir } from "../../support/temp.ts";

const IS_ROOT = Deno.uid() === 0;

/** Where a path leads to, opened and closed again. */
function opened(path: string): string | undefined {
  const fd = openTrusted(path, O_RDWR);
  const target = targetOf(fd);
  closeFd(fd);
  return target;
}

Deno.test("openTrusted() follows this user's links, at the end, on the way, absolute and relative", () =>
  leavesNothingOpen(() => {
    using dir = new TempDir();
    Deno.mkdirSync(dir.file("data/logs"), { recursive: true });
    const file = dir.write("data/logs/file", "");
    Deno.symlinkSync(dir.file("data"), dir.file("absolute"));
    Deno.symlinkSync("absolute/logs", dir.file("relative"));
    Deno.symlinkSync("../data/logs/file", dir.file("data/last"));
    for (const path of ["data/logs/file", "absolute/logs/file", "relative/file", "data/last"]) {
      assertEquals(opened(dir.file(path)), file, path);
    }
    assertEquals(opened(`${dir.path}//relative/../logs/./file`), file);
    const cwd = Deno.cwd();
    try {
      Deno.chdir(dir.path);
      assertEquals(opened("relative/file"), file);
    } finally {
      Deno.chdir(cwd);
    }
  }));

Deno.test("openTrusted() makes a file with the mode that is asked for, and appends where that is", () =>
  leavesNothingOpen(() => {
    using dir = new TempDir();
    Deno.symlinkSync("new", dir.file("link"));
    const umask = Deno.umask(0o027);
    try {
      closeFd(openTrusted(dir.file("link"), O_WRONLY | O_CREAT | O_APPEND, 0o666));
    } finally {
      Deno.umask(umask);
    }
    assertEquals(Deno.lstatSync(dir.file("new")).mode! & 0o777, 0o640);
  }));

Deno.test("openTrusted() reports the errors of open(2), and leaves nothing open", () =>
  leavesNothingOpen(() => {
    using dir = new TempDir();
    dir.write("file", "");
    Deno.symlinkSync("loop", dir.file("loop"));
    const code = (path: string, flags = O_RDWR) =>
      assertThrows(() => openTrusted(dir.file(path), flags), SysError, path).code;
    assertEquals(code("none"), "ENOENT");
    assertEquals(code("none/file", O_RDWR | O_CREAT), "ENOENT");
    assertEquals(code("file/below"), "ENOTDIR");
    assertEquals(code("loop"), "ELOOP");
    assertEquals(code("loop/below"), "ELOOP");
    assertEquals(code(""), "EISDIR");
  }));

Deno.test("openTrusted() follows no link of another user, wherever it stands", () =>
  leavesNothingOpen(() => {
    using dir = new TempDir();
    const victim = dir.write("victim", "precious");
    Deno.symlinkSync(victim, dir.file("link"));
    Deno.symlinkSync(dir.path, dir.file("way"));
    if (!IS_ROOT) {
      // Links of other users can't be made here, and one's own are followed.
      assertEquals([opened(dir.file("link")), opened(dir.file("way/victim"))], [victim, victim]);
      return;
    }
    giveLinkAway(dir.file("link"));
    giveLinkAway(dir.file("way"));
    for (const [path, name] of [["link", "link"], ["way/victim", "way"], ["way/new", "way"]]) {
      const open = () => openTrusted(dir.file(path), O_RDWR | O_CREAT, 0o666);
      const error = assertThrows(open, SysError);
      assertEquals(error.code, "ELOOP");
      assertMatch(error.found, new RegExp(`^"${name}" in it is a link of user ${NOBODY}, which`));
    }
    assertEquals(Deno.readTextFileSync(victim), "precious");
  }));

Deno.test("othersMayRedirect() distinguishes a path that only this user can change from any other", async () => {
  using dir = new TempDir();
  for (const name of ["own", "open", "sticky"]) Deno.mkdirSync(dir.file(name));
  Deno.chmodSync(dir.file("open"), 0o777);
  Deno.chmodSync(dir.file("sticky"), 0o1777);
  dir.write("sticky/file", "");
  Deno.symlinkSync("own", dir.file("link"));
  Deno.symlinkSync(dir.file("open"), dir.file("astray"));
  const answers = await Promise.all(
    [
      "own/new",
      "link/new",
      "sticky/file",
      "open/new",
      "open/../own/new",
      "astray/new",
      "sticky/new",
    ]
      .map((path) => othersMayRedirect(dir.file(path))),
  );
  assertEquals(answers, [false, false, false, true, true, true, true]);
  if (IS_ROOT) {
    giveLinkAway(dir.file("own"));
    assert(await othersMayRedirect(dir.file("own/new")), "a directory of another user");
  }
});
