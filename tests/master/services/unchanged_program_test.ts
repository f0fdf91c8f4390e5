import { assertEquals, assertLess, assertStringIncludes, assertThrows } from "@std/assert";
import { locate, type Located } from "../../../src/master/services/command.ts";
import { requireTrustedCommand } from "../../../src/master/services/file_permissions.ts";
import { requireProtocol } from "../../../src/master/services/protocol_choice.ts";
import { protocolWarnings } from "../../../src/master/services/resolve.ts";
import {
  addressCallIn,
  exportsApplication,
  namesFramework,
  requireSockets,
} from "../../../src/master/services/unchanged_program.ts";
import { type FakeFile, fakeLookup } from "../../fakes/fake_lookup.ts";
import { configOf } from "../service_configs.ts";

const cwd = "/srv/app";
const PRELOAD = `--preload=${new URL("../../../src/server/unchanged/main.ts", import.meta.url)}`;
const MAY_READ = "--allow-env=ZC_MASTER_START";
const OF_NODE = ["-A", "--unstable-bare-node-builtins", "--unstable-detect-cjs"];

const APP = "export default { fetch: () => new Response() };\n";
const ASKS = "Deno.serve(() => new Response());\n";
const FRAMEWORK = 'import { serve } from "@zc/master/serve";\nexport default 1;\n';

const TEXTS: Readonly<Record<string, string>> = {
  "/srv/app/app.ts": APP,
  "/srv/app/asks.ts": ASKS,
  "/srv/app/framework.ts": FRAMEWORK,
  "/srv/app/server.js": "require('node:http');\n",
  "/srv/app/broken/package.json": "{",
  "/srv/app/long/deno.json": JSON.stringify({
    tasks: { run: "A=1 ".repeat(2_100) + "deno app.ts" },
  }),
  "/srv/app/huge/deno.json": `{"tasks":{"run":"deno app.ts"}}${" ".repeat(1 << 20)}`,
  "/srv/app/nested/deno.json": "[".repeat(1 << 20),
  "/srv/app/deep/app.ts": APP,
  "/srv/app/below/package.json": JSON.stringify({
    scripts: { start: "node other.js", bin: "vite preview" },
  }),
  "/srv/app/below/other.js": "require('node:http');\n",
  "/srv/app/deno.json": `{
    // Comments are common in it.
    "tasks": {
      "app": "deno serve --port=8000 --parallel app.ts",
      "asks": { "command": "deno run -A asks.ts one", "dependencies": [] },
      "framework": "deno run -A framework.ts",
      "built": { "command": "deno run -A asks.ts", "dependencies": ["build"] },
      "again": "deno task asks two",
      "loop": "deno task loop",
      "both": "deno task build && deno run -A asks.ts",
      "env": "PORT=80 deno run -A asks.ts",
      "envs": "HOST=a deno task env",
      "chdir": "env -C below deno run -A asks.ts",
      "joined": "deno run -A asks.ts;id",
    },
  }`,
  "/srv/app/package.json": JSON.stringify({
    scripts: {
      start: "node server.js --quiet",
      bin: "vite preview",
      flags: "node --inspect server.js",
      gone: "node other.js",
      ready: "node server.js",
      preready: "tsc",
      done: "node server.js",
      postdone: "rm -r build",
      shell: "node $FILE",
    },
  }),
};

const FILES: Readonly<Record<string, FakeFile>> = {
  ...Object.fromEntries(Object.keys(TEXTS).map((path) => [path, "file"])),
  "/srv/app/node_modules/.bin/vite": { executable: "#!/usr/bin/env node" },
  "/opt/deno": { executable: "\x7fELF" },
  "/usr/bin/env": { executable: "\x7fELF" },
  "/usr/bin/node": { executable: "\x7fELF" },
  "/usr/bin/npm": { executable: "#!/usr/bin/env node" },
};

const LOOKUP = fakeLookup(FILES, { programText: (path) => TEXTS[path] });

function located(command: string, settings: Record<string, string> = {}): Located {
  return locate(configOf("x", { command, settings }), { lookup: LOOKUP, cwd });
}

function argsOf(command: string, settings?: Record<string, string>): readonly string[] {
  return located(command, settings).program.args;
}

const DENO = { "server-protocol": "deno" };

Deno.test("auto finds a script that exports an application, and preloads the module", () => {
  assertEquals(argsOf("app.ts a b"), ["run", PRELOAD, "-A", "app.ts", "a", "b"]);
  assertEquals(located("app.ts").unchanged, {});
  assertEquals(located("app.ts").protocol, "control");
});

Deno.test("auto takes any other script for one of this framework", () => {
  for (const script of ["asks.ts", "framework.ts"]) {
    assertEquals(argsOf(script), ["run", "-A", script]);
    assertEquals(located(script).unchanged, undefined);
  }
});

Deno.test("server-protocol = deno is for every script", () => {
  assertEquals(argsOf("asks.ts", DENO), ["run", PRELOAD, "-A", "asks.ts"]);
  assertEquals(argsOf("deno run -A asks.ts", DENO), ["run", PRELOAD, "-A", "asks.ts"]);
});

Deno.test("a program with fewer permissions may read the variable of its start, and no other", () => {
  const none = { ...DENO, "server-permissions": "none" };
  assertEquals(argsOf("asks.ts", none), [
    "run",
    PRELOAD,
    MAY_READ,
    "--cached-only",
    "--no-prompt",
    "asks.ts",
  ]);
  assertEquals(located("asks.ts", none).protocol, "inherit");
  const some = { ...DENO, "server-permissions": "--allow-env=A --allow-net" };
  assertStringIncludes(argsOf("asks.ts", some).join(" "), MAY_READ);
  for (const flags of ["--allow-env", "--allow-all", "-E", "-A", "-ER", "-NE", "-P", "-P=of_app"]) {
    const args = argsOf(`deno run ${flags} asks.ts`, DENO);
    assertEquals(args.includes(MAY_READ), false, flags);
  }
});

Deno.test("deno serve becomes deno run, and its port names the service", () => {
  const { program, unchanged } = located("deno serve --port 8080 --host=0.0.0.0 -A app.ts x");
  assertEquals(program.args, ["run", PRELOAD, "-A", "app.ts", "x"]);
  assertEquals(unchanged, { port: 8080 });
  const { program: { args } } = located("deno serve -A -c deno.json --parallel app.ts");
  assertEquals(args, ["run", PRELOAD, "-A", "-c", "deno.json", "app.ts"]);
  assertEquals(located("deno serve --port 0 -A app.ts").unchanged, {});
});

/** Commands of tasks, and the arguments of Deno for each. */
const TASKS: Readonly<Record<string, readonly string[]>> = {
  "deno task app": ["run", PRELOAD, MAY_READ, "app.ts"],
  "deno task asks": ["run", PRELOAD, "-A", "asks.ts", "one"],
  "deno task again": ["run", PRELOAD, "-A", "asks.ts", "one", "two"],
  "deno task --quiet asks x": ["run", PRELOAD, "-A", "asks.ts", "one", "x"],
  "deno task framework": ["run", "-A", "framework.ts"],
  "deno task start": ["run", PRELOAD, ...OF_NODE, "server.js", "--quiet"],
  "npm start": ["run", PRELOAD, ...OF_NODE, "server.js", "--quiet"],
  "npm run start -- more": ["run", PRELOAD, ...OF_NODE, "server.js", "--quiet", "more"],
  "npm --silent run bin": [
    "run",
    PRELOAD,
    ...OF_NODE,
    "/srv/app/node_modules/.bin/vite",
    "preview",
  ],
};

for (const [command, args] of Object.entries(TASKS)) {
  Deno.test(`${command} is run as the command of the task`, () => {
    const found = located(command);
    assertEquals(found.program.args.filter((arg) => arg !== "--cached-only"), args);
    assertEquals(found.taskFiles.length > 0, true);
    requireProtocol(found);
  });
}

Deno.test("variables before the command of a task are kept", () => {
  const { program } = located("deno task env");
  assertEquals(program.path, "/usr/bin/env");
  const run = ["PORT=80", "/opt/deno", "run", PRELOAD, "-A", "asks.ts"];
  assertEquals(program.args, run);
  assertEquals(argsOf("deno task envs"), ["HOST=a", ...run]);
  assertEquals(argsOf("env A=1 deno task env"), ["A=1", ...run]);
});

Deno.test("env -C is where the task, and a script of node, is looked for", () => {
  const run = ["-C", "below", "/opt/deno", "run", PRELOAD, ...OF_NODE, "other.js"];
  assertEquals(argsOf("env -C below npm start"), run);
  assertEquals(argsOf("env -C below node other", DENO), run);
  assertEquals(located("env -C below npm start").taskFiles, ["/srv/app/below/package.json"]);
});

Deno.test("a master of root refuses each directory that a task is looked for in, and others may write to", () => {
  const loose: Record<string, number> = { "/srv": 0o1777 };
  const lookup = fakeLookup(FILES, {
    programText: (path) => TEXTS[path],
    looseMode: (path) => loose[path],
  });
  const requireTrust = (command: string, cwd: string) =>
    requireTrustedCommand(locate(configOf("x", { command }), { lookup, cwd }), []);
  for (const command of ["npm start", "npm run bin"]) requireTrust(command, "/srv/app");
  loose["/srv/app/below"] = 0o777;
  for (const command of ["npm start", "deno task bin", "env -C ../below npm run bin"]) {
    const error = assertThrows(() => requireTrust(command, "/srv/app/below"), TypeError);
    assertStringIncludes(
      error.message,
      'Cannot look for a task in "/srv/app/below": every user may write to it (mode 0777)',
    );
  }
});

/** Commands that can't be run, and the end of the message for each. */
const REFUSED: Readonly<Record<string, string>> = {
  "deno task --cwd=below start": 'Cannot run the task "start": the option --cwd=below, ' +
    "expected env -C DIR and the task, or the command of the task",
  "npm --prefix=below start": 'Cannot run the task "start": the option --prefix=below, ' +
    "expected env -C DIR and the task, or the command of the task",
  "env A=1 deno task chdir": 'Cannot run "env -C below deno run -A asks.ts": env in a task, ' +
    "behind env A=1, expected variables alone in the task, or the command of the task",
  "deno task joined": 'Cannot run the task "joined": "deno run -A asks.ts;id" in ' +
    '/srv/app/deno.json, with ";" of a shell, ' +
    "expected a task of one program, or the command of the server itself",
  "deno task none": 'Cannot run the task "none": none of this name in deno.json or package.json, ' +
    "expected one beside or above /srv/app",
  "npm run none": 'Cannot run the task "none": none of this name in package.json, ' +
    "expected one beside or above /srv/app",
  "deno task built": 'Cannot run the task "built": "build" in /srv/app/deno.json, ' +
    "which runs with it, expected the command of the task alone",
  "npm run ready": 'Cannot run the task "ready": "preready" in /srv/app/package.json, ' +
    "which runs with it, expected the command of the task alone",
  "deno task ready": 'Cannot run the task "ready": "preready" in /srv/app/package.json, ' +
    "which runs with it, expected the command of the task alone",
  "npm run done": 'Cannot run the task "done": "postdone" in /srv/app/package.json, ' +
    "which runs with it, expected the command of the task alone",
  "env -C deep npm start": 'Cannot run the task "start": it in /srv/app/package.json, ' +
    "whose folder its runner changes to, expected master-chdir = /srv/app",
  "deno serve --port=http app.ts": 'Cannot serve at the port "http": no port, ' +
    "expected deno serve --port with a number from 0 to 65535",
  "deno serve --port 65536 app.ts": 'Cannot serve at the port "65536": no port, ' +
    "expected deno serve --port with a number from 0 to 65535",
  "deno task both": 'Cannot run the task "both": "deno task build && deno run -A asks.ts" in ' +
    '/srv/app/deno.json, with "&&" of a shell, ' +
    "expected a task of one program, or the command of the server itself",
  "npm run shell": 'Cannot run the task "shell": "node $FILE" in /srv/app/package.json, ' +
    'with "$" of a shell, expected a task of one program, or the command of the server itself',
  "deno task loop": 'Cannot run "deno task loop": tasks that run one another, ' +
    "expected the command of a program",
  "npm run flags": 'Cannot run "node --inspect server.js": --inspect, a flag of node, ' +
    "expected node and a script, or a command of Deno",
  "npm run gone": 'Cannot run "node other.js": no such script, ' +
    "expected node and a script, or a command of Deno",
};

for (const [command, message] of Object.entries(REFUSED)) {
  Deno.test(`${command} is refused, and the message says why`, () => {
    assertEquals(assertThrows(() => located(command), TypeError).message, message);
  });
}

Deno.test("a package.json that is none is refused with its name", () => {
  const place = { lookup: LOOKUP, cwd: "/srv/app/broken" };
  const error = assertThrows(
    () => locate(configOf("x", { command: "npm start" }), place),
    TypeError,
  );
  assertStringIncludes(error.message, 'Cannot read "/srv/app/broken/package.json": ');
});

Deno.test("server-protocol = deno refuses a program that Deno does not run", () => {
  const error = assertThrows(() => located("/usr/bin/env", DENO), TypeError);
  assertEquals(
    error.message,
    'Cannot run "/usr/bin/env": a program that Deno does not run, with server-protocol = deno, ' +
      "expected a script, deno run, deno serve, or a task of one of these",
  );
});

Deno.test("an unchanged program can't ask for a named pipe, and needs the variable of its start", () => {
  const pipe = { ...DENO, "server-service": "fifo:/tmp/x" };
  assertEquals(
    assertThrows(() => requireSockets(located("asks.ts", pipe)), TypeError).message,
    'Cannot pass on "fifo:/tmp/x": a named pipe, which a program of server-protocol deno ' +
      "can't ask for, expected the address of a socket, or a program of this framework",
  );
  assertEquals(
    assertThrows(() => requireSockets(located("env -i deno run -A asks.ts", DENO)), TypeError)
      .message,
    'Cannot run "env -i deno run -A asks.ts": "-i", which removes the variable that its start ' +
      "needs, expected env -u NAME for each variable that is to be removed",
  );
  requireSockets(located("env A=1 deno run -A asks.ts", DENO));
});

Deno.test("--watch is refused for an unchanged program as well", () => {
  for (const settings of [{}, DENO]) {
    const error = assertThrows(
      () => requireProtocol(located("deno serve --watch app.ts", settings)),
      TypeError,
    );
    assertStringIncludes(error.message, "--watch, by which the program is run again");
  }
});

Deno.test("an application is found by its export, and not in comments", () => {
  assertEquals(exportsApplication(APP), true);
  assertEquals(exportsApplication("const app = new Hono();\nexport default app;\n"), true);
  assertEquals(exportsApplication("export { app as default, other };\n"), true);
  assertEquals(exportsApplication("var a={fetch(){}};export{a as default};\n"), true);
  assertEquals(exportsApplication("/*\nexport default app;\n*/\nDeno.serve(app);\n"), false);
  assertEquals(exportsApplication("// export default app\n"), false);
  assertEquals(exportsApplication("// src/*.ts\nexport default app;\n// lib/*.ts */\n"), true);
  assertEquals(exportsApplication("const all = 'src/*';\nexport default app;\n"), true);
  assertEquals(exportsApplication("/* a\n// b */ export { app as default };\n"), true);
  assertEquals(exportsApplication("/* a\n*/ export default app; /* b */\n"), true);
  assertEquals(exportsApplication(ASKS), false);
});

Deno.test("a program of this framework is found by what it imports or calls", () => {
  assertEquals(namesFramework(FRAMEWORK), true);
  assertEquals(namesFramework("Deno.exit(await aioServerMain(hooks));"), true);
  assertEquals(namesFramework(APP), false);
});

Deno.test("addressCallIn() finds the first call that opens an address, with its line", () => {
  const calls: Readonly<Record<string, string | undefined>> = {
    [ASKS]: "Deno.serve in line 1",
    "\n// One.\nDeno.serve({ port: 1 }, app.fetch);\n": "Deno.serve in line 3",
    "const a = Deno.listen ({ port: 1 });": "Deno.listen in line 1",
    "/* Deno.serve(\n*/\nDeno.listenTls(a);\napp.listen(1);": "Deno.listenTls in line 3",
    "createServer(app)\n  .listen(3000, () => {});": ".listen in line 2",
    "  // Deno.serve(app);\nconsole.log('Deno.serve');": undefined,
    "Deno.listenDatagram({ port: 1 }); server.listening();": undefined,
    [FRAMEWORK + ASKS]: undefined,
    [APP]: undefined,
  };
  for (const [text, call] of Object.entries(calls)) assertEquals(addressCallIn(text), call, text);
});

Deno.test("a file with tasks costs no time and no long message, whatever its owner has put there", () => {
  const found: Readonly<Record<string, string>> = {
    long: ": 8411 characters in /srv/app/long/deno.json, expected a task of 8192 at most",
    huge: ": more than 1048576 characters, expected JSON with the tasks",
    nested: ": Maximum call stack size exceeded, expected JSON with the tasks",
  };
  for (const [name, text] of Object.entries(found)) {
    const chdir = { "master-chdir": name };
    const error = assertThrows(() => located("deno task run", chdir), TypeError);
    assertStringIncludes(error.message, text);
    assertLess(error.message.length, 200);
  }
});

Deno.test("the text of a script is looked at in a moment, whatever its owner has put there", () => {
  const many = 200_000, since = performance.now();
  const texts = [
    "\n",
    "\r",
    " ",
    "/*",
    "/* ",
    "//",
    "// /*\n",
    "*/",
    ";export{",
    "export ",
    " as",
    ".listen ",
  ];
  for (const text of texts) {
    for (const whole of [text.repeat(many), `;export{${text.repeat(many)}`]) {
      assertEquals(exportsApplication(whole), false, text);
      assertEquals(addressCallIn(whole), undefined, text);
    }
  }
  // In quadratic time it would be minutes for one of them.
  assertLess(performance.now() - since, 20_000);
});

/** Commands, and where their programs open an address while they are taken for ones of this framework. */
const ADDRESS_CALLS: Readonly<Record<string, string | undefined>> = {
  "asks.ts": "Deno.serve in line 1",
  "deno run -A asks.ts": "Deno.serve in line 1",
  "env A=1 asks.ts": "Deno.serve in line 1",
  "framework.ts": undefined,
  "app.ts": undefined,
  "deno task asks": undefined,
};

for (const [command, addressCall] of Object.entries(ADDRESS_CALLS)) {
  Deno.test(`protocolWarnings() for ${command} says ${addressCall ?? "nothing"}`, () => {
    const one = located(command);
    assertEquals(one.addressCall, addressCall);
    const warning =
      `Cannot take for a server of @zc/master "${command}": ${addressCall}, and no name of ` +
      "@zc/master, expected server-protocol = deno";
    const expected = addressCall === undefined ? [] : [["server-command", warning]];
    assertEquals(protocolWarnings(one).map(({ key, message }) => [key, message]), expected);
    const told = protocolWarnings(located(command, { "server-protocol": "control" }));
    assertEquals(told, []);
  });
}
