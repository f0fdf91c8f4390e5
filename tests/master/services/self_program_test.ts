import { assertEquals, assertThrows } from "@std/assert";
import { formatProblem } from "../../../src/config/errors.ts";
import { parseArguments } from "../../../src/config/args.ts";
import { MasterConfiguration } from "../../../src/master/services/configuration.ts";
import { commandFiles } from "../../../src/master/services/command_files.ts";
import { locate } from "../../../src/master/services/command.ts";
import { loadServices } from "../../../src/master/services/load.ts";
import { scriptRunOf } from "../../../src/master/services/module_versions.ts";
import type { ProgramLookup } from "../../../src/master/services/program_lookup.ts";
import { requireProtocol } from "../../../src/master/services/protocol_choice.ts";
import { type SelfProgram, selfProgram } from "../../../src/master/services/self_program.ts";
import { programToStart } from "../../../src/master/workers/start.ts";
import { type FakeFile, fakeLookup } from "../../fakes/fake_lookup.ts";
import { TempDir } from "../../support/temp.ts";
import { configOf, resolved } from "../service_configs.ts";

const cwd = "/srv";
const ELF = { executable: "\x7fELF" };
const FILES: Readonly<Record<string, FakeFile>> = {
  "/srv/main.ts": "file",
  "/srv/main": "file",
  "/srv/app-1": ELF,
  "/usr/bin/env": ELF,
  "/srv/hello.ts": "file",
};
const MODULE: SelfProgram = {
  kind: "module",
  file: "/srv/main.ts",
  url: "file:///srv/main.ts",
  flags: ["--config=/srv/deno.json", "--no-check"],
};
const BINARY: SelfProgram = { kind: "binary", path: "/srv/app-1" };

/** The lookup of a master that Deno runs. */
const RUN = fakeLookup(FILES, { self: MODULE, ownServers: ["web", "mail"] });
/** The lookup of a compiled master. */
const COMPILED = fakeLookup(FILES, {
  ...{ self: BINARY, ownServers: ["web", "mail"], selfPath: "/srv/app-1", denoPath: undefined },
});

/** The same with a main module whose files are unknown. */
const DENO_ELSEWHERE = fakeLookup(FILES, {
  self: { kind: "module", url: "jsr:@a/b", flags: [] },
});

function located(
  command: string,
  settings: Readonly<Record<string, string>> = {},
  lookup: ProgramLookup = RUN,
) {
  return locate(configOf("a.cf", { command, settings }), { lookup, cwd });
}

function commandLine(...args: Parameters<typeof located>): string {
  const { path, args: words } = located(...args).program;
  return [path, ...words].join(" ");
}

async function problemsOf(
  settings: Readonly<Record<string, string>>,
  lookup: ProgramLookup,
): Promise<string[]> {
  using dir = new TempDir();
  const lines = Object.entries({ ...settings, "server-service": "0:80" });
  dir.write("a.cf", lines.map(([key, value]) => `${key} = ${value}\n`).join(""));
  const { problems } = await loadServices({ directory: dir.path, cwd, lookup });
  return problems.map((problem) => formatProblem(problem).replaceAll(`${dir.path}/`, ""));
}

const START = {
  isCompiled: false,
  path: () => "/srv/app-1",
  argv: ["deno", "run", "-A", "-c", "deno.json", "main.ts", "-C", "conf"],
  argumentCount: 2,
  mainModule: "file:///srv/main.ts",
  cwd,
};

Deno.test("selfProgram() is the main module with the flags by which modules are found", () => {
  const file = "/srv/main.ts", url = "file:///srv/main.ts";
  assertEquals(selfProgram(START), {
    ...{ kind: "module", file, url, flags: ["--config=/srv/deno.json"] },
  });
  const bare = { ...START, argv: ["deno", "--allow-all", "main.ts"], argumentCount: 0 };
  assertEquals(selfProgram(bare), { kind: "module", file, url, flags: [] });
});

Deno.test("selfProgram() goes by the name of its directory, which may be a link, and by the module where the word is an alias", () => {
  const fileOf = (word: string, mainModule: string) => {
    const argv = ["deno", "run", "-A", word];
    const self = selfProgram({ ...START, argv, argumentCount: 0, mainModule, cwd: "/srv/current" });
    return self?.kind === "module" ? self.file : undefined;
  };
  const url = "file:///srv/release-1/src/main.ts";
  for (const word of ["src/main.ts", "./src/main.ts"]) {
    assertEquals(fileOf(word, url), "/srv/current/src/main.ts");
  }
  assertEquals(fileOf("/srv/link/main.ts", url), "/srv/link/main.ts");
  for (const word of ["app", url]) {
    assertEquals(fileOf(word, url), "/srv/release-1/src/main.ts");
  }
});

Deno.test("selfProgram() keeps the name of a package, and takes any other module by its URL", () => {
  const ofNetwork = (word: string, mainModule: string) =>
    selfProgram({ ...START, argv: ["deno", "run", "-A", word], argumentCount: 0, mainModule });
  assertEquals(ofNetwork("jsr:@a/b", "https://jsr.io/@a/b/1.0.0/mod.ts"), {
    ...{ kind: "module", url: "jsr:@a/b", flags: [] },
  });
  assertEquals(ofNetwork("https://a.org/m.ts", "https://a.org/m.ts"), {
    ...{ kind: "module", url: "https://a.org/m.ts", flags: [] },
  });
});

Deno.test("selfProgram() knows no way to start a program that is in no file", () => {
  for (const name of ["stdin", "eval", "test"]) {
    const mainModule = `file:///srv/$deno$${name}.mts`;
    assertEquals(selfProgram({ ...START, mainModule }), undefined);
  }
});

Deno.test("selfProgram() of a compiled program is its file, whatever its arguments are", () => {
  const argv = ["app", "-C", "conf"];
  assertEquals(selfProgram({ ...START, argv, isCompiled: true }), BINARY);
});

Deno.test("locate() starts the main module with all permissions, or with those of the settings and no others", () => {
  const flags = "--config=/srv/deno.json --no-check /srv/main.ts --zc-server=web";
  assertEquals(commandLine("self web"), `/opt/deno run -A ${flags}`);
  assertEquals(commandLine("self web -x 'a b'"), `/opt/deno run -A ${flags} -x a b`);
  assertEquals(
    commandLine("self web", { "server-permissions": "none" }),
    `/opt/deno run --cached-only --no-prompt ${flags}`,
  );
  assertEquals(
    commandLine("self web", { "server-permissions": "--allow-ffi --allow-net" }),
    `/opt/deno run --no-prompt --allow-ffi --allow-net ${flags}`,
  );
  assertEquals(commandLine("env A=1 self web"), `/usr/bin/env A=1 /opt/deno run -A ${flags}`);
});

Deno.test("locate() gives a main module --cached-only once", () => {
  const self = { ...MODULE, flags: ["--cached-only"] } as SelfProgram;
  assertEquals(
    commandLine("self web", { "server-permissions": "none" }, { ...RUN, self }),
    "/opt/deno run --no-prompt --cached-only /srv/main.ts --zc-server=web",
  );
});

Deno.test("locate() starts a main module of the network, or of bytes that are no text, by its URL", () => {
  const url = "jsr:@a/b", flags: string[] = [];
  assertEquals(
    commandLine("self web", {}, { ...RUN, self: { kind: "module", url, flags } }),
    "/opt/deno run -A jsr:@a/b --zc-server=web",
  );
  const file = "/srv/\udcff.ts";
  const self = { kind: "module", file, url: "file:///srv/%FF.ts", flags } as const;
  assertEquals(
    commandLine("self web", {}, { ...RUN, self, isFile: (path) => path === file }),
    "/opt/deno run -A file:///srv/%FF.ts --zc-server=web",
  );
});

Deno.test("locate() starts a compiled program itself", () => {
  assertEquals(commandLine("self web -x 1", {}, COMPILED), "/srv/app-1 --zc-server=web -x 1");
  assertEquals(
    commandLine("env A=1 self web", {}, COMPILED),
    "/usr/bin/env A=1 /srv/app-1 --zc-server=web",
  );
});

Deno.test("the protocol of locate() for self is that of a script with the same permissions", () => {
  for (
    const [lookup, permissions, protocol] of [
      [RUN, "all", "control"],
      [RUN, "--allow-ffi", "control"],
      [RUN, "none", "inherit"],
      [COMPILED, "all", "control"],
    ] as const
  ) {
    const found = located("self web", { "server-permissions": permissions }, lookup);
    requireProtocol(found);
    assertEquals([found.protocol, found.isRestricted], [protocol, protocol === "inherit"]);
  }
});

Deno.test("locate() takes self as a path for the program of that name", () => {
  const lookup = fakeLookup({ "/srv/self": ELF });
  assertEquals(commandLine("./self web", {}, lookup), "./self web");
});

for (
  const [command, message, options] of [
    [
      "self wbe",
      'Cannot run "self wbe": no server of this program has this name, expected self web',
      {},
    ],
    [
      "self other",
      'Cannot run "self other": no server of this program has this name, ' +
      "expected self web, self mail",
      {},
    ],
    ["self", 'Cannot run "self": no name behind it, expected self web, self mail', {}],
    ["self", 'Cannot run "self": no name behind it, expected self NAME', { ownServers: undefined }],
    [
      "self -x",
      'Cannot run "self -x": no name, expected self NAME, of letters, digits, ., _ and -',
      { ownServers: undefined },
    ],
    [
      "self web",
      'Cannot run "self web": this program has no servers, ' +
      "expected a program that calls masterServerMain({ servers: { web: ... } })",
      { ownServers: [] },
    ],
    [
      "self web",
      'Cannot run "self web": a program that is in no file, ' +
      "expected a main module in a file, or deno compile",
      { self: undefined },
    ],
    [
      "self web",
      'Cannot run "/srv/main.ts": no such file, expected a script',
      { isFile: () => false },
    ],
  ] as const
) {
  Deno.test(`locate() refuses "${command}" with ${JSON.stringify(options)}`, () => {
    assertThrows(() => located(command, {}, { ...RUN, ...options }), TypeError, message);
  });
}

Deno.test("locate() accepts any name where the program chooses between its servers itself", () => {
  const lookup = { ...COMPILED, ownServers: undefined };
  assertEquals(commandLine("self other", {}, lookup), "/srv/app-1 --zc-server=other");
});

Deno.test("loadServices() refuses an unknown name at its line", async () => {
  for (const lookup of [RUN, COMPILED]) {
    assertEquals(await problemsOf({ "server-command": "self wbe" }, lookup), [
      'a.cf:1: server-command: Cannot run "self wbe": ' +
      "no server of this program has this name, expected self web",
    ]);
  }
});

Deno.test("loadServices() refuses permissions for a compiled program, and another root", async () => {
  const command = { "server-command": "self web" };
  assertEquals(await problemsOf({ ...command, "server-permissions": "all" }, COMPILED), []);
  assertEquals(
    await problemsOf({ ...command, "server-permissions": "--allow-net" }, COMPILED),
    [
      'a.cf:2: server-permissions: Cannot grant "--allow-net": ' +
      "a compiled program, whose permissions are those of deno compile, " +
      "expected server-permissions = all",
    ],
  );
  assertThrows(
    () => located("self web", { "master-chroot": "/jail" }),
    TypeError,
    'Cannot run "self web": master-chroot, in which this program is out of reach, ' +
      "expected server-chroot",
  );
});

Deno.test("loadServices() tells who needs a deno beside a compiled master", async () => {
  const command = { "server-command": "hello.ts" };
  assertEquals(await problemsOf(command, COMPILED), [
    'a.cf:1: server-command: Cannot run "hello.ts": no deno in PATH (/usr/local/bin:/usr/bin), ' +
    "and a compiled master has none, expected a deno there, or a server in the same binary: " +
    "self NAME",
  ]);
  const beside = fakeLookup({ ...FILES, "/usr/bin/deno": ELF }, {
    ...{ self: BINARY, selfPath: "/srv/app-1", denoPath: undefined },
  });
  assertEquals(await problemsOf(command, beside), []);
});

Deno.test("loadServices() asks whether the user of a service may run the program, and read its main module", async () => {
  const settings = { "server-command": "self web", "server-user": "www" };
  const refusing = (lookup: ProgramLookup, closed: string): ProgramLookup => ({
    ...lookup,
    accessAs: (_, wanted) => wanted.map(([, path]) => path !== closed && path !== "/srv/app"),
  });
  for (
    const [lookup, closed, what] of [
      [RUN, "/opt/deno", "execute"],
      [RUN, "/srv/main.ts", "read"],
      [COMPILED, "/srv/app-1", "execute"],
    ] as const
  ) {
    // The fake directory of the runtime is open to all.
    const open = { ...refusing(lookup, closed), cachePaths: () => [] };
    assertEquals(await problemsOf(settings, open), [
      `a.cf:2: server-user: Cannot ${what} "${closed}": not permitted for user www, ` +
      `expected a file that user www may ${what}, or server-start-user = master`,
    ]);
  }
});

Deno.test("the files of a service of self are those of the program", () => {
  assertEquals(commandFiles(located("self web")), ["/srv/main.ts"]);
  assertEquals(commandFiles(located("self web", {}, COMPILED)), ["/srv/app-1"]);
});

Deno.test("scriptRunOf() finds the modules of a main module, with the flags that lead to them", () => {
  assertEquals(scriptRunOf(located("self web")), {
    ...{ deno: "/opt/deno", script: "/srv/main.ts", cwd, flags: ["--config=/srv/deno.json"] },
  });
  assertEquals(scriptRunOf(located("self web", {}, COMPILED)), undefined);
});

Deno.test("a configuration knows all modules of a compiled program: they are in its file", async () => {
  using dir = new TempDir();
  dir.write("a.cf", "server-command = self web\nserver-service = 0:80\nserver-reload = changed\n");
  for (const [lookup, unknown] of [[COMPILED, []], [DENO_ELSEWHERE, ["a.cf"]]] as const) {
    const source = { directory: dir.path, cwd, lookup };
    const { unknownModules } = await new MasterConfiguration(parseArguments([]), source).peek();
    assertEquals<readonly string[]>([...unknownModules.keys()], unknown);
  }
});

Deno.test("programToStart() keeps to the version of a compiled program until its file is gone", () => {
  const service = resolved(configOf("a.cf", { command: "self web" }), { lookup: COMPILED, cwd });
  assertEquals(service.selfBinary, "/srv/app-1");
  const start = (lookup: ProgramLookup) =>
    programToStart(service, { lookup, cwd, generation: 1 }).path;
  const self: SelfProgram = { kind: "binary", path: "/srv/app-2" };
  const files = { ...FILES, "/srv/app-2": ELF };
  assertEquals(start({ ...fakeLookup(files), self }), "/srv/app-1");
  assertEquals(start({ ...fakeLookup({ "/srv/app-2": ELF }), self }), "/srv/app-2");
  assertThrows(() => start({ ...fakeLookup({}), self }), TypeError, 'Cannot run "/srv/app-2"');
});
