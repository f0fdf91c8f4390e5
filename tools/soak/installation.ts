/**
 * The installation under load: one master with a service of each kind, each with one or several
 * processes on a TCP port and a unix socket; and what is done to it.
 *
 * @module
 */
import { Site } from "../../tests/support/master.ts";
import { descriptorsOf } from "../../tests/support/proc.ts";
import type { TestProcess } from "../../tests/support/processes.ts";
import { eventually } from "../../tests/support/wait.ts";
import type { LoadProtocol, LoadTarget } from "./load_plan.ts";
import type { Behaviour } from "./servers/behaviour.ts";

/** The services under load. */
export const SERVICES = ["http", "aio", "coroutine"] as const;

/** One of {@linkcode SERVICES}. */
export type ServiceName = typeof SERVICES[number];

/** How long a change may take until all of its processes serve. */
const CHANGE_MS = 60_000;

/** How long the processes that a change has replaced may take to end. */
const DRAIN_MS = 45_000;

/** What a master may take to stop: `master-stop-timeout`, and a little. */
const STOP_MS = 37_000;

/** How an installation is set up. */
export interface InstallationOptions {
  /** How many processes each service has. */
  readonly processes: number;
  /** Further settings of each service. */
  readonly settings?: Readonly<Record<string, string | number>>;
}

/** What can differ from one version to the next. */
export interface VersionOptions {
  /** How the services behave; default: all are good. */
  readonly behave?: Partial<Record<ServiceName, Behaviour>>;
  /** A further address of a service. */
  readonly added?: { readonly service: ServiceName; readonly address: string };
  /** The services that have the version; default: all. The others are as in their last good one. */
  readonly services?: readonly ServiceName[];
}

type Settings = Parameters<Site["write"]>[1];

/** How an attempt at an upgrade has ended. */
export type UpgradeEnd = "upgraded" | "failed";

/** A running installation. Declare it with `await using`. */
export class Installation implements AsyncDisposable {
  /** Where all of it is. */
  readonly site: Site = new Site();
  /** Whom a load can ask. */
  readonly targets: readonly LoadTarget[];
  readonly #addresses: Readonly<Record<ServiceName, { port: number; path: string }>>;
  #settings: Readonly<Record<string, string | number>>;
  #processes: number;
  readonly #process: TestProcess;
  #version = 0;
  /** The settings of each service in its last good version. */
  readonly #good = new Map<ServiceName, Settings>();
  /** The behaviour of the services in each version. */
  readonly #behaviours = new Map<string, Partial<Record<ServiceName, Behaviour>>>();

  private constructor({ processes, settings = {} }: InstallationOptions) {
    const address = (name: string) => ({ port: this.site.port(), path: this.site.socket(name) });
    this.#addresses = {
      http: address("http"),
      aio: address("aio"),
      coroutine: address("coroutine"),
    };
    this.targets = SERVICES.flatMap((name): LoadTarget[] => {
      const { port, path } = this.#addresses[name];
      const protocol = protocolOf(name);
      return [
        {
          name: `${name} tcp`,
          protocol,
          address: { transport: "tcp", hostname: "127.0.0.1", port },
        },
        { name: `${name} unix`, protocol, address: { transport: "unix", path } },
      ];
    });
    this.#processes = processes;
    this.#settings = settings;
    // With the default, the oldest of so many generations in so short a time would be cut.
    this.site.write("all.gcf", { "master-max-generations": 1_000 });
    this.writeVersion();
    const args = ["-C", this.site.conf, "-pid-file", this.site.pidFile, "--DEBUG"];
    this.#process = this.site.run(args);
  }

  /**
   * Starts a master, and waits until its first version serves.
   *
   * @param options How it is set up.
   */
  static async start(options: InstallationOptions): Promise<Installation> {
    const installation = new Installation(options);
    try {
      await installation.serves();
      return installation;
    } catch (error) {
      await installation[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The version that was written last, as the answers have it. */
  get version(): string {
    return String(this.#version);
  }

  /**
   * The versions so far that clients of a service may be answered by: those in which it is good, if only one of
   * its processes is.
   *
   * @param name The service.
   */
  answeringVersions(name: ServiceName): string[] {
    return [...this.#behaviours]
      .filter(([, { [name]: behave = "good" }]) => behave === "good" || behave === "half")
      .map(([version]) => version);
  }

  /** The unix sockets of the services. */
  get paths(): readonly string[] {
    return SERVICES.map((name) => this.#addresses[name].path);
  }

  /** All that the masters and servers have logged. */
  get log(): string {
    return this.#process.stderr;
  }

  /** The process that the pid file names; undefined while it names none. */
  get namedPid(): number | undefined {
    return Number(Deno.readTextFileSync(this.site.pidFile).trim()) || undefined;
  }

  /** The process of the master. */
  get masterPid(): number {
    const pid = this.namedPid;
    if (pid === undefined) throw new Error("Cannot find the master: the pid file names no process");
    return pid;
  }

  /** How many processes the services have together, when no older ones are left. */
  get processCount(): number {
    return this.#processes * SERVICES.length;
  }

  /** The running servers of all masters. */
  servers(): number[] {
    return this.site.processes()
      .filter(({ argv }) => argv.includes("-server-control"))
      .map(({ pid }) => pid);
  }

  /**
   * Writes the settings of a next version, and tells nobody.
   *
   * @param options What is different.
   */
  writeVersion({ behave = {}, added, services = SERVICES }: VersionOptions = {}): void {
    this.#version++;
    this.#behaviours.set(this.version, behave);
    for (const name of SERVICES) {
      const more = added?.service === name ? [added.address] : [];
      const settings = (!services.includes(name) && this.#good.get(name)) ||
        this.#settingsOf(name, { behave: behave[name] ?? "good", more });
      if (settings.behave === "good") this.#good.set(name, settings);
      // Whole, whenever it is read: a reload that was asked for before may be under way.
      const written = this.site.write(`${name}.cf.next`, settings);
      Deno.renameSync(written, `${this.site.conf}/${name}.cf`);
    }
  }

  #settingsOf(
    name: ServiceName,
    { behave, more }: { readonly behave: Behaviour; readonly more: readonly string[] },
  ): Settings {
    const { port, path } = this.#addresses[name];
    return {
      "server-command": new URL(`servers/${name}.ts`, import.meta.url).pathname,
      "server-service": [`127.0.0.1:${port}`, path, ...more].join(" "),
      "server-proc-count": this.#processes,
      "version": this.version,
      "behave": behave,
      "first": this.site.dir.file(`first-${name}-${this.version}`),
      ...this.#settings,
    };
  }

  /**
   * Sets up the versions that are written from now on; a number of processes holds at once.
   *
   * @param options How it is set up.
   */
  async becomes({ processes, settings = {} }: InstallationOptions): Promise<void> {
    const isNew = processes !== this.#processes;
    this.#processes = processes;
    this.#settings = settings;
    if (!isNew) return;
    await this.reload();
  }

  /**
   * Sends a signal to the master that the pid file names.
   *
   * @param signal Which one.
   * @returns Where the log was then, for {@linkcode logs}.
   */
  signal(signal: "SIGHUP" | "SIGUSR2" | "SIGTERM"): number {
    const since = this.log.length;
    Deno.kill(this.masterPid, signal);
    return since;
  }

  /**
   * Waits for log lines.
   *
   * @param pattern What to look for; with the flag `g`.
   * @param options From where in the log on, how many, and how long at most.
   * @returns The last of them.
   */
  async logs(
    pattern: RegExp,
    { since = 0, count = 1, withinMs = CHANGE_MS }: {
      readonly since?: number;
      readonly count?: number;
      readonly withinMs?: number;
    } = {},
  ): Promise<RegExpExecArray> {
    try {
      let seen = -1;
      return await eventually(() => {
        const { log } = this;
        if (log.length === seen) return undefined;
        seen = log.length;
        const found = [...log.slice(since).matchAll(pattern)];
        return found.length >= count && found.at(-1);
      }, { what: `${pattern} in the log ${count} times`, withinMs });
    } catch (cause) {
      throw new Error(`${(cause as Error).message}\n${this.log.slice(since)}`, { cause });
    }
  }

  /**
   * Waits until all processes of the version that was written last serve.
   *
   * @param services The services that have it.
   */
  async serves(services: readonly ServiceName[] = SERVICES): Promise<void> {
    const pattern = new RegExp(`serves version ${this.version}\\b`, "g");
    const targets = this.targets.length / SERVICES.length * services.length;
    await this.logs(pattern, { count: targets * this.#processes });
  }

  /**
   * Reloads to a good next version, and waits until that serves.
   *
   * @param options What is different, but for the behaviour.
   */
  async reload(options: Omit<VersionOptions, "behave"> = {}): Promise<void> {
    this.writeVersion(options);
    const since = this.signal("SIGHUP");
    const [end] = await this.logs(/\breloaded\b|\breload (?:refused|over, rolled back).*/g, {
      since,
    });
    if (end !== "reloaded") throw new Error(`Cannot reload: ${end}`);
    await this.serves(options.services);
  }

  /** Upgrades the master together with a good next version, and waits until that serves. */
  async upgrade(): Promise<void> {
    this.writeVersion();
    const old = this.masterPid;
    const since = this.signal("SIGUSR2");
    if (await this.upgradeEnds(old, since) === "failed") {
      throw new Error(`Cannot upgrade:\n${this.log.slice(since)}`);
    }
    await this.serves();
  }

  /**
   * Waits until an attempt at an upgrade has ended.
   *
   * @param old The process of the master before it.
   * @param since Where the log was then.
   * @returns How it has ended.
   */
  async upgradeEnds(old: number, since: number): Promise<UpgradeEnd> {
    return await eventually(() => {
      // Asked first: the old one ends after it is named no more.
      const isThere = isAlive(old);
      const { namedPid } = this;
      if (namedPid !== undefined && namedPid !== old) return "upgraded";
      if (/\bupgrade failed\b/.test(this.log.slice(since))) return "failed";
      if (!isThere) {
        throw new Error(
          "Cannot upgrade: the old master has ended, and the pid file names no other",
        );
      }
    }, { what: "the end of an upgrade", withinMs: CHANGE_MS });
  }

  /**
   * Waits until there is one master with one version of its servers, and what has gone is gone, so that the
   * master opens and closes nothing more; the first master stays as the parent of the others.
   */
  async settles(): Promise<void> {
    const count = this.processCount + 1;
    const pids = () =>
      this.site.processes().map(({ pid }) => pid)
        .filter((pid) => pid !== this.#process.pid || pid === this.namedPid);
    // All processes of the system are looked at for this; so that is not done all the time.
    const deadline = performance.now() + DRAIN_MS;
    let before = "";
    for (;;) {
      const found = pids();
      const isSettled = found.length === count && found.includes(this.masterPid);
      // A master hears of the end of a server a moment later.
      const held = isSettled ? this.descriptors().join() : "";
      if (isSettled && held === before) return;
      before = held;
      if (performance.now() > deadline) {
        const lines = this.site.processes().map(({ pid, argv }) => `${pid} ${argv.join(" ")}`);
        throw new Error(
          `Cannot accept ${lines.length} of ${count} processes:\n${lines.join("\n")}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  /** What the master holds open, without numbers that change. */
  descriptors(): string[] {
    return [...descriptorsOf(this.masterPid).values()]
      .map((target) => target.replace(/\[\d+\]$/, "")).sort();
  }

  /** Stops the master, and fails if anything is left. */
  async stop(): Promise<void> {
    this.signal("SIGTERM");
    await this.isGone();
  }

  /** Waits for the end of the whole installation after a SIGTERM, and fails if anything is left. */
  async isGone(): Promise<void> {
    await this.site.isGone(STOP_MS);
    const { code, signal } = await this.#process.ended();
    if (code !== 0) throw new Error(`Cannot accept how the master ended: ${signal ?? code}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.site[Symbol.asyncDispose]();
  }
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s*Z/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * What a service speaks.
 *
 * @param name The service.
 */
export function protocolOf(name: ServiceName): LoadProtocol {
  return name === "http" ? "http" : "line";
}
