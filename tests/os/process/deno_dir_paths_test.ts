import { assertEquals } from "@std/assert";
import { type CachePath, cachePaths } from "../../../src/os/process/deno_dir_paths.ts";
import { TempDir } from "../../support/temp.ts";

/** The paths of a DENO_DIR below a directory, relative to it. */
function pathsOf(denoDir: string, { path }: TempDir): readonly string[] {
  const before = Deno.env.get("DENO_DIR");
  Deno.env.set("DENO_DIR", `${path}/${denoDir}`);
  try {
    return cachePaths().filter((one) => one.path.startsWith(`${path}/`)).map(told(path)).sort();
  } finally {
    if (before === undefined) Deno.env.delete("DENO_DIR");
    else Deno.env.set("DENO_DIR", before);
  }
}

function told(above: string): (one: CachePath) => string {
  return ({ path, mayHaveNewEntries }) =>
    `${path.slice(above.length + 1)}${mayHaveNewEntries ? " (above)" : ""}`;
}

Deno.test("cachePaths() names DENO_DIR, the directories above it, and all its entries but the views", () => {
  using dir = new TempDir();
  Deno.mkdirSync(dir.file("a/b/zc-without-caches"), { recursive: true });
  Deno.mkdirSync(dir.file("a/b/npm"));
  for (const name of ["v8_code_cache_v2", "v8_code_cache_v2-wal"]) dir.write(`a/b/${name}`, "");
  assertEquals(pathsOf("a/b", dir), [
    ...["a (above)", "a/b", "a/b/npm"],
    ...["a/b/v8_code_cache_v2", "a/b/v8_code_cache_v2-wal"],
  ]);
});

Deno.test("cachePaths() names every link on the way, what it leads to, and the directories above", () => {
  using dir = new TempDir();
  for (const name of ["home/links", "data/deno", "other/gen"]) {
    Deno.mkdirSync(dir.file(name), { recursive: true });
  }
  Deno.symlinkSync("home/links/second", dir.file("first"));
  Deno.symlinkSync(dir.file("data/deno"), dir.file("home/links/second"));
  Deno.symlinkSync("../../other/gen", dir.file("data/deno/gen"));
  assertEquals(pathsOf("first", dir), [
    ...["data (above)", "data/deno", "data/deno/gen (above)", "first (above)", "home (above)"],
    ...["home/links (above)", "home/links/second (above)", "other (above)", "other/gen"],
  ]);
});

Deno.test("cachePaths() names directories that others may write to at any depth of gen and remote, and at two levels of npm", () => {
  using dir = new TempDir();
  for (const name of ["gen", "remote", "npm"]) {
    Deno.mkdirSync(dir.file(`d/${name}/one/two/three`), { recursive: true, mode: 0o755 });
    Deno.chmodSync(dir.file(`d/${name}/one/two`), 0o777);
    Deno.chmodSync(dir.file(`d/${name}/one/two/three`), 0o1777);
  }
  const deep = pathsOf("d", dir).filter((path) => path.includes("/one"));
  assertEquals(deep, [
    ...["d/gen/one/two", "d/gen/one/two/three", "d/npm/one/two"],
    ...["d/remote/one/two", "d/remote/one/two/three"],
  ]);
});
