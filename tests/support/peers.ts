/**
 * The peers in C that speak LIB-ZC's protocol, made when they are first asked for, and helpers for
 * tests with them.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { type Client, type Greeted, greeted, type Target } from "./client.ts";
import type { Ended, TestProcess } from "./processes.ts";
import { Master, pidIn, type Site } from "./master.ts";
import { listeningSockets, type ProcessInfo } from "./proc.ts";
import { TempDir } from "./temp.ts";
import { eventually } from "./wait.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const SOURCES = `${ROOT}tests/peers/`;

/** The peers. */
export type PeerName = "server" | "master" | "lock_holder";

let made: TempDir | undefined;
const paths = new Map<string, string>();

/**
 * A peer as a program, for the life of the test file.
 *
 * @param name Which one.
 * @param options `static`: without shared libraries, for another root.
 * @returns Its path, whose last part is `c_` and the name.
 */
export function peer(name: PeerName, options: { readonly static?: boolean } = {}): string {
  const key = `${name} ${options.static ?? false}`;
  return paths.get(key) ?? compile(key, { name, flags: options.static ? ["-static"] : [] });
}

function compile(
  key: string,
  { name, flags }: { readonly name: string; readonly flags: readonly string[] },
): string {
  if (made === undefined) {
    const dir = made = new TempDir();
    globalThis.addEventListener("unload", () => dir[Symbol.dispose]());
  }
  const dir = made.file(`${paths.size}`);
  const path = `${dir}/c_${name}`;
  Deno.mkdirSync(dir);
  const { success, stderr } = new Deno.Command("gcc", {
    args: ["-std=gnu11", "-O1", "-Wall", ...flags, "-o", path, `${SOURCES}${name}.c`],
  }).outputSync();
  if (!success) throw new Error(`Cannot compile ${name}.c: ${new TextDecoder().decode(stderr)}`);
  // Others run it too, such as a server that has changed its user.
  Deno.chmodSync(made.path, 0o755);
  paths.set(key, path);
  return path;
}

/**
 * Writes the settings of a service of which only matters that it serves: its server is the one in C, which
 * starts in a few milliseconds. It does not finish its connections at a soft stop.
 *
 * @param site Where.
 * @param name Its file.
 * @param service Where it listens.
 * @param settings Further settings.
 */
export function serveSmall(
  site: Site,
  name: string,
  service: string | number,
  settings: Readonly<Record<string, string | number>> = {},
): void {
  site.write(name, {
    "server-command": peer("server"),
    "server-service": typeof service === "number" ? `127.0.0.1:${service}` : service,
    ...settings,
  });
}

/**
 * Variables with a `PATH` on which `deno` is the running binary.
 *
 * @param site Where a directory for it is made.
 */
export function withDenoInPath(site: Site): { readonly PATH: string } {
  const directory = site.dir.file("bin");
  Deno.mkdirSync(directory, { recursive: true });
  if (!existsSync(`${directory}/deno`)) Deno.symlinkSync(Deno.execPath(), `${directory}/deno`);
  return { PATH: `${directory}:${Deno.env.get("PATH")}` };
}

/**
 * Makes a script of a site executable, as a master in C wants its `server-command`.
 *
 * @param site Where.
 * @param script Its name and its text, which begins with the line of its interpreter.
 * @returns Its path.
 */
export function executable(
  site: Site,
  script: { readonly name: string; readonly text: string },
): string {
  const path = site.dir.write(script.name, script.text);
  Deno.chmodSync(path, 0o755);
  return path;
}

/**
 * A server of this project as one executable file, its first line naming Deno.
 *
 * @param site Where.
 * @param module What the file imports.
 */
export function denoExecutable(site: Site, module: string): string {
  const line = `#!/usr/bin/env -S deno run -A --config ${ROOT}deno.json\n`;
  const text = `${line}import "${module}";\n`;
  return executable(site, { name: "server", text });
}

/** What a process had at its start, in the words of the peer in C. */
export interface PeerStart {
  /** Its arguments, `argv[0]` included. */
  readonly argv: readonly string[];
  /** Its descriptors from 3 on: `NUMBER KIND ACCESS BLOCKING`. */
  readonly fds: readonly string[];
  /** The numbers of the signals that it was to ignore. */
  readonly ignored: readonly string[];
}

/**
 * Asks a server in C what it had at its start.
 *
 * @param client A connection to it, after its greeting.
 */
export async function peerStart(client: Client): Promise<PeerStart> {
  return {
    argv: (await client.ask("argv")).split("\t"),
    fds: (await client.ask("fds")).split("\t").filter((text) => parseInt(text) > 2),
    ignored: (await client.ask("ignored")).split(" ").filter((text) => text !== ""),
  };
}

/**
 * Connects until another process answers than a certain one.
 *
 * @param pid That one.
 * @param target Where.
 */
export function successorOf(pid: number, target: Target): Promise<Greeted> {
  return eventually(async () => {
    const client = await greeted(target);
    if (pidIn(client) !== pid) return client;
    client.close();
  }, { what: `another process than ${pid}` });
}

/** A running master in C. It ends with its {@linkcode Site}. */
export class CMaster extends Master {
  readonly #processes: () => readonly ProcessInfo[];

  private constructor(site: Site, process: TestProcess) {
    super(site, process);
    this.#processes = () => site.processes();
  }

  /**
   * Starts one, with `deno` in its `PATH`, and waits until its ports are open.
   *
   * @param site Where its settings are.
   * @param env What to add to its environment.
   */
  static async start(site: Site, env: Readonly<Record<string, string>> = {}): Promise<CMaster> {
    const argv = [peer("master"), "-C", site.conf, "-pid-file", site.pidFile];
    const master = new CMaster(
      site,
      site.execute(argv, { env: { ...withDenoInPath(site), ...env } }),
    );
    await master.logs(/listening\n/);
    return master;
  }

  /** Sends SIGHUP, and waits until the configuration has been read again. */
  override async reload(): Promise<void> {
    const before = this.logged(/reloaded$/);
    this.process.signal("SIGHUP");
    await this.logs(/reloaded\n/, before + 1);
  }

  /**
   * Sends SIGTERM, waits for its end, and fails if anything is left.
   *
   * @param withinMs How long its servers may take after that, in milliseconds.
   */
  override async stop(withinMs = 2_000): Promise<Ended> {
    this.process.signal("SIGTERM");
    const ended = await this.process.ended();
    assertEquals([ended.code, ended.signal], [0, null], ended.stderr);
    await eventually(() => this.#processes().length === 0, {
      what: "the end of its servers",
      withinMs,
    });
    return ended;
  }
}

/**
 * Waits until a process is gone.
 *
 * @param pid Which one.
 * @param withinMs How long at most, in milliseconds.
 */
export async function gone(pid: number, withinMs?: number): Promise<void> {
  await eventually(() => !isRunning(pid), { what: `the end of process ${pid}`, withinMs });
}

/**
 * Waits until a server accepts no more connections over TCP, or has ended. At the end of a reload or an upgrade the
 * old servers have been told to stop, and hear of it a moment later.
 *
 * @param pid Which one.
 */
export async function acceptsNoMore(pid: number): Promise<void> {
  await eventually(() => !isListening(pid), { what: `process ${pid} to accept no more` });
}

function isListening(pid: number): boolean {
  try {
    return listeningSockets(pid).length > 0;
  } catch (error) {
    // It may have ended meanwhile.
    if (isRunning(pid)) throw error;
    return false;
  }
}

/**
 * Whether a process runs; one that has ended and waits to be reaped does not.
 *
 * @param pid Which one.
 */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\s*[ZX]/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
}
