import { assertEquals, assertThrows } from "@std/assert";
import { namedDirectory, WorkingDirectory } from "../../../src/os/process/working_directory.ts";
import { TempDir } from "../../support/temp.ts";

/** Runs a part of a test in another working directory and with another `$PWD`. */
function inDirectory(path: string, use: () => void): void {
  const before = Deno.cwd(), name = Deno.env.get("PWD");
  Deno.chdir(path);
  try {
    use();
  } finally {
    Deno.chdir(before);
    if (name === undefined) Deno.env.delete("PWD");
    else Deno.env.set("PWD", name);
  }
}

Deno.test("namedDirectory() is $PWD only where that leads here", () => {
  using dir = new TempDir();
  const real = Deno.realPathSync(dir.path), link = dir.file("link");
  Deno.symlinkSync(".", link);
  inDirectory(link, () => {
    Deno.env.set("PWD", link);
    assertEquals(namedDirectory(), link);
    for (const wrong of ["/", "link", "", `${link}/none`]) {
      Deno.env.set("PWD", wrong);
      assertEquals(namedDirectory(), real);
    }
    Deno.env.delete("PWD");
    assertEquals(namedDirectory(), real);
  });
});

Deno.test("namedDirectory() refuses a directory that was removed", () => {
  using dir = new TempDir();
  Deno.mkdirSync(dir.file("gone"));
  inDirectory(dir.file("gone"), () => {
    Deno.env.set("PWD", dir.file("gone"));
    Deno.removeSync(dir.file("gone"));
    assertThrows(
      namedDirectory,
      TypeError,
      `Cannot start in "${dir.file("gone")}": the directory was removed, expected one that exists`,
    );
  });
});

Deno.test("WorkingDirectory follows its name at once when asked to, and else only when it must", () => {
  using dir = new TempDir();
  const real = Deno.realPathSync(dir.path), link = dir.file("link"), told: string[] = [];
  for (const name of ["a", "b"]) Deno.mkdirSync(dir.file(name));
  Deno.symlinkSync("a", link);
  inDirectory(link, () => {
    const directory = new WorkingDirectory(link, (text) => told.push(text));
    directory.follow();
    assertEquals(told, []);
    Deno.removeSync(link);
    Deno.symlinkSync("b", link);
    directory.ensure();
    assertEquals(Deno.cwd(), `${real}/a`);
    directory.follow();
    assertEquals(Deno.cwd(), `${real}/b`);
    assertEquals(told, [`the working directory "${link}" leads to "${real}/b" now`]);
  });
});

Deno.test("WorkingDirectory is / while its name leads nowhere, and tells so once", () => {
  using dir = new TempDir();
  const home = dir.file("home"), told: string[] = [];
  Deno.mkdirSync(home);
  inDirectory(home, () => {
    const directory = new WorkingDirectory(home, (text) => told.push(text));
    Deno.removeSync(home);
    for (let start = 0; start < 3; start++) directory.ensure();
    assertEquals(Deno.cwd(), "/");
    Deno.mkdirSync(home);
    directory.ensure();
    assertEquals(Deno.cwd(), Deno.realPathSync(home));
    assertEquals(told, [
      `Cannot enter "${home}": no such directory, expected the working directory, from which relative paths start`,
      `the working directory "${home}" leads to "${Deno.realPathSync(home)}" now`,
    ]);
  });
});
