import { assertEquals, assertThrows } from "@std/assert";
import type { ServiceConfig } from "../../../src/config/service.ts";
import { locate } from "../../../src/master/services/command.ts";
import type { ProgramLookup } from "../../../src/master/services/program_lookup.ts";
import { requireProtocol } from "../../../src/master/services/protocol_choice.ts";
import { fakeLookup } from "../../fakes/fake_lookup.ts";
import { configOf } from "../service_configs.ts";

const cwd = "/srv";

const LOOKUP = fakeLookup({
  "/srv/bin/imapd": { executable: "\x7fELF" },
  "/srv/bin/server.ts": "file",
  "/srv/bin/notes": "file",
  "/srv/dir": "directory",
  "/srv/bin/dir": "directory",
  "/srv/bin/dir.ts": "directory",
  "/srv/dead.ts": "dead link",
  "/srv/dead": "dead link",
  "/srv/run.sh": { executable: "#!/bin/sh" },
  "/srv/deno.sh": { executable: "#!/usr/bin/env -S deno run -A" },
  "/srv/limited.sh": { executable: "#!/usr/bin/env -S deno run --allow-net" },
  "/srv/bare.sh": { executable: "#!/usr/bin/env -S deno --allow-net" },
  "/srv/denounce": { executable: "#!/usr/bin/denounce" },
  "/usr/bin/node": { executable: "\x7fELF" },
  "/usr/bin/env": { executable: "\x7fELF" },
  "/usr/bin/npm": { executable: "#!/usr/bin/env node" },
  "/usr/bin/npx": { executable: "#!/usr/bin/env node" },
  "/usr/bin/nice": { executable: "\x7fELF" },
  "/usr/bin/nohup": { executable: "\x7fELF" },
  "/usr/bin/setpriv": { executable: "\x7fELF" },
  "/usr/bin/timeout": { executable: "\x7fELF" },
  "/usr/bin/sudo": { executable: "\x7fELF" },
  "/usr/bin/sh": { executable: "\x7fELF" },
  "/srv/server.py": { executable: "#! /usr/bin/env python3" },
  "/srv/flags.mjs.sh": { executable: "#!/usr/bin/env -S node --flag" },
  "/srv/node_modules/.bin/deno": { executable: "#!/usr/bin/env node" },
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
  return configOf("x", { command, settings });
}

/** The path of the program and its arguments, in one list. */
function resolve(command: string, lookup: ProgramLookup = LOOKUP): string[] {
  const { path, args } = locate(withCommand(command), { lookup, cwd }).program;
  return [path, ...args];
}

Deno.test("locate() runs a script by Deno, with all permissions", () => {
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
  Deno.test(`locate() knows a script by its extension .${extension}`, () => {
    const lookup = fakeLookup({ [`/srv/s.${extension}`]: "file" });
    assertEquals(resolve(`s.${extension}`, lookup), ["/opt/deno", "run", "-A", `s.${extension}`]);
  });
}

Deno.test("locate() resolves the word deno to the Deno that runs the master", () => {
  assertEquals(resolve("deno run x.ts"), ["/opt/deno", "run", "--cached-only", "x.ts"]);
});

Deno.test("locate() looks for Deno in PATH when the master is a compiled program", () => {
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
    'Cannot run "s.ts": no deno in PATH (/usr/local/bin:/usr/bin), and a compiled master has none, ' +
      "expected a deno there, or a server in the same binary: self NAME",
  );
  assertThrows(
    () => resolve("deno eval 1", fakeLookup({}, compiled)),
    TypeError,
    'Cannot run "deno": no such program, expected an executable file in PATH ' +
      "(/usr/local/bin:/usr/bin)",
  );
});

Deno.test("locate() keeps a path as it is written, and looks a name up in PATH", () => {
  assertEquals(resolve("bin/imapd -v"), ["bin/imapd", "-v"]);
  assertEquals(resolve("./run.sh"), ["./run.sh"]);
  assertEquals(resolve("node server.js"), ["/usr/bin/node", "server.js"]);
});

Deno.test("locate() skips a file in PATH that can't be executed, as execvp(3) does", () => {
  assertEquals(resolve("tool"), ["/usr/bin/tool"]);
});

Deno.test("locate() takes an empty part of PATH for the working directory", () => {
  const lookup = fakeLookup({ "/srv/tool": { executable: "" } }, { searchPath: ["/usr/bin", ""] });
  assertEquals(resolve("tool", lookup), ["./tool"]);
});

for (
  const [command, message] of [
    ["/none", 'Cannot run "/none": no such program, expected an executable file'],
    [
      "bin/none",
      'Cannot run "bin/none": no such program /srv/bin/none, expected an executable file',
    ],
    [
      "none",
      'Cannot run "none": no such program, expected an executable file in PATH ' +
      "(/usr/local/bin:/usr/bin)",
    ],
    [
      "bin/notes",
      'Cannot run "bin/notes": a file that may not be executed, expected an executable file',
    ],
    [
      "closed",
      'Cannot run "closed": a file that may not be executed, ' +
      "expected an executable file in PATH (/usr/local/bin:/usr/bin)",
    ],
    ["bin/dir", 'Cannot run "bin/dir": a directory, expected an executable file'],
    [
      "dir",
      'Cannot run "dir": no such program, expected an executable file in PATH ' +
      "(/usr/local/bin:/usr/bin)",
    ],
    ["none.ts", 'Cannot run "none.ts": no such file /srv/none.ts, expected a script'],
    ["/none.ts", 'Cannot run "/none.ts": no such file, expected a script'],
    ["env X=1 none.ts", 'Cannot run "none.ts": no such file /srv/none.ts, expected a script'],
    [
      "env X=1 none",
      'Cannot run "none": no such program, expected an executable file in PATH ' +
      "(/usr/local/bin:/usr/bin)",
    ],
    ["dead.ts", 'Cannot run "dead.ts": a link that leads nowhere, expected a script'],
    ["./dead", 'Cannot run "./dead": a link that leads nowhere, expected an executable file'],
    ["bin/dir.ts", 'Cannot run "bin/dir.ts": a directory, expected a script'],
    [
      "X=1 deno run -A bin/server.ts",
      'Cannot run "X=1": a variable, which only a shell takes from there, ' +
      "expected env X=1 and the program behind it, or server-env",
    ],
    [
      "~/server.ts",
      'Cannot run "~/server.ts": a ~, which only a shell expands, expected the path itself',
    ],
    [
      "$HOME/bin/server.ts",
      'Cannot run "$HOME/bin/server.ts": a variable, which only a shell expands, ' +
      "expected the path itself",
    ],
    [
      "~/bin/imapd",
      'Cannot run "~/bin/imapd": a ~, which only a shell expands, expected the path itself',
    ],
    [
      "env X=1 ${HOME}/imapd",
      'Cannot run "${HOME}/imapd": a variable, which only a shell expands, ' +
      "expected the path itself",
    ],
    [
      "jsr:@x/server",
      'Cannot run "jsr:@x/server": a URL, which is no program, ' +
      "expected deno run -A jsr:@x/server",
    ],
    [
      "https://example.com/s.ts",
      'Cannot run "https://example.com/s.ts": a URL, which is no program, ' +
      "expected deno run -A https://example.com/s.ts",
    ],
  ]
) {
  Deno.test(`locate() refuses ${command} and says why`, () => {
    assertEquals(assertThrows(() => resolve(command), TypeError).message, message);
  });
}

Deno.test("locate() looks where the program will be after the change of directory", () => {
  const place = { lookup: LOOKUP, cwd };
  const service = withCommand("./imapd", { "master-chdir": "bin" });
  assertEquals(locate(service, place).program, { path: "./imapd", args: [], directory: "bin" });
  assertThrows(() => locate(withCommand("./imapd"), place).program, TypeError);
});

Deno.test("locate() looks where the program will be after the change of root", () => {
  const place = { lookup: LOOKUP, cwd: "/" };
  const settings = { "master-chroot": "jail" };
  assertEquals(locate(withCommand("/bin/imapd", settings), place).program, {
    path: "/bin/imapd",
    args: [],
    root: "/jail",
  });
  // The Deno that runs the master is outside of it.
  assertEquals(locate(withCommand("/server.ts", settings), place).program, {
    path: "/usr/bin/deno",
    args: ["run", "-A", "/server.ts"],
    root: "/jail",
  });
  const inWork = { ...settings, "master-chdir": "/srv" };
  assertEquals(locate(withCommand("./imapd", inWork), place).program, {
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
    ["./deno.sh", "control"],
    ["deno run bin/server.ts", "inherit"],
    ["deno run --allow-net bin/server.ts -A", "inherit"],
    ["deno run -R=/A bin/server.ts", "inherit"],
    ["deno run --allow-ffi=/usr/lib bin/server.ts", "inherit"],
    ["deno run -A --deny-ffi bin/server.ts", "inherit"],
    ["/opt/deno run bin/server.ts", "inherit"],
    ["./limited.sh", "inherit"],
    ["./bare.sh", "inherit"],
    ["deno bin/server.ts", "inherit"],
    ["deno --allow-net bin/server.ts", "inherit"],
    ["deno -A bin/server.ts", "control"],
    ["deno run -cA.json bin/server.ts", "inherit"],
    ["deno run -Ac A.json bin/server.ts", "control"],
    ["./run.sh", "libzc"],
    ["./denounce", "libzc"],
    ["bin/imapd", "libzc"],
    ["node server.js", "libzc"],
  ]
) {
  Deno.test(`the protocol of locate() of ${command} is ${protocol}`, () => {
    const found = locate(withCommand(command), { lookup: LOOKUP, cwd });
    assertEquals([found.protocol, found.isRestricted], [protocol, protocol === "inherit"]);
  });
}

Deno.test("locate() lets a Deno without FFI fetch nothing, however it is named", () => {
  const args = ["run", "--cached-only", "--allow-net", "bin/server.ts"];
  for (const command of ["deno run", "deno", "/opt/deno run", "/opt/deno", "env X=1 deno"]) {
    const { inner } = locate(withCommand(`${command} --allow-net bin/server.ts`), {
      lookup: LOOKUP,
      cwd,
    });
    assertEquals([inner.path, inner.args], ["/opt/deno", args]);
  }
});

const ENV = "/usr/bin/env";

/** Commands with a prefix, and the program that is run in the end. */
const WRAPPED: Readonly<Record<string, readonly string[]>> = {
  "env X=1 deno run -A bin/server.ts": [ENV, "X=1", "/opt/deno", "run", "-A", "bin/server.ts"],
  "env -u Y X=1 bin/server.ts a": [
    ENV,
    "-u",
    "Y",
    "X=1",
    "/opt/deno",
    "run",
    "-A",
    "bin/server.ts",
    "a",
  ],
  "/usr/bin/env bin/imapd -v": [ENV, "bin/imapd", "-v"],
  "env -S 'X=1 deno run -A' bin/server.ts": [ENV, "X=1", "/opt/deno", "run", "-A", "bin/server.ts"],
  "env -- X=1 bin/imapd": [ENV, "X=1", "bin/imapd"],
  "env X=1 tool -v": [ENV, "X=1", "tool", "-v"],
  "env -S '-u Y X=1 bin/imapd' -v": [ENV, "-u", "Y", "X=1", "bin/imapd", "-v"],
  "env -vC /elsewhere server": [ENV, "-vC", "/elsewhere", "server"],
  "env -u PATH server": [ENV, "-u", "PATH", "server"],
  "env --block-signal=USR1 bin/imapd": [ENV, "--block-signal=USR1", "bin/imapd"],
  "env -v -a name bin/imapd": [ENV, "-v", "-a", "name", "bin/imapd"],
  "env PATH=/opt/bin server": [ENV, "PATH=/opt/bin", "server"],
  "npx -y deno run -A bin/server.ts": ["/opt/deno", "run", "-A", "bin/server.ts"],
  "npx --yes deno@2.9.6 run -A bin/server.ts": ["/opt/deno", "run", "-A", "bin/server.ts"],
  "npx deno@2 run bin/server.ts": ["/opt/deno", "run", "--cached-only", "bin/server.ts"],
  "npx -p deno deno run bin/server.ts": ["/opt/deno", "run", "--cached-only", "bin/server.ts"],
  "npm exec -y deno -- run bin/server.ts": ["/opt/deno", "run", "--cached-only", "bin/server.ts"],
  "env X=1 npx -y deno run bin/server.ts": [
    ENV,
    "X=1",
    "/opt/deno",
    "run",
    "--cached-only",
    "bin/server.ts",
  ],
  "node_modules/.bin/deno run bin/server.ts": [
    "/opt/deno",
    "run",
    "--cached-only",
    "bin/server.ts",
  ],
};

for (const [command, expected] of Object.entries(WRAPPED)) {
  Deno.test(`locate() finds the program in ${command}`, () => {
    assertEquals(resolve(command), expected);
    const isDeno = expected.includes("/opt/deno");
    const protocol = !isDeno ? "libzc" : expected.includes("-A") ? "control" : "inherit";
    const service = withCommand(command), place = { lookup: LOOKUP, cwd };
    assertEquals(locate(service, place).protocol, protocol);
    requireProtocol(locate(service, place));
  });
}

Deno.test("locate() says where a missing script may be", () => {
  const lookup = fakeLookup({ "/srv/etc/server.ts": "file" });
  const service = configOf("x.cf", { file: "etc/x.cf", command: "server.ts" });
  assertEquals(
    assertThrows(() => locate(service, { lookup, cwd }).program, TypeError).message,
    'Cannot run "server.ts": no such file /srv/server.ts, ' +
      "expected etc/server.ts, since a path does not start from the settings file",
  );
  const inWork = configOf("x", { command: "server.ts", settings: { "master-chdir": "/data" } });
  assertEquals(
    assertThrows(() => locate(inWork, { lookup, cwd }).program, TypeError).message,
    'Cannot run "server.ts": no such file /data/server.ts, expected a script',
  );
});

Deno.test("locate() does not call a program missing behind a directory that the master may not enter", () => {
  const lookup = fakeLookup({
    "/home/ann/server.ts": "out of reach",
    "/home/ann/imapd": "out of reach",
  });
  for (const command of ["/home/ann/server.ts", "/home/ann/imapd"]) {
    const service = configOf("x", { command });
    assertEquals(
      assertThrows(() => locate(service, { lookup, cwd }).program, TypeError).message,
      `Cannot run "${command}": ${command} behind a directory that this user may not enter, ` +
        "expected a path that the user of the master may follow",
    );
  }
});

const SYSTEMD_OR_LIBZC = "systemd for one that takes LISTEN_FDS, " +
  "or libzc for one that takes LIB-ZC's arguments and descriptors";
const SYSTEMD = `server-protocol = ${SYSTEMD_OR_LIBZC}`;
const NODE = `server-protocol = deno for one that listens by itself, ${SYSTEMD_OR_LIBZC}`;
const SHELL = 'server-protocol = control where it ends in exec deno run -A ... "$@", ' +
  "libzc for a server of LIB-ZC, or systemd for one that takes LISTEN_FDS";
const BEHIND = "expected server-protocol = control where it becomes that program with " +
  "--allow-ffi, inherit without, or that program alone";
const ALONE = "that program alone, or a server-protocol: libzc for a server of LIB-ZC, " +
  "systemd for one that takes LISTEN_FDS";
const NO_WATCH = "by which the program is run again without its sockets, " +
  "expected no such flag: a reload (SIGHUP) starts a new version";

/** Commands with an ambiguous protocol, and the error for each. */
const DOUBTFUL: Readonly<Record<string, string>> = {
  "./run.sh": `a script of sh, which may become any program, expected ${SHELL}`,
  "sh -c 'exec bin/imapd'": `a script of sh, which may become any program, expected ${SHELL}`,
  "env X=1 ./run.sh": `a script of sh, which may become any program, expected ${SHELL}`,
  "node server.js": `a program of node, expected ${NODE}`,
  "node -e 1": `a program of node, expected ${NODE}`,
  "env X=1 node server.js": `a program of node, expected ${NODE}`,
  "./server.py": `a program of python3, expected ${SYSTEMD}`,
  "./flags.mjs.sh": `a program of node, expected ${SYSTEMD}`,
  "npx -y deno@1.0.0 run bin/server.ts":
    "npx, which passes no socket on, expected deno alone, which is the one that runs the master",
  "npm exec x": "npm, which passes no socket on, " +
    "expected the program itself, and the server-protocol that it knows",
  "sudo -u www deno run bin/server.ts": "sudo, which passes no socket on, " +
    "expected the program itself, with server-user in the settings",
  "nice -n 5 deno run -A bin/server.ts": `nice with deno behind it, ${BEHIND}`,
  "nice bin/imapd": `nice, which runs another program, expected ${ALONE}`,
  "timeout 1d bin/imapd": `timeout, which runs another program, expected ${ALONE}`,
  "nohup bin/server.ts": `nohup with bin/server.ts behind it, ${BEHIND}`,
  "setpriv --reuid www deno run -A bin/server.ts": `setpriv with deno behind it, ${BEHIND}`,
  "deno run --watch -A bin/server.ts": `--watch, ${NO_WATCH}`,
  "deno run -A --watch=src,lib bin/server.ts": `--watch=src,lib, ${NO_WATCH}`,
  "deno -q": "no script in it, expected deno run -A SCRIPT",
  "deno run -A": "no script in it, expected deno run -A SCRIPT",
  "deno run --config deno.json -A": "no script in it, expected deno run -A SCRIPT",
  "deno test bin/server.ts": "deno test, which runs no server, expected deno run -A SCRIPT",
  "deno -q compile bin/server.ts":
    "deno compile, which runs no server, expected deno run -A SCRIPT",
};

for (const [command, message] of Object.entries(DOUBTFUL)) {
  Deno.test(`requireProtocol() refuses ${command}, and says what to write`, () => {
    const place = { lookup: LOOKUP, cwd }, service = withCommand(command);
    const text = JSON.stringify(service.command.join(" "));
    const error = assertThrows(() => requireProtocol(locate(service, place)), TypeError);
    assertEquals(error.message, `Cannot choose a protocol for ${text}: ${message}`);
    // An explicit setting resolves the ambiguity.
    requireProtocol(locate(withCommand(command, { "server-protocol": "systemd" }), place));
    const control = withCommand(command, { "server-protocol": "control" });
    if (command.startsWith("deno ")) {
      assertThrows(() => requireProtocol(locate(control, place)), TypeError);
    } else requireProtocol(locate(control, place));
  });
}

Deno.test("requireProtocol() recognises an interpreter behind a link of another name", () => {
  const links: Record<string, string> = {
    "/usr/bin/tool": "/usr/bin/python3.12",
    "/srv/bin/imapd": "/srv/bin/imapd-2",
  };
  const lookup = { ...LOOKUP, realPath: (path: string) => links[path] ?? path };
  const error = assertThrows(
    () => requireProtocol(locate(withCommand("tool server.py"), { lookup, cwd })),
    TypeError,
  );
  assertEquals(
    error.message,
    `Cannot choose a protocol for "tool server.py": a program of python3.12, expected ${SYSTEMD}`,
  );
  requireProtocol(locate(withCommand("bin/imapd"), { lookup, cwd }));
});

Deno.test("requireProtocol() accepts programs of LIB-ZC and of Deno", () => {
  for (
    const command of [
      ...[
        "bin/imapd",
        "bin/imapd --watch task",
        "env X=1 bin/imapd",
        "./denounce",
        "bin/server.ts",
      ],
      ...["deno run -A bin/server.ts --watch", "deno run bin/server.ts task", "./deno.sh", "tool"],
    ]
  ) requireProtocol(locate(withCommand(command), { lookup: LOOKUP, cwd }));
});

for (
  const [permissions, protocol, flags] of [
    ["all", "control", ["-A"]],
    ["none", "inherit", ["--cached-only", "--no-prompt"]],
    ["--allow-net", "inherit", ["--cached-only", "--no-prompt", "--allow-net"]],
    ["--allow-ffi --allow-read", "control", ["--no-prompt", "--allow-ffi", "--allow-read"]],
    [
      "--allow-all --deny-ffi",
      "inherit",
      ["--cached-only", "--no-prompt", "--allow-all", "--deny-ffi"],
    ],
  ] as const
) {
  Deno.test(`locate() run a script with server-permissions ${permissions}`, () => {
    const service = withCommand("bin/server.ts", { "server-permissions": permissions });
    const place = { lookup: LOOKUP, cwd };
    assertEquals(locate(service, place).program.args, ["run", ...flags, "bin/server.ts"]);
    assertEquals(locate(service, place).protocol, protocol);
  });
}

Deno.test("the protocol of locate() is control for the compiled master's own program", () => {
  const lookup = fakeLookup({ "/opt/master": { executable: "\x7fELF" } }, {
    denoPath: undefined,
    selfPath: "/opt/master",
  });
  assertEquals(locate(withCommand("/opt/master server"), { lookup, cwd }).protocol, "control");
});

Deno.test("the protocol of locate() follows the setting, whatever the program is", () => {
  for (const protocol of ["control", "libzc", "systemd"]) {
    const service = withCommand("bin/server.ts", { "server-protocol": protocol });
    assertEquals(locate(service, { lookup: LOOKUP, cwd }).protocol, protocol);
  }
});
