import { assertEquals, assertThrows } from "@std/assert";
import { loadServices } from "../../../src/master/services/load.ts";
import { programToStart } from "../../../src/master/workers/start.ts";
import { formatProblem } from "../../../src/config/errors.ts";
import type { ServiceConfig } from "../../../src/config/service.ts";
import { fakeLookup } from "../../fakes/fake_lookup.ts";
import { TempDir } from "../../support/temp.ts";
import { configOf, resolved } from "../service_configs.ts";

const cwd = "/srv";
const FILES = {
  "/srv/server.ts": "file",
  "/srv/imapd": { executable: "\x7fELF" },
  "/srv/jail": "directory",
  "/usr/bin/env": { executable: "\x7fELF" },
} as const;
const LOOKUP = fakeLookup(FILES);

function started(service: ServiceConfig) {
  const place = { lookup: LOOKUP, cwd };
  return programToStart(resolved(service, place), { ...place, generation: 1 });
}

/** The problems of a service with these settings, each on its line from 3 on. */
async function problemsOf(
  settings: Readonly<Record<string, string>>,
  { command = "server.ts", lookup = LOOKUP } = {},
): Promise<string[]> {
  using dir = new TempDir();
  const lines = Object.entries({
    "server-command": command,
    "server-service": "0:80",
    ...settings,
  }).map(([key, value]) => `${key} = ${value}\n`);
  dir.write("a.cf", lines.join(""));
  const { problems } = await loadServices({ directory: dir.path, cwd, lookup });
  return problems.map((problem) => formatProblem(problem).replaceAll(`${dir.path}/`, ""));
}

Deno.test("programToStart() starts every program as its user and group", () => {
  const settings = { "server-user": "www", "server-group": "mail" };
  for (const command of ["./imapd", "server.ts"]) {
    const service = configOf("a", { command, settings });
    const { credentials, env, gainsNothing } = started(service);
    assertEquals(credentials, { uid: 33, gid: 8, groups: [8] });
    assertEquals([env, gainsNothing], [{}, undefined]);
  }
});

Deno.test("programToStart() leaves the change of user to a server that has to start as the master, and gives it no caches", () => {
  const user = { "server-user": "www" };
  const all: readonly Record<string, string>[] = [
    { ...user, "server-start-user": "master" },
    { ...user, "server-chroot": "jail" },
    { "server-group": "mail", "server-start-user": "master" },
    { "server-chroot": "jail" },
    { "run-user": "www" },
    { "run-chroot": "jail" },
  ];
  for (const settings of all) {
    const service = configOf("a", { command: "server.ts", settings });
    const { credentials, env, gainsNothing } = started(service);
    assertEquals(credentials, undefined);
    assertEquals([env, gainsNothing], [{ DENO_DIR: "/var/cache/deno/none" }, true]);
  }
});

Deno.test("programToStart() starts a program that can't drop privileges as its user, whatever the settings are", () => {
  const settings = { "server-user": "www", "server-start-user": "master" };
  const service = configOf("a", { command: "./imapd", settings });
  assertEquals(started(service).credentials?.uid, 33);
});

Deno.test("programToStart() gives caches to none of Deno's programs without FFI", () => {
  const withoutFfi = { "server-permissions": "--allow-net" };
  for (
    const [command, settings, isWithout] of [
      ["server.ts", withoutFfi, true],
      ["server.ts", { ...withoutFfi, "server-user": "www" }, true],
      ["deno run --allow-read server.ts", {}, true],
      ["deno run --allow-read server.ts", { "server-protocol": "systemd" }, true],
      // Its permissions are not known.
      ["./imapd", { "server-protocol": "inherit" }, true],
      ["./imapd", {}, false],
      ["server.ts", {}, false],
      ["deno run --allow-ffi server.ts", {}, false],
    ] as const
  ) {
    const { env } = started(configOf("a", { command, settings }));
    assertEquals(env?.DENO_DIR !== undefined, isWithout, `${command} ${JSON.stringify(settings)}`);
  }
});

Deno.test("programToStart() changes nothing for the master's own user", () => {
  const service = configOf("a", { command: "./imapd", settings: { "server-user": "self" } });
  assertEquals(started(service).credentials, undefined);
});

Deno.test("programToStart() looks no user, protocol or interpreter up again, and says what has gone", () => {
  const never = () => {
    throw new Error("looked up again");
  };
  const settings = { "server-user": "www" };
  for (const command of ["./imapd", "server.ts", "env A=1 server.ts"]) {
    const service = resolved(configOf("a", { command, settings }), { lookup: LOOKUP, cwd });
    const later = {
      ...LOOKUP,
      credentialsOf: never,
      hasCredentials: never,
      interpreterLine: never,
    };
    const { credentials, args } = programToStart(service, { lookup: later, cwd, generation: 1 });
    assertEquals(credentials?.uid, 33);
    // The running Deno has moved.
    const moved = programToStart(service, {
      lookup: { ...later, denoPath: "/new/deno" },
      cwd,
      generation: 1,
    });
    assertEquals(moved.args, args.map((word) => word === "/opt/deno" ? "/new/deno" : word));
    assertThrows(
      () => programToStart(service, { lookup: fakeLookup({}), cwd, generation: 1 }),
      TypeError,
      "Cannot run",
    );
  }
});

Deno.test("loadServices() accepts a user, a group and a root that exist", async () => {
  const settings = { "server-user": "www", "server-group": "mail", "server-chroot": "jail" };
  assertEquals(await problemsOf(settings), []);
});

Deno.test("loadServices() refuses a user, a group and a root that do not exist, each at its line", async () => {
  const settings = { "server-user": "nosuch", "server-group": "none", "server-chroot": "gone" };
  assertEquals(await problemsOf(settings), [
    'a.cf:3: server-user: Cannot run as "nosuch": no such user, expected a user of this system',
    'a.cf:4: server-group: Cannot run as "none": no such group, expected a group of this system',
    'a.cf:5: server-chroot: Cannot change the root to "gone": no such directory, ' +
    "expected a directory",
  ]);
});

Deno.test("loadServices() refuses settings that need a root master, once for user and group", async () => {
  const lookup = fakeLookup(FILES, { mayChangeRoot: () => false, mayChangeUser: () => false });
  const settings = { "server-user": "www", "server-group": "mail", "server-chroot": "jail" };
  const rest = "not permitted, expected a master that runs as root";
  assertEquals(await problemsOf(settings, { lookup }), [
    `a.cf:3: server-user: Cannot run as "www": ${rest}`,
    `a.cf:5: server-chroot: Cannot change the root to "jail": ${rest}`,
  ]);
  assertEquals(await problemsOf({ "server-group": "mail" }, { lookup }), [
    `a.cf:3: server-group: Cannot run as "mail": ${rest}`,
  ]);
  assertEquals(await problemsOf({ "server-user": "self" }, { lookup }), []);
});

Deno.test("loadServices() refuses server-chroot for a program that can't change its root itself", async () => {
  const message =
    'server-chroot: Cannot change the root to "jail": a program that can\'t do that ' +
    "itself, expected a server with --allow-ffi, or master-chroot";
  const settings = { "server-chroot": "jail" };
  assertEquals(await problemsOf(settings, { command: "./imapd" }), [`a.cf:3: ${message}`]);
  const limited = { ...settings, "server-permissions": "none" };
  assertEquals(await problemsOf(limited), [`a.cf:3: ${message}`]);
});

Deno.test("loadServices() refuses permissions for a program that is no script, and control without FFI", async () => {
  assertEquals(await problemsOf({ "server-permissions": "none" }, { command: "./imapd" }), [
    'a.cf:3: server-permissions: Cannot grant "none": a server-command that is no script, ' +
    "expected all, or a script such as server.ts",
  ]);
  const settings = { "server-permissions": "--allow-net", "server-protocol": "control" };
  assertEquals(await problemsOf(settings), [
    'a.cf:3: server-permissions: Cannot grant "--allow-net": server-protocol is control, which ' +
    "needs --allow-ffi, expected server-protocol = inherit or auto",
  ]);
});

Deno.test("loadServices() refuses a command that sets up caches for a server that must have none", async () => {
  const lookup = fakeLookup({ ...FILES, "/usr/bin/env": { executable: "" } });
  const none = { "server-permissions": "none" };
  for (
    const [words, word, settings] of [
      ["DENO_DIR=/var/own", "DENO_DIR=/var/own", none],
      ["A=b -u DENO_DIR", "-u DENO_DIR", none],
      ["-vuDENO_DIR", "-vuDENO_DIR", none],
      ["-S -i", "-i", none],
      ["-iS A=b", "-i", none],
      ["--unset=DENO_DIR", "--unset=DENO_DIR", none],
      ["-i", "-i", { "server-user": "www", "server-start-user": "master" }],
      ["-i", "-i", { "server-user": "www", "server-chroot": "jail" }],
    ] as const
  ) {
    const command = `env ${words} server.ts`;
    assertEquals(await problemsOf(settings, { command, lookup }), [
      `a.cf:1: server-command: Cannot run "${command}": "${word}", by which it would open caches ` +
      "that other programs run, expected a server-command that leaves DENO_DIR to the master",
    ]);
  }
  assertEquals(await problemsOf(none, { command: "env A=b server.ts", lookup }), []);
  assertEquals(await problemsOf({}, { command: "env DENO_DIR=/own server.ts", lookup }), []);
});

Deno.test("loadServices() refuses a socket owner that only a root master can set", async () => {
  const lookup = fakeLookup(FILES, { mayGiveTo: ({ uid }) => uid === 1000 });
  assertEquals(await problemsOf({ "server-socket-owner": "self" }, { lookup }), []);
  assertEquals(await problemsOf({ "server-socket-owner": "www:mail" }, { lookup }), [
    'a.cf:3: server-socket-owner: Cannot give a socket to "www:mail": not permitted, ' +
    "expected a master that runs as root, or the master's own user and groups",
  ]);
  assertEquals(await problemsOf({ "server-socket-owner": "www:nobody" }, { lookup }), [
    'a.cf:3: server-socket-owner: Cannot give a socket to "www:nobody": no such group, ' +
    "expected a group of this system, or a number",
  ]);
});

Deno.test("loadServices() refuses a world-writable program and a world-writable script", async () => {
  const lookup = fakeLookup(FILES, {
    looseMode: (path) => ["/srv/server.ts", "/srv/imapd"].includes(path) ? 0o666 : undefined,
  });
  for (const [command, path] of [["server.ts", "server.ts"], ["./imapd -v", "./imapd"]]) {
    assertEquals(await problemsOf({}, { command, lookup }), [
      `a.cf:1: server-command: Cannot run "${path}": every user may write to it (mode 0666), ` +
      "expected a mode without write permission for others, since the master runs as root",
    ]);
  }
  assertEquals(await problemsOf({}, { command: "deno run server.ts", lookup }), [
    'a.cf:1: server-command: Cannot run "server.ts": every user may write to it (mode 0666), ' +
    "expected a mode without write permission for others, since the master runs as root",
  ]);
});
