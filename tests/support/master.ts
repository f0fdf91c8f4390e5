/**
 * The real master with real servers, for integration tests: a directory of settings, the ports and
 * paths in it, the running master, its processes, and the proof that nothing is left of it.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { GUARDIAN_NAME } from "../../src/os/process/guardian.ts";
import { LOCK_WATCH_NAME } from "../../src/os/process/lock_watch.ts";
import { PidFile } from "../../src/os/process/lock_file.ts";
import { greeted, type Target } from "./client.ts";
import { type Installation, OWN_INSTALLATION } from "./installation.ts";
import { ReservedPort } from "./ports.ts";
import {
  descriptorsOf,
  isChildOf,
  listenerInode,
  MarkedProcesses,
  type ProcessInfo,
} from "./proc.ts";
import { type Ended, type StartOptions, TestProcess } from "./processes.ts";
import { TempDir } from "./temp.ts";
import { eventually, PATIENCE_MS } from "./wait.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

/** The master as a program. */
export const MASTER_PROGRAM: string = `${ROOT}master.ts`;

/** The test servers, as `server-command`. */
export const SERVERS = {
  coroutine: `${ROOT}tests/support/servers/coroutine.ts`,
  aio: `${ROOT}tests/support/servers/aio.ts`,
} as const;

/** Both modes. */
export type ModeName = keyof typeof SERVERS;
/** Both modes, to make a test for each. */
export const MODES: readonly ModeName[] = ["coroutine", "aio"];

/**
 * An example of the project, as `server-command`.
 *
 * @param name Its file.
 */
export function example(name: string): string {
  return `${ROOT}examples/${name}`;
}

/**
 * What a master writes into its pid file.
 *
 * @param pid Its process id.
 */
export function pidText(pid: number): string {
  return String(pid).padEnd(10, "\n");
}

/** How to start a master. */
export interface MasterOptions {
  /** Arguments beside `-C`, `-pid-file` and `--DEBUG`. */
  readonly args?: readonly string[];
  /** Another program around the master. */
  readonly program?: string;
  /** The `deno.json` of that program, if it is not above it. */
  readonly config?: string;
  /** See `StartOptions`. */
  readonly prefix?: readonly string[];
  /** See `StartOptions`. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Everything of one installation of a master. Declare it with `await using`. */
export class Site implements AsyncDisposable {
  /** Where all of it is. */
  readonly dir: TempDir = new TempDir();
  /** The directory of the settings files. */
  readonly conf: string = this.dir.file("conf");
  /** The pid file. */
  readonly pidFile: string = this.dir.file("master.pid");
  readonly #mark = `ZC_TEST_SITE=${crypto.randomUUID()}`;
  readonly #marked = new MarkedProcesses(this.#mark);
  readonly #ports: ReservedPort[] = [];
  readonly #sockets: string[] = [];
  readonly #listeners: Deno.Listener[] = [];
  readonly #processes: TestProcess[] = [];

  readonly #installation: Installation;

  /**
   * @param installation What its programs are run with, where other users need it; all of it can be
   * read by them then.
   */
  constructor(installation: Installation = OWN_INSTALLATION) {
    this.#installation = installation;
    Deno.mkdirSync(this.conf);
    if (installation !== OWN_INSTALLATION) Deno.chmodSync(this.dir.path, 0o755);
  }

  /**
   * A test server, as `server-command`.
   *
   * @param name Its file, without the ending.
   */
  server(name: string): string {
    return `${this.#installation.root}tests/support/servers/${name}.ts`;
  }

  /** What must be in the environment of each process of this installation. */
  get environment(): Record<string, string> {
    const [name, value] = this.#mark.split("=");
    return { [name]: value };
  }

  /** A port for a service. */
  port(): number {
    const reserved = new ReservedPort();
    this.#ports.push(reserved);
    return reserved.port;
  }

  /**
   * A path for the socket of a service.
   *
   * @param name Relative to the directory.
   */
  socket(name: string): string {
    const path = this.dir.file(name);
    this.#sockets.push(path);
    return path;
  }

  /** A port on which the test listens itself. */
  busyPort(): number {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#listeners.push(listener);
    return listener.addr.port;
  }

  /** The path of a unix socket on which the test listens itself. */
  busySocket(): string {
    const path = this.dir.file(crypto.randomUUID().slice(0, 8));
    this.#listeners.push(Deno.listen({ transport: "unix", path }));
    return path;
  }

  /**
   * Writes a settings file.
   *
   * @param name Such as `echo.cf`.
   * @param settings Its settings; those that are undefined are left out.
   * @returns Its path.
   */
  write(name: string, settings: Readonly<Record<string, string | number | undefined>>): string {
    const lines = Object.entries(settings).flatMap(([key, value]) =>
      value === undefined ? [] : [`${key} = ${value}\n`]
    );
    return this.dir.write(`conf/${name}`, lines.join(""));
  }

  /**
   * Writes the settings of a test server.
   *
   * @param name Its file.
   * @param mode Its mode.
   * @param service Where it listens.
   * @param settings Further settings, of which `args` are arguments in its command.
   */
  serve(
    name: string,
    { mode, service, args = [], ...settings }:
      & { readonly mode: ModeName; readonly service: string | number; args?: readonly string[] }
      & Readonly<Record<string, unknown>>,
  ): void {
    this.write(name, {
      "server-command": [this.server(mode), ...args].join(" "),
      "server-service": typeof service === "number" ? `127.0.0.1:${service}` : service,
      ...settings as Record<string, string | number>,
    });
  }

  /**
   * Removes a settings file.
   *
   * @param name Its name.
   */
  remove(name: string): void {
    Deno.removeSync(`${this.conf}/${name}`);
  }

  /**
   * Runs the master's program without waiting for anything.
   *
   * @param args All of its arguments.
   * @param options Another program, and how to start it.
   */
  run(args: readonly string[], options: Omit<MasterOptions, "args"> = {}): TestProcess {
    const { deno, root, denoDir } = this.#installation;
    const { program = `${root}master.ts`, config, env, ...rest } = options;
    const flags = config === undefined ? [] : ["--config", config];
    const argv = [deno, "run", "-A", ...flags, program, ...args];
    return this.execute(argv, { ...rest, env: { DENO_DIR: denoDir, ...env } });
  }

  /**
   * Runs a master on the settings of this installation, and fails unless it refuses them and leaves nothing.
   *
   * @returns What it says.
   */
  async refusal(): Promise<string> {
    const { code, stderr } = await this.run(["-C", this.conf, "-pid-file", this.pidFile]).ended();
    assertEquals(code, 1, stderr);
    await this.isGone();
    return stderr;
  }

  /**
   * Runs any command as a part of this installation, in its directory.
   *
   * @param argv The program and its arguments.
   * @param options How to start it.
   */
  execute(argv: readonly string[], options: Omit<StartOptions, "cwd"> = {}): TestProcess {
    const [name, value] = this.#mark.split("=");
    const env = { ...options.env, [name]: value };
    const process = new TestProcess(argv, { ...options, cwd: this.dir.path, env });
    this.#processes.push(process);
    return process;
  }

  /**
   * Starts a master, and waits until its ports are open and its first processes are started.
   *
   * @param options How.
   */
  async start({ args = [], ...options }: MasterOptions = {}): Promise<Master> {
    const all = ["-C", this.conf, "-pid-file", this.pidFile, "--DEBUG", ...args];
    const process = this.run(all, options);
    await process.complains(/listeners: .*\n/);
    return new Master(this, process);
  }

  /**
   * The running processes of this installation, masters included and the helpers of masters not, whoever their
   * parent is.
   */
  processes(): ProcessInfo[] {
    const all = this.#allProcesses();
    const helpers = new Set(all.filter(isHelper).map(({ pid }) => pid));
    return all.filter(({ pid, parent }) => !helpers.has(pid) && !helpers.has(parent));
  }

  /** The running guardians of this installation's masters. */
  guardians(): ProcessInfo[] {
    return this.#allProcesses().filter(isGuardian);
  }

  #allProcesses(): ProcessInfo[] {
    return this.#marked.running();
  }

  /**
   * Fails unless everything of this installation is gone: processes, listeners, socket files, lock.
   *
   * @param withinMs How long it may take, in milliseconds; the default is generous, for a busy machine.
   */
  async isGone(withinMs = PATIENCE_MS): Promise<void> {
    await eventually(() => this.#allProcesses().length === 0, {
      what: `the end of ${this.#allProcesses().map(({ pid, argv }) => `${pid} ${argv.join(" ")}`)}`,
      withinMs,
    });
    // A process that ends loses its environment before its descriptors.
    const isOpen = ({ port }: ReservedPort) => listenerInode(port) !== undefined;
    await eventually(() => !this.#ports.some(isOpen), { what: "the ports to be closed", withinMs });
    assertEquals(this.#sockets.filter((path) => existsSync(path)), [], "socket files are left");
    const lock = PidFile.tryLock(this.pidFile);
    assert(lock !== undefined, "the pid file is still locked");
    lock.release();
  }

  /** Kills what is left, and removes all. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.#processes) await process[Symbol.asyncDispose]();
    for (const { pid } of this.#allProcesses()) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch {
        // It has just ended by itself.
      }
    }
    for (const listener of this.#listeners) listener.close();
    for (const port of this.#ports) port[Symbol.dispose]();
    this.dir[Symbol.dispose]();
  }
}

function isHelper({ argv }: ProcessInfo): boolean {
  return [GUARDIAN_NAME, LOCK_WATCH_NAME].some((name) => argv.includes(name));
}

function isGuardian({ argv }: ProcessInfo): boolean {
  return argv.includes(GUARDIAN_NAME);
}

/** Log lines without the positions of the debug level. */
function withoutPositions(lines: string): string {
  return lines.replace(/ \[\w+\.ts:\d+\]$/gm, "");
}

/** How the master tells that a reload is over. */
const RELOAD_OVER =
  /(?:(?<done>reloaded)|reload over, rolled back for (?<undone>.*?)|reload refused, all goes on as before: (?<refused>[^]*?))\n(?! )/g;

interface ReloadAnswer {
  readonly done?: string;
  readonly undone?: string;
  readonly refused?: string;
  readonly text: string;
}

/** A running master. It ends with its {@linkcode Site}. */
export class Master {
  readonly #site: Site;
  /** The whole lines of the log so far, and where they end in the output of the process. */
  #log = { end: 0, lines: "" };
  /** Its process id, which an upgrade changes. */
  pid: number;

  constructor(site: Site, readonly process: TestProcess) {
    this.#site = site;
    this.pid = process.pid;
  }

  /** All that it and its servers have logged so far, without the positions of the debug level. */
  get log(): string {
    const { stderr } = this.process, end = stderr.lastIndexOf("\n") + 1;
    if (end > this.#log.end) {
      const more = withoutPositions(stderr.slice(this.#log.end, end));
      this.#log = { end, lines: this.#log.lines + more };
    }
    return this.#log.lines + withoutPositions(stderr.slice(end));
  }

  /**
   * Waits for a log line of it or of one of its servers.
   *
   * @param pattern What to look for, from the beginning of the log on.
   * @param count How many such lines there must be.
   * @returns The last of them, as far as they have come.
   */
  async logs(pattern: RegExp, count = 1): Promise<RegExpExecArray> {
    const all = new RegExp(pattern, `${pattern.flags.replace("g", "")}g`);
    try {
      let seen = -1;
      return await eventually(() => {
        const { log } = this;
        if (log.length === seen) return undefined;
        seen = log.length;
        const found = [...log.matchAll(all)];
        return found.length >= count && found.at(-1);
      }, { what: `${pattern} in the log ${count} times` });
    } catch (cause) {
      throw new Error(`${(cause as Error).message}\n${this.log}`, { cause });
    }
  }

  /**
   * How many log lines there are so far.
   *
   * @param pattern Which ones.
   */
  logged(pattern: RegExp): number {
    return this.log.split("\n").filter((line) => pattern.test(line)).length;
  }

  /**
   * The running server processes, detached ones included.
   *
   * @param file Only those of this settings file.
   */
  servers(file?: string): ProcessInfo[] {
    return this.#site.processes().filter(({ parent, argv }) =>
      parent === this.pid && (file === undefined || argv.includes(`${this.#site.conf}/${file}`))
    );
  }

  /**
   * Waits until a service has exactly so many processes, which all have registered their services.
   *
   * @param file The settings file.
   * @param count How many.
   * @returns Their ids, in their order.
   */
  async serving(file: string, count: number): Promise<number[]> {
    let pids: number[] = [];
    try {
      await eventually(() => {
        pids = this.servers(file).map(({ pid }) => pid);
        if (pids.length !== count) return false;
        const { log } = this;
        return pids.every((pid) => log.includes(`[${pid}] serviceRegister`));
      }, { what: "processes" });
    } catch (cause) {
      throw new Error(`Cannot accept ${pids.length} of ${count} processes\n${this.log}`, { cause });
    }
    return pids;
  }

  /**
   * Waits until the master has reaped these servers. A process that ends loses its memory, and with it its name,
   * before its descriptors.
   *
   * @param pids Their ids.
   * @param withinMs How long at most, in milliseconds.
   */
  async reaps(pids: number | readonly number[], withinMs?: number): Promise<void> {
    const awaited = [pids].flat();
    await eventually(() => !awaited.some((pid) => isChildOf(pid, this.pid)), {
      what: `the end of ${awaited}`,
      withinMs,
    });
  }

  /**
   * Waits until the master itself has closed a listener, which its servers may still hold.
   *
   * @param target Where it is bound.
   */
  async closes(target: Target): Promise<void> {
    const inode = listenerInode(target);
    const isOpen = () =>
      inode !== undefined && [...descriptorsOf(this.pid).values()].includes(`socket:[${inode}]`);
    await eventually(() => !isOpen(), { what: `the listener ${target} to be closed` });
  }

  /**
   * Sends SIGHUP, and waits until the new configuration is in force.
   */
  async reload(): Promise<void> {
    const { done, text } = await this.#askForReload();
    assert(done, text);
  }

  /**
   * Sends SIGHUP, and waits until the master refuses the new configuration.
   *
   * @returns Why: a problem on each line, without the indentation that further lines have in the log.
   */
  async reloadRefused(): Promise<string> {
    const { refused, text } = await this.#askForReload();
    assert(refused !== undefined, text);
    return refused.replaceAll("\n    ", "\n");
  }

  /**
   * Sends SIGHUP, and waits until the reload is over and was undone for some services.
   *
   * @returns Their names, as the log has them.
   */
  async reloadUndone(): Promise<string> {
    const { undone, text } = await this.#askForReload();
    assert(undone !== undefined, text);
    return undone;
  }

  /**
   * Sends SIGUSR2, and waits until another master has taken over, and has its sockets; this object is that one then.
   *
   * @returns The process id of the old one.
   */
  async upgrade(): Promise<number> {
    const old = this.pid, isMaster = /this is the master now/, before = this.logged(isMaster);
    this.signal("SIGUSR2");
    this.pid = await eventually(() => {
      const pid = Number(Deno.readTextFileSync(this.#site.pidFile));
      return pid !== old && pid;
    }, { what: "the pid of another master" });
    await this.logs(new RegExp(`process ${this.pid} has taken over`));
    await this.logs(isMaster, before + 1);
    return old;
  }

  /**
   * Sends SIGUSR2, and waits until the upgrade has failed.
   *
   * @returns Why.
   */
  async upgradeFailed(): Promise<string> {
    const failure = /upgrade failed, all goes on as before: process \d+: (.*)\n/;
    const before = [...this.log.matchAll(new RegExp(failure, "g"))].length;
    this.signal("SIGUSR2");
    return (await this.logs(failure, before + 1))[1];
  }

  /**
   * Sends a signal to the master.
   *
   * @param signal Which one.
   */
  signal(signal: Deno.Signal): void {
    Deno.kill(this.pid, signal);
  }

  /** Sends SIGHUP, and waits until the new configuration is accepted and its processes start. */
  async reloadBegun(): Promise<void> {
    const plan = /\] listeners: /g;
    const before = [...this.log.matchAll(plan)].length;
    this.signal("SIGHUP");
    await this.logs(plan, before + 1);
  }

  async #askForReload(): Promise<ReloadAnswer> {
    const before = [...this.log.matchAll(RELOAD_OVER)].length;
    this.signal("SIGHUP");
    const { 0: text, groups } = await this.logs(RELOAD_OVER, before + 1);
    return { ...groups, text };
  }

  /**
   * Sends SIGTERM, waits for an orderly end, and fails if anything is left.
   *
   * @param withinMs How long the end may take, in milliseconds.
   * @returns How it ended.
   */
  async stop(withinMs?: number): Promise<Ended> {
    this.signal("SIGTERM");
    return await this.stopped(withinMs);
  }

  /**
   * Waits for an orderly end, and fails if anything is left.
   *
   * @param withinMs How long the end may take, in milliseconds.
   * @returns How it ended.
   */
  async stopped(withinMs?: number): Promise<Ended> {
    const ended = await this.process.ended(withinMs);
    assertEquals([ended.code, ended.signal], [0, null], this.log);
    // After an upgrade it is another process that everything ends with.
    await this.#site.isGone(this.pid === this.process.pid ? undefined : withinMs ?? PATIENCE_MS);
    assert(!existsSync(`${this.#site.pidFile}.sock`), "the control socket is left");
    return ended;
  }
}

/** The process that has sent a greeting. */
export function pidIn({ greeting }: { readonly greeting: string }): number {
  return Number(greeting.split(" ")[1]);
}

/**
 * The process that answers a new client.
 *
 * @param target Where the client connects.
 */
export async function answering(target: Target): Promise<number> {
  using client = await greeted(target);
  return pidIn(client);
}

export type { Target };
