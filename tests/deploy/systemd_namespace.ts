/**
 * A systemd of the test's own, as process 1 of namespaces, which knows only the units that it is
 * given. It has the network of the tests.
 *
 * @module
 */
import { existsSync } from "@std/fs/exists";
import { ifThere } from "../../src/os/fs/path.ts";
import { childrenOf } from "../support/namespaces.ts";
import { TestProcess } from "../support/processes.ts";
import type { TempDir } from "../support/temp.ts";
import { eventually } from "../support/wait.ts";

const SCRIPT = new URL("systemd_namespace.sh", import.meta.url).pathname;

/** The units of systemd itself that every unit depends on; here they do nothing. */
const TARGETS = ["test", "sysinit", "basic", "shutdown", "network", "sockets", "multi-user"];

/** Where the unified hierarchy of control groups is; undefined if there is none. */
function controlGroups(): string | undefined {
  const mounts = Deno.readTextFileSync("/proc/self/mountinfo");
  return /^\S+ \S+ \S+ \/ (\S+) .* - cgroup2 /m.exec(mounts)?.[1];
}

/** Why no systemd can be started here; undefined when it can. */
export function noSystemd(): string | undefined {
  if (Deno.uid() !== 0) return "only root can start one";
  for (const program of ["/lib/systemd/systemd", "/usr/bin/script"]) {
    if (!existsSync(program)) return `${program} is missing`;
  }
  const groups = controlGroups();
  if (groups === undefined) return "no cgroup2 is mounted";
  try {
    Deno.removeSync(Deno.makeTempDirSync({ dir: groups }));
  } catch (error) {
    return (error as Error).message;
  }
}

/** A running systemd. Declare it with `await using`. */
export class Systemd implements AsyncDisposable {
  readonly #process: TestProcess;
  readonly #group: string;
  /** The id of its process 1, as seen from outside. */
  readonly pid: number;

  private constructor(process: TestProcess, group: string, pid: number) {
    this.#process = process;
    this.#group = group;
    this.pid = pid;
  }

  /**
   * Starts one.
   *
   * @param dir A directory with the unit files in `units`, and what is to be in /srv in `srv`.
   */
  static async start(dir: TempDir): Promise<Systemd> {
    for (const name of TARGETS) {
      dir.write(`units/${name}.target`, "[Unit]\nDefaultDependencies=no\nAllowIsolate=yes\n");
    }
    const group = Deno.makeTempDirSync({ dir: controlGroups(), prefix: "zc_test_" });
    const command = `sh ${SCRIPT} ${group} ${dir.path} ${Deno.realPathSync(Deno.execPath())}`;
    const process = new TestProcess(["script", "-qefc", command, "/dev/null"]);
    const isSystemd = (pid: number) =>
      ifThere(() => Deno.readTextFileSync(`/proc/${pid}/comm`)) === "systemd\n";
    const descend = (pid: number): number | undefined =>
      isSystemd(pid) ? pid : childrenOf(pid).map((child) => descend(child.pid)).find(Boolean);
    try {
      const pid = await eventually(() => descend(process.pid), { what: "systemd" });
      const systemd = new Systemd(process, group, pid);
      await eventually(
        async () => (await systemd.#run("is-active", "test.target")).trim() === "active",
        { what: "the start of systemd" },
      );
      return systemd;
    } catch (cause) {
      await process[Symbol.asyncDispose]();
      await eventually(() => removeGroup(group), { what: "the end of the control group" });
      throw new Error(`Cannot start systemd: ${process.stdout}`, { cause });
    }
  }

  /** All that it has said so far. */
  get log(): string {
    return this.#process.stdout;
  }

  /** What the units have written into a file, as they see its path. */
  read(path: string): string {
    return Deno.readTextFileSync(`/proc/${this.pid}/root${path}`);
  }

  /**
   * Starts systemctl(1).
   *
   * @param args Its arguments.
   */
  systemctl(...args: string[]): TestProcess {
    const inside = ["nsenter", "-t", `${this.pid}`, "-m", "-p", "-C"];
    return new TestProcess([...inside, "systemctl", "--no-pager", ...args]);
  }

  /**
   * A property of a unit.
   *
   * @param unit The unit.
   * @param name The property.
   */
  async property(unit: string, name: string): Promise<string> {
    return (await this.#run("show", "--value", "-p", name, unit)).trim();
  }

  /** The main process of a unit, as seen from outside. */
  async mainPid(unit: string): Promise<number> {
    return this.outside(Number(await this.property(unit, "MainPID")));
  }

  /**
   * What the id of a process is outside.
   *
   * @param inside Its id in the namespace.
   */
  outside(inside: number): number {
    const own = Deno.readLinkSync(`/proc/${this.pid}/ns/pid`);
    for (const { name } of Deno.readDirSync("/proc")) {
      const isIt = ifThere(() =>
        /^\d+$/.test(name) && Deno.readLinkSync(`/proc/${name}/ns/pid`) === own &&
        new RegExp(`^NSpid:.*\\t${inside}$`, "m").test(
          Deno.readTextFileSync(`/proc/${name}/status`),
        )
      );
      if (isIt) return Number(name);
    }
    throw new Error(`Cannot find process ${inside} of the namespace`);
  }

  async #run(...args: string[]): Promise<string> {
    await using systemctl = this.systemctl(...args);
    return (await systemctl.ended()).stdout;
  }

  /** Kills it with all of its processes. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      Deno.kill(this.pid, "SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#process[Symbol.asyncDispose]();
    await eventually(() => removeGroup(this.#group), { what: "the end of the control group" });
  }
}

/** Removes a control group with those in it; false while one has a process. */
function removeGroup(path: string): boolean {
  try {
    const inner = [...Deno.readDirSync(path)].filter(({ isDirectory }) => isDirectory);
    return inner.every(({ name }) => removeGroup(`${path}/${name}`)) &&
      (Deno.removeSync(path), true);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return true;
    return false;
  }
}
