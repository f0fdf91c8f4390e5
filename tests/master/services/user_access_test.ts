/** The file access of a service's user, as far as it prevents a start. */
import { assertEquals } from "@std/assert";
import { formatProblem } from "../../../src/config/errors.ts";
import { loadServices } from "../../../src/master/services/load.ts";
import type { Access } from "../../../src/os/process/file_access.ts";
import { type FakeFile, fakeLookup } from "../../fakes/fake_lookup.ts";
import { TempDir } from "../../support/temp.ts";

const FILES: Readonly<Record<string, FakeFile>> = {
  "/srv/server.ts": "file",
  "/srv/imapd": { executable: "\x7fELF" },
  "/srv/jail": "directory",
  "/var/cache/deno": "directory",
};

/** The directories that the user may enter. */
const DIRECTORIES = ["/", "/opt", "/srv", "/var", "/var/cache"];

const DEFAULT = ["x /opt/deno", "r /srv/server.ts", "x /srv/imapd", "r /var/cache/deno"];

/** The problems of a service whose user may do what is listed, and nothing else. */
async function told(
  settings: Readonly<Record<string, string>>,
  {
    allowed = DEFAULT,
    command = "server.ts",
    files = FILES,
    closed = [] as string[],
    umask = 0o022,
  } = {},
): Promise<{ problems: string[]; warnings: string[] }> {
  using dir = new TempDir();
  const all = { "server-command": command, "server-service": "0:80", ...settings };
  dir.write("a.cf", Object.entries(all).map(([key, value]) => `${key} = ${value}\n`).join(""));
  const accessAs = (_: unknown, wanted: readonly (readonly [Access, string])[]) =>
    wanted.map(([access, path]) =>
      allowed.includes(`${access} ${path}`) ||
      (access === "x" && DIRECTORIES.includes(path) && !closed.includes(path))
    );
  const lookup = fakeLookup(files, { accessAs, umask: () => umask });
  const { problems, warnings } = await loadServices({ directory: dir.path, cwd: "/srv", lookup });
  const [first, second] = [problems, warnings].map((list) =>
    list.map((one) => formatProblem(one).replaceAll(`${dir.path}/`, ""))
  );
  return { problems: first, warnings: second };
}

const NOTHING = { problems: [], warnings: [] };
const USER = { "server-user": "www" };

Deno.test("loadServices() accepts a program, a script and a cache that the user can reach", async () => {
  assertEquals(await told(USER), NOTHING);
  assertEquals(await told(USER, { command: "./imapd" }), NOTHING);
});

Deno.test("loadServices() refuses a runtime and a script that the user can't reach, at the user's line", async () => {
  assertEquals((await told(USER, { allowed: DEFAULT.slice(1) })).problems, [
    'a.cf:3: server-user: Cannot execute "/opt/deno": not permitted for user www, ' +
    "expected a file that user www may execute, or server-start-user = master",
  ]);
  assertEquals((await told(USER, { allowed: ["x /opt/deno"] })).problems, [
    'a.cf:3: server-user: Cannot read "server.ts": not permitted for user www, ' +
    "expected a file that user www may read, or server-start-user = master",
  ]);
  assertEquals((await told(USER, { command: "./imapd", allowed: [] })).problems, [
    'a.cf:3: server-user: Cannot execute "./imapd": not permitted for user www, ' +
    "expected a file that user www may execute",
  ]);
});

Deno.test("loadServices() names the directory that the user can't enter on the way to a file", async () => {
  assertEquals((await told(USER, { allowed: DEFAULT.slice(1), closed: ["/opt"] })).problems, [
    'a.cf:3: server-user: Cannot execute "/opt/deno": not permitted for user www, who may not ' +
    'enter "/opt", expected a file that user www may execute, or server-start-user = master',
  ]);
});

Deno.test("loadServices() warns if the user can't read the runtime's cache", async () => {
  const expected = {
    problems: [],
    warnings: [
      'a.cf:3: server-user: Cannot use "/var/cache/deno": not permitted for user www, so that ' +
      "modules of the network are missing and TypeScript is translated at each start, expected a " +
      "DENO_DIR of the master that user www may read",
    ],
  };
  assertEquals(await told(USER, { allowed: DEFAULT.slice(0, 3) }), expected);
  const { "/var/cache/deno": _, ...files } = FILES;
  assertEquals(await told(USER, { files }), expected);
});

Deno.test("loadServices() warns if the kernel does not say what the user can reach", async () => {
  using dir = new TempDir();
  dir.write("a.cf", "server-command = server.ts\nserver-service = 0:80\nserver-user = www\n");
  const lookup = fakeLookup(FILES, { accessAs: () => undefined });
  const { problems, warnings } = await loadServices({ directory: dir.path, cwd: "/srv", lookup });
  const lines = warnings.map((one) => formatProblem(one).replaceAll(`${dir.path}/`, ""));
  assertEquals([problems, lines], [[], [
    'a.cf:3: server-user: Cannot check access of user "www": the kernel does not answer ' +
    "(faccessat2(2)), so that neither its programs nor DENO_DIR are checked, expected Linux 5.8 " +
    "or newer",
  ]]);
});

Deno.test("loadServices() checks nothing if a server is started as the master's user", async () => {
  const all: readonly Record<string, string>[] = [
    { ...USER, "server-start-user": "master" },
    { ...USER, "server-chroot": "jail" },
    { "server-user": "self" },
    { "server-group": "mail" },
  ];
  for (const settings of all) {
    assertEquals(await told(settings, { allowed: [] }), NOTHING);
  }
});

Deno.test("loadServices() refuses a user that may write to the runtime's files, however the server starts", async () => {
  for (const [access, path] of [["w", "/var"], ["c", "/var/cache/deno"]]) {
    for (const settings of [USER, { ...USER, "server-start-user": "master" }]) {
      assertEquals(
        (await told(settings, { allowed: [...DEFAULT, `${access} ${path}`] })).problems,
        [
          `a.cf:3: server-user: Cannot run as "www": "${path}" can be written to by that user, and ` +
          "what is cached there is run as root, expected a DENO_DIR of the master that no other " +
          "user may write to",
        ],
      );
    }
  }
});

Deno.test("loadServices() refuses a user that may write to what is cached because of the umask", async () => {
  assertEquals((await told(USER, { umask: 0 })).problems, [
    'a.cf:3: server-user: Cannot run as "www": by the master\'s umask 000 that user may write to new ' +
    "files in DENO_DIR, and what is cached there is run as root, expected a master with umask 022",
  ]);
});

Deno.test("loadServices() warns of a changed root for a server that remains root", async () => {
  const rest = "a server that stays root's, and root can leave any root directory, expected " +
    "server-user beside it";
  const warnings = async (settings: Record<string, string>, command?: string) =>
    (await told(settings, { command })).warnings;
  assertEquals(await warnings({ "server-chroot": "jail" }), [
    `a.cf:3: server-chroot: Cannot confine to "jail": ${rest}`,
  ]);
  assertEquals(await warnings({ "server-chroot": "jail", "server-group": "mail" }), [
    `a.cf:3: server-chroot: Cannot confine to "jail": ${rest}`,
  ]);
  assertEquals(await warnings({ "run-chroot": "jail" }), [
    `a.cf:3: run-chroot: Cannot confine to "jail": ${rest}`,
  ]);
  assertEquals(await warnings({ "server-chroot": "jail", ...USER }), []);
  assertEquals(await warnings({ "run-chroot": "jail", "run-user": "www" }), []);
});
