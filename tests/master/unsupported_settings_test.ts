/** The master's warnings about settings that a program without the control protocol ignores. */
import { assertEquals } from "@std/assert";
import { formatProblem } from "../../src/config/errors.ts";
import { loadServices } from "../../src/master/services/load.ts";
import { fakeLookup } from "../fakes/fake_lookup.ts";
import { TempDir } from "../support/temp.ts";

const LOOKUP = fakeLookup({
  "/srv/server": { executable: "\x7fELF" },
  "/srv/server.ts": "file",
});
const SUPERVISION = "server-watchdog = 5\nserver-max-connections = 9\nserver-idle-exit = 1m\n" +
  "server-max-age = 1d\nserver-max-memory = 1g\n";

async function warningsOf(files: Readonly<Record<string, string>>): Promise<string[]> {
  using dir = new TempDir();
  for (const [name, text] of Object.entries(files)) dir.write(name, text);
  const loaded = await loadServices({ directory: dir.path, cwd: "/srv", lookup: LOOKUP });
  assertEquals(loaded.problems, []);
  return loaded.warnings.map((warning) => formatProblem(warning).replaceAll(dir.path, "DIR"));
}

Deno.test("loadServices() warns of settings that a program without heartbeats ignores", async () => {
  const service = "server-command = ./server\nserver-service = 0:80\n";
  const cannotHeed = (key: string) =>
    `${key}: Cannot use "${key}": a program with the libzc protocol, which can't heed it, ` +
    "expected a server of this framework";
  assertEquals(await warningsOf({ "a.cf": service + SUPERVISION }), [
    `DIR/a.cf:3: ${cannotHeed("server-watchdog")}`,
    `DIR/a.cf:4: ${cannotHeed("server-max-connections")}`,
    `DIR/a.cf:5: ${cannotHeed("server-idle-exit")}`,
  ]);
  // They may be meant for the other services.
  assertEquals(await warningsOf({ "a.cf": service, "all.gcf": "server-watchdog = 5\n" }), [
    `DIR/a.cf: ${cannotHeed("server-watchdog")}`,
  ]);
  const drain = "server-drain-timeout = 5\n";
  assertEquals(await warningsOf({ "a.cf": service + drain }), [
    `DIR/a.cf:3: ${cannotHeed("server-drain-timeout")}`,
  ]);
  assertEquals(await warningsOf({ "a.cf": service, "all.gcf": drain }), [
    `DIR/a.cf: ${cannotHeed("server-drain-timeout")}`,
  ]);
  assertEquals(await warningsOf({ "a.cf": `${service}server-protocol = systemd\n${drain}` }), []);
  assertEquals(await warningsOf({ "a.cf": service }), []);
});

Deno.test("loadServices() warns of a limit of memory that no process keeps within", async () => {
  const warned = (command: string, limit: string) =>
    warningsOf({
      "a.cf": `server-command = ${command}\nserver-service = 0:80\nserver-max-memory = ${limit}\n`,
    });
  const about = (text: string, least: string, meant = `, such as ${text}m`) => [
    `DIR/a.cf:3: server-max-memory: Cannot keep within "${text}": each process uses more and would ` +
    `be replaced after 10 s, again and again, expected ${least} or more${meant}`,
  ];
  assertEquals(await warned("server.ts", "512"), about("512", "16m"));
  assertEquals(await warned("./server", "512"), about("512", "64k"));
  assertEquals(await warned("server.ts", "1m"), about("1m", "16m", ""));
  assertEquals(await warned("./server", "1m"), []);
  for (const limit of ["0", "-1", "16m", "512m"]) {
    assertEquals(await warned("server.ts", limit), [], limit);
  }
});

Deno.test("loadServices() turns standbys off for programs that can't receive descriptors later, and warns", async () => {
  const standbyCounts = async (text: string) => {
    using dir = new TempDir();
    dir.write("a.cf", `server-service = 0:80\nserver-standby-count = 2\n${text}`);
    const { services, warnings } = await loadServices({
      directory: dir.path,
      cwd: "/srv",
      lookup: LOOKUP,
    });
    const told = warnings.map(({ message }) => message.replace(/^.*: /, ""));
    return [services.map(({ supervision }) => supervision.standbyCount), told];
  };
  const heed = (protocol: string) => `a program with the ${protocol} protocol, which can't heed it`;
  assertEquals(await standbyCounts("server-command = ./server.ts\n"), [[2], []]);
  assertEquals(await standbyCounts("server-command = ./server\n"), [
    [0],
    [`${heed("libzc")}, expected a server of this framework`],
  ]);
  const script = "server-command = ./server.ts\n";
  assertEquals(await standbyCounts(`${script}server-permissions = none\n`), [
    [0],
    [`${heed("inherit")}, expected a server with --allow-ffi`],
  ]);
});

Deno.test("loadServices() warns of names that no setting has where the program reads none, once each", async () => {
  const named = "server-command = ./server.ts\nserver-service = 0:80\ninstances = 4\n" +
    "server-proc-cuont = 4\nServer-proc-count = 4\nserver-spare-count = 0\n";
  const slips = await warningsOf({ "a.cf": named });
  assertEquals(slips.map((text) => text.split(":")[1]), ["4", "5"]);
  assertEquals(await warningsOf({ "a.cf": `${named}server-protocol = deno\n` }), [
    ...slips,
    'DIR/a.cf:3: instances: Cannot use "instances": no setting has this name, and an unchanged ' +
    "program reads none, expected a name that docs/settings.md lists",
  ]);
});

Deno.test("loadServices() does not warn of them for a server of the framework", async () => {
  const service = "server-command = ./server.ts\nserver-service = 0:80\n";
  assertEquals(await warningsOf({ "a.cf": service + SUPERVISION }), []);
});
