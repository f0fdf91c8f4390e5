import { assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import { denoDir, withoutCaches } from "../../../src/os/process/deno_dir.ts";
import { VIEW } from "../../../src/os/process/deno_dir_names.ts";
import { mayChangeUser } from "../../../src/os/user/credentials.ts";
import { startFunction } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";

const CACHES = ["v8_code_cache_v2", "dep_analysis_cache_v2", "node_analysis_cache_v2"];

/** Calls a function with other variables than those of this process. */
function withEnvironment<T>(variables: Readonly<Record<string, string>>, act: () => T): T {
  const names = ["DENO_DIR", "XDG_CACHE_HOME", "HOME", "DENO_LOG"];
  const before = names.map((name) => [name, Deno.env.get(name)] as const);
  names.forEach((name) => Deno.env.delete(name));
  Object.entries(variables).forEach(([name, value]) => Deno.env.set(name, value));
  try {
    return act();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
  }
}

Deno.test("denoDir() is where the runtime looks, for this process and for a user", () => {
  const all = { DENO_DIR: "/a", XDG_CACHE_HOME: "/b", HOME: "/c" };
  const { DENO_DIR: _, ...withoutOwn } = all, { XDG_CACHE_HOME: __, ...home } = withoutOwn;
  assertEquals(withEnvironment(all, () => [denoDir(), denoDir("/d")]), ["/a", "/a"]);
  const directories = ["/b/deno", "/d/.cache/deno"];
  assertEquals(withEnvironment(withoutOwn, () => [denoDir(), denoDir("/d")]), directories);
  assertEquals(withEnvironment(home, () => denoDir()), "/c/.cache/deno");
  assertEquals(withEnvironment(home, () => denoDir("/")), "/.cache/deno");
  assertEquals(withEnvironment({ DENO_DIR: "a" }, () => denoDir()), `${Deno.cwd()}/a`);
});

Deno.test("denoDir() is the directory that the runtime reports, with and without variables", () => {
  const own = { DENO_DIR: "/a", XDG_CACHE_HOME: "/b", HOME: "/c" };
  for (
    const names of [
      ["HOME", "XDG_CACHE_HOME", "DENO_DIR"],
      ["HOME", "XDG_CACHE_HOME"],
      ["HOME"],
      [],
    ]
  ) {
    const env = Object.fromEntries(Object.entries(own).filter(([name]) => names.includes(name)));
    const { stdout } = new Deno.Command(Deno.execPath(), {
      args: ["info", "--json"],
      clearEnv: true,
      env,
    }).outputSync();
    const { denoDir: expected } = JSON.parse(new TextDecoder().decode(stdout));
    assertEquals(withEnvironment(env, () => denoDir()), expected, names.join());
  }
});

Deno.test("withoutCaches() gives a program its modules and none of the caches, and says nothing of it", async () => {
  using dir = new TempDir();
  const env = { DENO_DIR: dir.path, HOME: "/nonexistent" };
  const change = withEnvironment(env, () => withoutCaches());
  // Files in use do not change.
  assertEquals(withEnvironment(env, () => withoutCaches()), change);
  await using program = startFunction(import.meta, async () => {
    const { readLinkProcSelf, listProcSelf } = await import("../../../src/os/ffi/proc_self.ts");
    await import("node:fs");
    for (const fd of listProcSelf("fd")) {
      try {
        console.log(readLinkProcSelf(`fd/${fd}`));
      } catch {
        // That of the list.
      }
    }
  }, { env: change as Record<string, string> });
  const output = await program.succeeds();
  assertMatch(output, /eventpoll/);
  assertEquals(output.includes("cache"), false, output);
  assertEquals(program.stderr, "");
  // TypeScript was translated into the real directory.
  assertNotEquals([...Deno.readDirSync(`${dir.path}/gen`)], []);
});

Deno.test("withoutCaches() with an owner gives a program what it translates for itself alone", async () => {
  using dir = new TempDir();
  const variables = { DENO_DIR: dir.path, HOME: "/nonexistent" };
  const owner = `/etc/${"x".repeat(300)}`;
  const change = withEnvironment(variables, () => withoutCaches({ owner }));
  const view = change.DENO_DIR!;
  assertEquals(withEnvironment({ ...variables, DENO_DIR: view }, denoDir), dir.path);
  await using program = startFunction(import.meta, () => {
    import("../../../src/os/process/deno_dir.ts").then(({ isWithoutCaches }) =>
      console.log(isWithoutCaches())
    );
  }, { env: change as Record<string, string> });
  assertEquals(await program.succeeds(), "true\n");
  assertNotEquals([...Deno.readDirSync(`${view}/gen`)], []);
  assertThrows(() => Deno.readDirSync(`${dir.path}/gen`), Deno.errors.NotFound);
});

Deno.test("withoutCaches() keeps programs apart whose names differ only at the end of a long path", () => {
  using dir = new TempDir();
  const views = ["one", "two", "one"].map((name) =>
    withEnvironment({ DENO_DIR: dir.path }, () => {
      return withoutCaches({ owner: `/etc/${"x".repeat(300)}/${name}.cf` });
    }).DENO_DIR!
  );
  assertNotEquals(views[0], views[1]);
  assertEquals(views[0], views[2]);
});

Deno.test("withoutCaches() escapes an owner as a URI does, and the bytes of one that is not UTF-8", () => {
  using dir = new TempDir();
  const names = ["a b/é😀~.cf", "\udcb0\udc0aé.cf"].map((owner) => {
    const change = withEnvironment({ DENO_DIR: dir.path }, () => withoutCaches({ owner }));
    return change.DENO_DIR!.slice(dir.path.length + 1);
  });
  const views = [encodeURIComponent("a b/é😀~.cf"), "%B0%0A%C3%A9.cf"];
  assertEquals(names, views.map((name) => `${VIEW}${name}`));
});

Deno.test("withoutCaches() gives a program the modules of the network that have been loaded, without loading them anew", async () => {
  // Nothing answers there, so that nothing can be loaded.
  const nowhere = "http://127.0.0.1:1";
  await using program = startFunction(import.meta, async () => {
    const { assertEquals } = await import("@std/assert");
    assertEquals(1, 1);
    console.log("loaded");
  }, {
    env: {
      ...withoutCaches() as Record<string, string>,
      ...{ HTTP_PROXY: nowhere, HTTPS_PROXY: nowhere, NO_PROXY: "" },
    },
  });
  assertEquals(await program.succeeds(), "loaded\n");
});

Deno.test("withoutCaches() removes files that a runtime has left there under unknown names", () => {
  using dir = new TempDir();
  const change = () => withEnvironment({ DENO_DIR: dir.path }, () => withoutCaches());
  const view = change().DENO_DIR!;
  for (const name of ["v8_code_cache_v9", "v8_code_cache_v9-wal", "new_cache_v1"]) {
    Deno.writeTextFileSync(`${view}/${name}`, "planted");
  }
  Deno.removeSync(`${view}/location_data`);
  Deno.mkdirSync(`${view}/location_data/x`, { recursive: true });
  change();
  const files = [...Deno.readDirSync(view)].flatMap(({ name, isFile }) => isFile ? [name] : []);
  assertEquals(files.sort(), ["location_data", "web_cache"]);
});

Deno.test("withoutCaches() gives a program no place to store anything", async () => {
  using dir = new TempDir();
  const env = withEnvironment({ DENO_DIR: dir.path, HOME: "/nonexistent" }, () => withoutCaches());
  await using program = startFunction(import.meta, async () => {
    const stores = {
      localStorage: () => localStorage.setItem("a", "b"),
      caches: () => caches.open("a"),
    };
    for (const [name, store] of Object.entries(stores)) {
      try {
        await store();
        console.log(name, "stored");
      } catch (error) {
        console.log(name, (error as Error).name);
      }
    }
  }, { env: env as Record<string, string> });
  const output = await program.succeeds();
  assertEquals(output.match(/^\w+ /gm), ["localStorage ", "caches "]);
  assertEquals(output.includes("stored"), false, output);
});

Deno.test("withoutCaches() keeps the user's log level of the runtime, and serves another root", () => {
  using dir = new TempDir();
  const env = { DENO_DIR: "/in/the/root", DENO_LOG: "debug" };
  const change = withEnvironment(env, () => withoutCaches({ root: dir.path }));
  assertEquals(Object.keys(change), ["DENO_DIR"]);
  assertEquals(Deno.statSync(`${dir.path}${change.DENO_DIR}/${CACHES[0]}`).isDirectory, true);
});

Deno.test("withoutCaches() follows no link in another root, and removes nothing there", () => {
  for (const link of ["a", "a/cache", "a/cache/zc-without-caches"]) {
    using dir = new TempDir();
    const victim = dir.file("victim"), root = dir.file("root"), at = `${root}/${link}`;
    Deno.mkdirSync(`${victim}/cache/zc-without-caches`, { recursive: true });
    const kept = ["", "cache/", "cache/zc-without-caches/"].flatMap((directory) =>
      ["passwd", "v8_code_cache_v9"].map((name) => `${victim}/${directory}${name}`)
    );
    for (const path of kept) Deno.writeTextFileSync(path, "");
    Deno.mkdirSync(at.slice(0, at.lastIndexOf("/")), { recursive: true, mode: 0o755 });
    Deno.symlinkSync(victim, at);
    const act = () => withEnvironment({ DENO_DIR: "/a/cache" }, () => withoutCaches({ root }));
    assertThrows(act, Error, `"${at}": it is a link`);
    for (const path of kept) assertEquals(Deno.lstatSync(path).isFile, true);
  }
});

Deno.test("withoutCaches() refuses a DENO_DIR that leads out of another root", () => {
  using dir = new TempDir();
  const act = () => withEnvironment({ DENO_DIR: "/../x" }, () => withoutCaches({ root: dir.path }));
  assertThrows(act, Error, 'it contains ".."');
});

Deno.test("withoutCaches() uses nothing in another root that other users may write to, but for sticky directories on the way", () => {
  using dir = new TempDir();
  const root = dir.path,
    act = () => withEnvironment({ DENO_DIR: "/tmp/cache" }, () => withoutCaches({ root }));
  Deno.mkdirSync(`${root}/tmp`);
  Deno.chmodSync(`${root}/tmp`, 0o1777);
  act();
  for (const path of ["tmp/cache", "tmp"].map((name) => `${root}/${name}`)) {
    const mode = path.endsWith("cache") ? 0o1777 : 0o777;
    Deno.chmodSync(path, mode);
    assertThrows(act, Error, `"${path}": other users may write to it (mode ${mode.toString(8)})`);
    Deno.chmodSync(path, 0o755);
  }
  if (!mayChangeUser()) return;
  for (const name of ["", "tmp", "tmp/cache", "tmp/cache/gen"]) {
    const path = name === "" ? root : `${root}/${name}`;
    Deno.chownSync(path, 12345, 12345);
    assertThrows(act, Error, `"${Deno.realPathSync(path)}": it belongs to user 12345`);
    Deno.chownSync(path, 0, 0);
  }
  act();
});

Deno.test("withoutCaches() makes a view that no other user may write to, whatever the umask, and refuses any other", () => {
  using dir = new TempDir();
  const act = (owner?: string) =>
    withEnvironment({ DENO_DIR: `${dir.path}/cache` }, () => withoutCaches({ owner }).DENO_DIR!);
  const umask = Deno.umask(0);
  try {
    for (const view of [act(), act("a")]) {
      for (
        const path of [
          view,
          ...[...Deno.readDirSync(view)].map(({ name }) => `${view}/${name}`),
        ]
      ) {
        const { isSymlink, mode } = Deno.lstatSync(path);
        if (!isSymlink) assertEquals(mode! & 0o022, 0, path);
      }
    }
  } finally {
    Deno.umask(umask);
  }
  const view = act("a");
  for (const path of [view, `${view}/gen`, `${view}/v8_code_cache_v2`, `${view}/web_cache`]) {
    Deno.chmodSync(path, 0o757);
    assertThrows(() => act("a"), Error, `"${path}": other users may write to it (mode 757)`);
    Deno.chmodSync(path, 0o755);
    if (!mayChangeUser()) continue;
    Deno.chownSync(path, 12345, 12345);
    assertThrows(() => act("a"), Error, `"${path}": it belongs to user 12345`);
    Deno.chownSync(path, 0, 0);
  }
  Deno.removeSync(view, { recursive: true });
  Deno.symlinkSync(dir.path, view);
  assertThrows(() => act("a"), Error, `"${view}": it is a link`);
});

Deno.test("withoutCaches() does not change a read-only directory", () => {
  const change = withEnvironment({ DENO_DIR: "/sys" }, () => withoutCaches());
  assertEquals(change, { DENO_DIR: "/sys" });
});
