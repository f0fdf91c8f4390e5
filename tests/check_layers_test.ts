import { assertEquals } from "@std/assert";
import { ensureDirSync } from "@std/fs/ensure-dir";
import { checkLayers, FOLDERS } from "../tools/check_layers.ts";

/** Writes a tree of files, checks it, and gives each violation as a line of text. */
function violationsOf(files: Readonly<Record<string, string>>): string[] {
  const root = Deno.makeTempDirSync();
  try {
    for (const [file, text] of Object.entries(files)) {
      ensureDirSync(`${root}/${file}`.replace(/\/[^/]*$/, ""));
      Deno.writeTextFileSync(`${root}/${file}`, text);
    }
    return checkLayers(root).map(({ file, line, why }) => `${file}:${line}: ${why}`);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
}

const CLEAN = {
  "mod.ts": `export * from "./master.ts";\n`,
  "master.ts": `import { a } from "./src/master/a.ts";\nexport { b } from "./src/server/b.ts";\n`,
  "src/master/a.ts":
    `import type { S } from "./policy/states.ts";\nimport * as p from "../ipc/p.ts";\n`,
  "src/master/policy/states.ts": "export type S = 1;\n",
  "src/server/b.ts": `import { l } from "../log/l.ts";\n`,
  "src/ipc/p.ts": `import "../os/ffi/k.ts";\n`,
  "src/log/l.ts": `import { c } from "../config/c.ts";\n`,
  "src/config/c.ts": `import { k } from "../os/ffi/k.ts";\nimport { join } from "@std/fs";\n`,
  "src/os/ffi/k.ts": `Deno.kill(1, "SIGHUP");\nDeno.dlopen("libc.so.6", {});\n`,
  "examples/e.ts": `import { m } from "../mod.ts";\n`,
};

Deno.test("checkLayers() finds nothing wrong in a tree that keeps all rules", () => {
  assertEquals(violationsOf(CLEAN), []);
});

Deno.test("checkLayers() names file, line and layer of an import that goes up", () => {
  const text = `/** Doc. */\n\nimport {\n  a,\n} from "../../log/l.ts";\n`;
  assertEquals(violationsOf({ ...CLEAN, "src/os/ffi/up.ts": text }), [
    "src/os/ffi/up.ts:3: imports src/log/l.ts, expected only layers below src/os",
  ]);
  assertEquals(violationsOf({ ...CLEAN, "src/ipc/up.ts": `export * from "../../mod.ts";\n` }), [
    "src/ipc/up.ts:1: imports mod.ts, expected only layers below src/ipc",
  ]);
});

Deno.test("checkLayers() sees dynamic imports, type imports and imports for effect", () => {
  for (
    const text of [
      `const l = await import("../../log/l.ts");\n`,
      `import type { L } from "../../log/l.ts";\n`,
      `import "../../log/l.ts";\n`,
      `export { l } from '../../log/l.ts';\n`,
      `type L = import("../../log/l.ts").L;\n`,
    ]
  ) {
    assertEquals(violationsOf({ "src/log/l.ts": "", "src/os/ffi/up.ts": text }), [
      "src/os/ffi/up.ts:1: imports src/log/l.ts, expected only layers below src/os",
    ]);
  }
});

Deno.test("checkLayers() keeps src/master and src/server apart, both ways", () => {
  const files = {
    "src/master/m.ts": `import { b } from "../server/b.ts";\n`,
    "src/server/s.ts": `import { a } from "../master/a.ts";\n`,
  };
  assertEquals(violationsOf({ ...CLEAN, ...files }), [
    "src/master/m.ts:1: imports src/server/b.ts, " +
    "expected src/master and src/server to know nothing of each other",
    "src/server/s.ts:1: imports src/master/a.ts, " +
    "expected src/server and src/master to know nothing of each other",
  ]);
});

Deno.test("checkLayers() finds the system's calls outside of src/os, with their lines", () => {
  const text =
    `const x = 1;\nDeno.kill(x);\nconst p = Deno.UnsafePointer.of(b);\nprocess.kill(x);\nlibc().getpid();\n`;
  assertEquals(violationsOf({ ...CLEAN, "src/ipc/k.ts": text, "aio_server.ts": "Deno.dlopen()" }), [
    "aio_server.ts:1: uses Deno.dlopen, expected it in src/os",
    "src/ipc/k.ts:2: uses Deno.kill, expected it in src/os",
    "src/ipc/k.ts:3: uses Deno.UnsafePointer, expected it in src/os",
    "src/ipc/k.ts:4: uses process.kill, expected it in src/os",
    "src/ipc/k.ts:5: uses libc(, expected it in src/os",
  ]);
});

Deno.test("checkLayers() finds timers that are not the clock's, in src alone", () => {
  const text = `const t = setTimeout(f, 1);\nclock.setTimer(1, f);\nsetInterval(f, 1);\n`;
  assertEquals(violationsOf({ ...CLEAN, "src/os/clock/t.ts": text, "examples/t.ts": text }), [
    "src/os/clock/t.ts:1: uses setTimeout, expected the clock of src/os/clock/clock.ts",
    "src/os/clock/t.ts:3: uses setInterval, expected the clock of src/os/clock/clock.ts",
  ]);
});

Deno.test("checkLayers() leaves the choice of a server's way to its backend", () => {
  const text =
    `if (mayUseFfi()) f();\nif (e instanceof AdoptError) g();\nthrow new AdoptError();\n`;
  const files = {
    "src/server/backend/b.ts": text,
    "src/server/tls/t.ts": text,
    "src/log/l.ts": text,
  };
  assertEquals(violationsOf({ ...CLEAN, ...files }), [
    "src/server/tls/t.ts:1: uses mayUseFfi, expected the backend of src/server/backend/chosen.ts",
    "src/server/tls/t.ts:2: uses instanceof AdoptError, expected the backend of src/server/backend/chosen.ts",
  ]);
});

Deno.test("checkLayers() takes comments and template literals for no code", () => {
  const text = [
    `// Deno.kill(1), import "../log/l.ts";`,
    `/** Use Deno.dlopen`,
    ` * import { l } from "../log/l.ts"; */`,
    "const program = `",
    `import "../log/l.ts";`,
    "`;",
    `const url = "http://localhost";`,
    `Deno.kill(1);`,
  ].join("\n");
  assertEquals(violationsOf({ "src/config/c.ts": text }), [
    "src/config/c.ts:8: uses Deno.kill, expected it in src/os",
  ]);
});

Deno.test("checkLayers() allows src/master/policy/states.ts no import at all", () => {
  const text = `import { assert } from "@std/assert";\n`;
  assertEquals(violationsOf({ ...CLEAN, "src/master/policy/states.ts": text }), [
    `src/master/policy/states.ts:1: imports "@std/assert", expected no import: it is pure data`,
  ]);
});

Deno.test("checkLayers() tells a cycle once, at the import that closes it", () => {
  const files = {
    "src/os/fd/a.ts": `import "./b.ts";\n`,
    "src/os/fd/b.ts": `\nimport "./c.ts";\n`,
    "src/os/fd/c.ts": `\n\nimport type { A } from "./a.ts";\n`,
  };
  assertEquals(violationsOf(files), [
    "src/os/fd/c.ts:3: closes the cycle " +
    "src/os/fd/a.ts → src/os/fd/b.ts → src/os/fd/c.ts → src/os/fd/a.ts",
  ]);
});

Deno.test("checkLayers() lets published files import no test, no stand-in and no example", () => {
  const files = {
    "master.ts": [
      `import "./tests/help.ts";`,
      `import "./links/std_log/mod.ts";`,
      `import "./tests/fakes/f.ts";`,
      `import "./examples/e.ts";`,
      `import config from "./deno.json" with { type: "json" };`,
    ].join("\n"),
  };
  assertEquals(violationsOf({ "examples/e.ts": "", ...files }), [
    "master.ts:1: imports tests/help.ts, which is not published",
    "master.ts:2: imports links/std_log/mod.ts, which is not published",
    "master.ts:3: imports tests/fakes/f.ts, which is not published",
    "master.ts:4: imports examples/e.ts, expected no import of examples",
  ]);
});

Deno.test("checkLayers() lets examples use nothing but the entry points", () => {
  const files = { "examples/deep.ts": `import { l } from "../src/log/l.ts";\n` };
  assertEquals(violationsOf({ ...CLEAN, ...files }), [
    "examples/deep.ts:1: imports src/log/l.ts, expected an entry point: examples use what users use",
  ]);
});

Deno.test("checkLayers() names a file of src that is in no layer", () => {
  assertEquals(violationsOf({ "src/util.ts": "" }), [
    "src/util.ts:1: is in no layer, expected one of " +
    "src/os, src/config, src/log, src/ipc, src/control, src/master, src/server, src/metrics, " +
    "src/commands, src/serve",
  ]);
});

Deno.test("checkLayers() keeps the folders of a layer to what the table allows", () => {
  const files = {
    "src/os/fd/d.ts": "",
    "src/os/ffi/l.ts": `import { d } from "../fd/d.ts";\n`,
    "src/os/user/u.ts": `import { d } from "../fd/d.ts";\nimport { l } from "../ffi/l.ts";\n`,
    "src/master/policy/p.ts":
      `import { m } from "../m.ts";\nimport { d } from "../../os/fd/d.ts";\n`,
    "src/master/m.ts": "",
  };
  assertEquals(violationsOf(files), [
    "src/master/policy/p.ts:1: imports src/master/m.ts, expected of src/master only files of its own folder",
    "src/os/ffi/l.ts:1: imports src/os/fd/d.ts, expected of src/os only files of its own folder",
    "src/os/user/u.ts:1: imports src/os/fd/d.ts, expected of src/os only files from src/os/ffi",
  ]);
});

Deno.test("checkLayers() names a file in a folder that the table does not have", () => {
  assertEquals(violationsOf({ "src/os/new/n.ts": "" }), [
    "src/os/new/n.ts:1: is in src/os/new, expected a folder that FOLDERS of tools/check_layers.ts names",
  ]);
});

Deno.test("the table of folders allows no cycle", () => {
  const layerOf = (folder: string) => folder.split("/").slice(0, 2).join("/");
  const ways = (folder: string, path: readonly string[] = []): string[] => {
    if (path.includes(folder)) return [[...path, folder].join(" → ")];
    return FOLDERS[folder].flatMap((name) => {
      const layer = layerOf(folder);
      return ways(name === "." ? layer : `${layer}/${name}`, [...path, folder]);
    });
  };
  assertEquals(Object.keys(FOLDERS).flatMap((folder) => ways(folder)), []);
});
