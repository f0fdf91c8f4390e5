/**
 * Attacks by a server that has, or is to have, less than its master: each of them works where what it
 * needs has been left to the server.
 */
import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { mayChangeRoot } from "../../src/os/user/credentials.ts";
import { greeted } from "../support/client.ts";
import { forEachThread, id, passwd, statusLine } from "../support/credentials.ts";
import { type Installation, installationFor } from "../support/installation.ts";
import { pidIn, Site } from "../support/master.ts";
import { CMaster, denoExecutable } from "../support/peers.ts";
import { descriptorsOf } from "../support/proc.ts";
import { TempDir } from "../support/temp.ts";

/** Whoever may change the root is taken to be root. */
const IS_ROOT = mayChangeRoot();

/** Another user than the one who runs the tests. */
const USER = id("-un") === "nobody" ? "daemon" : "nobody";

/** What the victim prints, and what it prints once it has been changed: as long as the other. */
const HARMLESS = "a word of the victim's own", PLANTED = "one of the attacker's here";

const encode = (text: string) => new TextEncoder().encode(text);

/** A program whose compiled code is in the caches that the runtime keeps in a directory. */
class Victim {
  readonly #dir = new TempDir();
  readonly #path: string;
  /** The directory of the runtime, which everybody may read. */
  readonly denoDir: string;

  constructor(readonly installation: Installation) {
    globalThis.addEventListener("unload", () => this.#dir[Symbol.dispose]());
    Deno.chmodSync(this.#dir.path, 0o755);
    this.#path = this.#dir.write("victim.js", `console.log(${JSON.stringify(HARMLESS)});\n`);
    this.denoDir = this.#dir.file("deno_dir");
    Deno.mkdirSync(this.denoDir);
    for (const name of ["gen", "npm", "remote"]) {
      Deno.symlinkSync(`${installation.denoDir}/${name}`, `${this.denoDir}/${name}`);
    }
    // The second run finds the code of the first one, and the third what is in the file itself.
    for (let run = 0; run < 2; run++) assertEquals(this.run(), HARMLESS);
    using database = new DatabaseSync(this.#cache);
    database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    assertEquals(this.run(), HARMLESS);
  }

  get #cache(): string {
    return `${this.denoDir}/v8_code_cache_v2`;
  }

  /** Runs it, and says what it has printed. */
  run(): string {
    const { stdout } = new Deno.Command(this.installation.deno, {
      args: ["run", "--no-config", this.#path],
      env: { DENO_DIR: this.denoDir },
      stderr: "inherit",
    }).outputSync();
    return new TextDecoder().decode(stdout).trim();
  }

  /** The cache as an attacker wants it, who has made one at home. */
  planted(): Uint8Array<ArrayBuffer> {
    const bytes = Deno.readFileSync(this.#cache), from = encode(HARMLESS), to = encode(PLANTED);
    let count = 0;
    for (let at = 0; (at = indexOf(bytes, from, at)) >= 0; at += to.length, count++) {
      bytes.set(to, at);
    }
    assertNotEquals(count, 0, "the cache has no compiled code of the victim");
    return bytes;
  }
}

let madeVictim: Victim | undefined;

/** The one of this file, which no test changes. */
const victimOf = (installation: Installation) => madeVictim ??= new Victim(installation);

function indexOf(bytes: Uint8Array, part: Uint8Array, from: number): number {
  const text = new TextDecoder("latin1");
  return text.decode(bytes).indexOf(text.decode(part), from);
}

/** The files that a process has open, beside its outputs, with what it may do with them. */
function openFiles(pid: number): { path: string; isWritable: boolean }[] {
  const all = descriptorsOf(pid), outputs = [all.get(1), all.get(2), "/dev/null"];
  return [...all].filter(([, path]) => path.startsWith("/") && !outputs.includes(path)).map((
    [fd, path],
  ) => {
    const [, flags] = /^flags:\s*(\d+)/m.exec(Deno.readTextFileSync(`/proc/${pid}/fdinfo/${fd}`))!;
    return { path, isWritable: (parseInt(flags, 8) & 3) !== 0 };
  });
}

/** Shared mappings of files, by which they could be written to as well. */
function writableMappings(pid: number): string[] {
  return Deno.readTextFileSync(`/proc/${pid}/maps`).split("\n")
    .filter((line) => /^\S+ .w.s /.test(line)).map((line) => line.split(/\s+/)[5] ?? "");
}

/** Has a server attack the victim by every descriptor of the cache, and looks what came of it. */
async function attack(
  victim: Victim,
  port: number,
  look: (pid: number) => void = () => {},
): Promise<number> {
  const client = await greeted(port);
  const pid = pidIn(client), planted = victim.planted();
  for (const [fd, path] of descriptorsOf(pid)) {
    if (path.endsWith("/v8_code_cache_v2")) await client.ask(`plant ${fd} ${planted.toBase64()}`);
  }
  assertEquals(victim.run(), HARMLESS, "the attacker's code runs");
  const writable = openFiles(pid).filter(({ isWritable }) => isWritable);
  assertEquals([writable, writableMappings(pid)], [[], []]);
  look(pid);
  client.close();
  return pid;
}

/** The DENO_DIR that a process was started with. */
function denoDirOf(pid: number): string | undefined {
  const variables = Deno.readTextFileSync(`/proc/${pid}/environ`).split("\0");
  return variables.find((text) => text.startsWith("DENO_DIR="))?.slice("DENO_DIR=".length);
}

/** What a process that is not root's says when it is to become another user, or change its root. */
const NOT_PERMITTED = /: operation not permitted \((setgid|chroot): /;

/** The settings of services that may do less than their master. */
const LESS: readonly Readonly<Record<string, string>>[] = [
  { "server-user": USER },
  { "server-user": USER, "server-start-user": "master" },
  { "server-user": USER, "server-chroot": "jail" },
  { "server-user": USER, "server-standby-count": "1" },
  { "run-user": USER },
  { "run-user": USER, "run-chroot": "jail" },
  { "server-permissions": "none" },
  { "server-permissions": "none", "server-user": USER },
];

/** Whether a service is refused unless the master is root's. */
const needsRoot = (settings: Readonly<Record<string, string>>) => "server-user" in settings;

Deno.test("a server that has, or is to have, less can't change what other programs run, and has no way back", async (t) => {
  const installation = installationFor(USER), victim = victimOf(installation);
  await using site = new Site(installation);
  Deno.mkdirSync(site.dir.file("jail"));
  const services = LESS.map((settings, index) => {
    const file = `${index}.cf`, port = site.port(), path = site.socket(`u${index}`);
    site.write(file, {
      "server-command": site.server("thief"),
      "server-service": `127.0.0.1:${port} ${path}`,
      ...settings,
    });
    const text = Object.entries(settings).map((entry) => entry.join(" = ")).join(", ");
    // What it can reach by a number is its own: no file at all.
    const look = "server-permissions" in settings
      ? (pid: number) => assertEquals(openFiles(pid), [])
      : assertIsConfined;
    return { file, port, path, settings, text, look };
  });
  if (!IS_ROOT) {
    const refused = await site.refusal();
    for (const { file } of services.filter(({ settings }) => needsRoot(settings))) {
      assertMatch(refused, new RegExp(`/${file}:\\d+: server-user: .*as root`));
      site.remove(file);
    }
  }
  const master = await site.start({ env: { DENO_DIR: victim.denoDir } });
  for (const { file, port, path, settings, text, look } of services) {
    if (!IS_ROOT && needsRoot(settings)) continue;
    await t.step(text, async () => {
      if (!IS_ROOT && "run-user" in settings) {
        return void await master.logs(
          new RegExp(`/${file}:\\d+: run-\\w+: .*${NOT_PERMITTED.source}`),
        );
      }
      const pid = await attack(victim, port, look);
      if ("server-permissions" in settings) {
        // What it could write to while a module is translated, no other program runs.
        const isShared = Deno.lstatSync(`${denoDirOf(pid)}/gen`).isSymlink;
        assertEquals(isShared, needsRoot(settings));
      }
      if ("server-standby-count" in settings) {
        await master.logs(new RegExp(`${file}: loaded is process`));
        Deno.kill(pid, "SIGKILL");
        await attack(victim, port, assertIsConfined);
      }
      if (settings["server-chroot"] ?? settings["run-chroot"]) {
        for (const target of [port, path]) {
          using client = await greeted(target);
          assertEquals(Deno.readLinkSync(`/proc/${pidIn(client)}/root`), site.dir.file("jail"));
          assertEquals(await client.ask("escape etc/passwd"), "nothing");
          assertEquals(await client.ask("escape fd"), "nothing");
          assertEquals(await client.ask("rise"), "-1 -1");
        }
        const slow = new RegExp(`\\[${pid}\\] .*node:net`);
        assertEquals(master.logged(slow), 0, "it serves its sockets the slow way");
      }
    });
  }
  await t.step("after an upgrade", async () => {
    const isPlain = ({ settings }: (typeof services)[number]) => Object.keys(settings).length === 1;
    for (const { file, settings } of services.filter((service) => !isPlain(service))) {
      if (IS_ROOT || !needsRoot(settings)) site.remove(file);
    }
    await master.upgrade();
    for (const { port, settings, look } of services.filter(isPlain)) {
      if (IS_ROOT || "server-permissions" in settings) await attack(victim, port, look);
    }
  });
  await master.stop();
});

function assertIsConfined(pid: number): void {
  forEachThread(pid, (thread) => {
    assertEquals(statusLine(thread, "NoNewPrivs"), "1");
    for (const set of ["CapEff", "CapPrm", "CapInh", "CapAmb"]) {
      assertEquals(BigInt(`0x${statusLine(thread, set)}`), 0n, set);
    }
  });
  assertEquals(BigInt(`0x${statusLine(pid, "CapBnd")}`), 0n);
}

Deno.test("a master with run-user holds nothing of root's that other programs run, and its servers have their caches", async () => {
  const installation = installationFor(USER), victim = victimOf(installation);
  await using site = new Site(installation);
  Deno.chmodSync(site.dir.path, 0o777);
  const port = site.port(), env = { DENO_DIR: victim.denoDir };
  site.serve("a.cf", { mode: "coroutine", service: port });
  if (!IS_ROOT) {
    const { stderr } = await site.run(["-C", site.conf, "-run-user", USER]).ended();
    return void assertMatch(stderr, NOT_PERMITTED);
  }
  const master = await site.start({ env, args: ["-run-user", USER] });
  const client = await greeted(port);
  const isCache = ({ path }: { path: string }) => path.startsWith(victim.denoDir);
  assertEquals(openFiles(master.pid).filter(isCache), []);
  const caches = openFiles(pidIn(client)).filter(isCache);
  assertEquals(caches.filter(({ isWritable }) => isWritable), []);
  assertNotEquals(caches, []);
  assertEquals(await client.ask("env HOME"), passwd(USER).split(":")[5]);
  assertEquals(await client.ask("env LOGNAME"), USER);
  client.close();
  await master.stop();
});

for (const setting of ["server-user", "run-user"]) {
  Deno.test(`a server alone with ${setting} can't change what other programs run`, async () => {
    const installation = installationFor(USER), victim = victimOf(installation);
    await using site = new Site(installation);
    const port = site.port();
    const args = ["alone", "-server-service", `127.0.0.1:${port}`, `-${setting}`, USER];
    const env = { DENO_DIR: victim.denoDir };
    const server = site.run(args, { program: site.server("thief"), env });
    if (!IS_ROOT) return void assertMatch((await server.ended()).stderr, NOT_PERMITTED);
    await server.complains(/serviceRegister/);
    assertEquals(await attack(victim, port, assertIsConfined), server.pid);
    server.signal("SIGTERM");
    assertEquals((await server.ended()).code, 0);
  });
}

Deno.test("servers of a master in C with server-user and run-user can't change what other programs run", async () => {
  const installation = installationFor(USER), victim = victimOf(installation);
  await using site = new Site(installation);
  const command = denoExecutable(site, site.server("thief"));
  const ports = ["server-user", "run-user"].map((setting) => {
    const port = site.port();
    site.write(`${setting}.cf`, {
      "server-command": command,
      "server-service": `127.0.0.1:${port}`,
      [setting]: USER,
    });
    return port;
  });
  const master = await CMaster.start(site, { DENO_DIR: victim.denoDir });
  if (!IS_ROOT) {
    for (const file of ["server-user", "run-user"]) {
      await master.logs(new RegExp(`${file}: .*${NOT_PERMITTED.source}`));
    }
    return void await master.stop();
  }
  for (const port of ports) await attack(victim, port, assertIsConfined);
  await master.reload();
  for (const port of ports) await attack(victim, port, assertIsConfined);
  await master.stop();
});
