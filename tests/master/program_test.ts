import { assertEquals, assertThrows } from "@std/assert";
import type { ServiceConfig } from "../../src/config/service.ts";
import { type ProgramLookup, programOf, protocolOf } from "../../src/master/program.ts";
import { fakeLookup } from "../../src/testing/fake_lookup.ts";
import { serviceOf } from "./service_configs.ts";

const cwd = "/srv";

const LOOKUP = fakeLookup({
  "/srv/bin/imapd": { executable: "\x7fELF" },
  "/srv/bin/server.ts": "file",
  "/srv/bin/notes": "file",
  "/srv/dir": "directory",
  "/srv/bin/dir": "directory",
  "/srv/bin/dir.ts": "directory",
  "/srv/run.sh": { executable: "#!/bin/sh" },
  "/srv/deno.sh": { executable: "#!/usr/bin/env -S deno run -A" },
  "/srv/limited.sh": { executable: "#!/usr/bin/env -S deno run --allow-net" },
  "/srv/denounce": { executable: "#!/usr/bin/denounce" },
  "/usr/bin/node": { executable: "\x7fELF" },
  "/usr/local/bin/tool": "file",
  "/usr/bin/tool": { executable: "\x7fELF" },
  "/usr/bin/closed": "file",
  "/usr/bin/dir": "directory",
  "/opt/deno": { executable: "\x7fELF" },
  "/jail/bin/imapd": { executable: "\x7fELF" },
  "/jail/usr/bin/deno": { executable: "\x7fELF" },
  "/jail/srv/imapd": { executable: "\x7fELF" },
  "/jail/server.ts": "file",
});

function withCommand(command: string, settings: Record<string, string> = {}): ServiceConfig {
  return serviceOf("x", { command, settings });
}

/** The path of the program and its arguments, in one list. */
function resolve(command: string, lookup: ProgramLookup = LOOKUP): string[] {
  const { path, args } = programOf(withCommand(command), { lookup, cwd });
  return [path, ...args];
}

Deno.test("programOf() runs a script by Deno, with all permissions", () => {
  assertEquals(resolve("bin/server.ts"), ["/opt/deno", "run", "-A", "bin/server.ts"]);
  assertEquals(resolve("/srv/bin/server.ts -x 1"), [
    "/opt/deno",
    "run",
    "-A",
    "/srv/bin/server.ts",
    "-x",
    "1",
  ]);
});

for (const extension of ["ts", "js", "mts", "cjs", "tsx", "jsx"]) {
  Deno.test(`programOf() knows a script by its extension .${extension}`, () => {
    const lookup = fakeLookup({ [`/srv/s.${extension}`]: "file" });
    assertEquals(resolve(`s.${extension}`, lookup), ["/opt/deno", "run", "-A", `s.${extension}`]);
  });
}

Deno.test("programOf() takes the word deno for the Deno that runs the master", () => {
  assertEquals(resolve("deno run x.ts"), ["/opt/deno", "run", "x.ts"]);
});

Deno.test("programOf() looks for Deno in PATH when the master is a compiled program", () => {
  const compiled = { denoPath: undefined, selfPath: "/opt/master" };
  const lookup = fakeLookup({
    "/usr/bin/deno": { executable: "\x7fELF" },
    "/srv/s.ts": "file",
  }, compiled);
  assertEquals(resolve("deno eval 1", lookup), ["/usr/bin/deno", "eval", "1"]);
  assertEquals(resolve("s.ts", lookup), ["/usr/bin/deno", "run", "-A", "s.ts"]);
  assertThrows(
    () => resolve("s.ts", fakeLookup({ "/srv/s.ts": "file" }, compiled)),
    TypeError,
    'Cannot run "deno": no such program, expected an executable file in PATH',
  );
});

Deno.test("programOf() leaves a path as it is written, and looks a name up in PATH", () => {
  assertEquals(resolve("bin/imapd -v"), ["bin/imapd", "-v"]);
  assertEquals(resolve("./run.sh"), ["./run.sh"]);
  assertEquals(resolve("node server.js"), ["/usr/bin/node", "server.js"]);
});

Deno.test("programOf() passes over a file in PATH that can't be executed, as execvp(3) does", () => {
  assertEquals(resolve("tool"), ["/usr/bin/tool"]);
});

Deno.test("programOf() takes an empty part of PATH for the working directory", () => {
  const lookup = fakeLookup({ "/srv/tool": { executable: "" } }, { searchPath: ["/usr/bin", ""] });
  assertEquals(resolve("tool", lookup), ["./tool"]);
});

for (
  const [command, message] of [
    ["bin/none", 'Cannot run "bin/none": no such program, expected an executable file'],
    ["none", 'Cannot run "none": no such program, expected an executable file in PATH'],
    [
      "bin/notes",
      'Cannot run "bin/notes": a file that may not be executed, expected an executable file',
    ],
    [
      "closed",
      'Cannot run "closed": a file that may not be executed, expected an executable file in PATH',
    ],
    ["bin/dir", 'Cannot run "bin/dir": a directory, expected an executable file'],
    ["dir", 'Cannot run "dir": no such program, expected an executable file in PATH'],
    ["none.ts", 'Cannot run "none.ts": no such file, expected a script'],
    ["bin/dir.ts", 'Cannot run "bin/dir.ts": a directory, expected a script'],
  ]
) {
  Deno.test(`programOf() refuses ${command} and says why`, () => {
    assertEquals(assertThrows(() => resolve(command), TypeError).message, message);
  });
}

Deno.test("programOf() looks where the program will be after the change of directory", () => {
  const place = { lookup: LOOKUP, cwd };
  const service = withCommand("./imapd", { "master-chdir": "bin" });
  assertEquals(programOf(service, place), { path: "./imapd", args: [], directory: "bin" });
  assertThrows(() => programOf(withCommand("./imapd"), place), TypeError);
});

Deno.test("programOf() looks where the program will be after the change of root", () => {
  const place = { lookup: LOOKUP, cwd: "/" };
  const settings = { "master-chroot": "jail" };
  assertEquals(programOf(withCommand("/bin/imapd", settings), place), {
    path: "/bin/imapd",
    args: [],
    root: "/jail",
  });
  // The Deno that runs the master is outside of it.
  assertEquals(programOf(withCommand("/server.ts", settings), place), {
    path: "/usr/bin/deno",
    args: ["run", "-A", "/server.ts"],
    root: "/jail",
  });
  const inWork = { ...settings, "master-chdir": "/srv" };
  assertEquals(programOf(withCommand("./imapd", inWork), place), {
    path: "./imapd",
    args: [],
    root: "/jail",
    directory: "/srv",
  });
});

for (
  const [command, protocol] of [
    ["bin/server.ts", "control"],
    ["deno run -A bin/server.ts", "control"],
    ["deno run -q --allow-ffi --allow-read bin/server.ts", "control"],
    ["deno run -c deno.json -RNA bin/server.ts", "control"],
    ["/opt/deno run --allow-all bin/server.ts", "control"],
    ["deno task serve", "control"],
    ["./deno.sh", "control"],
    ["deno run bin/server.ts", "inherit"],
    ["deno run --allow-net bin/server.ts -A", "inherit"],
    ["deno run -R=/A bin/server.ts", "inherit"],
    ["deno run --allow-ffi=/usr/lib bin/server.ts", "inherit"],
    ["deno run -A --deny-ffi bin/server.ts", "inherit"],
    ["/opt/deno run bin/server.ts", "inherit"],
    ["./limited.sh", "inherit"],
    ["./run.sh", "libzc"],
    ["./denounce", "libzc"],
    ["bin/imapd", "libzc"],
    ["node server.js", "libzc"],
  ]
) {
  Deno.test(`protocolOf() takes ${command} for a program that speaks ${protocol}`, () => {
    assertEquals(protocolOf(withCommand(command), { lookup: LOOKUP, cwd }), protocol);
  });
}

for (
  const [permissions, protocol, flags] of [
    ["all", "control", ["-A"]],
    ["none", "inherit", ["--no-prompt"]],
    ["--allow-net", "inherit", ["--no-prompt", "--allow-net"]],
    ["--allow-ffi --allow-read", "control", ["--no-prompt", "--allow-ffi", "--allow-read"]],
    ["--allow-all --deny-ffi", "inherit", ["--no-prompt", "--allow-all", "--deny-ffi"]],
  ] as const
) {
  Deno.test(`programOf() and protocolOf() run a script with server-permissions ${permissions}`, () => {
    const service = withCommand("bin/server.ts", { "server-permissions": permissions });
    const place = { lookup: LOOKUP, cwd };
    assertEquals(programOf(service, place).args, ["run", ...flags, "bin/server.ts"]);
    assertEquals(protocolOf(service, place), protocol);
  });
}

Deno.test("protocolOf() takes the compiled master's own program for one that speaks control", () => {
  const lookup = fakeLookup({ "/opt/master": { executable: "\x7fELF" } }, {
    denoPath: undefined,
    selfPath: "/opt/master",
  });
  assertEquals(protocolOf(withCommand("/opt/master server"), { lookup, cwd }), "control");
});

Deno.test("protocolOf() does what the setting says, whatever the program is", () => {
  for (const protocol of ["control", "libzc", "systemd"]) {
    const service = withCommand("bin/server.ts", { "server-protocol": protocol });
    assertEquals(protocolOf(service, { lookup: LOOKUP, cwd }), protocol);
  }
});
