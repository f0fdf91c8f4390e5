/**
 * What a contender is: something that serves a port with so many processes.
 *
 * @module
 */
import { type Bench, type Site, until } from "../bench.ts";
import { type Checkout, THIS_CHECKOUT } from "../checkout.ts";
import { childrenOf, isRunning } from "../proc.ts";
import { processes, type RowKey } from "../table.ts";
import type { Tools } from "../tools.ts";

/** One contender. A new one is one more record in all.ts. */
export interface Contender {
  /** Its name in the tables; it is unique. */
  readonly name: string;
  /** What its servers speak. */
  readonly speaks: "http" | "lines";
  /** Whose master it is; undefined: it is no master of this project. */
  readonly checkout?: Checkout;
  /** With how many processes it can be started; default any number. */
  readonly counts?: "one" | "several";
  /** Which program of others it needs. */
  readonly needs?: keyof Omit<Tools, "client" | "missing">;
  /**
   * Starts it; it does not wait until anybody listens.
   *
   * @param count How many processes serve.
   * @param start Where, and with what.
   */
  readonly start: (count: number, start: Start) => void | Promise<void>;
  /** Which processes there are beside what its servers say themselves. */
  readonly pids?: (site: Site) => Pids;
  /** Waits until so many processes serve, where servers can't say so themselves. */
  readonly untilReady?: (count: number, site: Site) => Promise<void>;
  /** Replaces all processes; fulfilled when it has been told to. None: it can't. */
  readonly reload?: (running: Running) => Promise<void> | void;
}

/** What a contender is started with. */
export interface Start {
  readonly site: Site;
  readonly tools: Tools;
  /** The CPU for all of it; default all CPUs. */
  readonly cpu?: number;
}

/** The processes of a contender. */
export interface Pids {
  /** What watches over the rest; undefined where nothing does. */
  readonly master?: number;
  /** Those that serve. */
  readonly workers: readonly number[];
}

/** A contender that serves. */
export interface Running {
  readonly contender: Contender;
  readonly count: number;
  readonly site: Site;
  readonly tools: Tools;
  readonly port: number;
  /** Its processes of this moment. */
  pids(): Pids;
  /** Ends it. */
  end(): Promise<void>;
}

/**
 * The path of a server of the benchmarks.
 *
 * @param name Its file.
 * @param checkout In which sources.
 */
export function server(name: string, { root }: Checkout = THIS_CHECKOUT): string {
  return `${root}bench/servers/${name}`;
}

/**
 * The command that runs a server of the benchmarks in Deno.
 *
 * @param name Its file.
 * @param args Its arguments.
 */
export function deno(name: string, ...args: readonly string[]): string[] {
  return [Deno.execPath(), "run", "-A", server(name), ...args];
}

/**
 * The row of a contender.
 *
 * @param contender Which one.
 * @param count With how many processes.
 * @param part The process whose figures it has; default all.
 */
export function rowOf({ name, checkout }: Contender, count: number, part?: string): RowKey {
  const who = part === undefined ? name : `${name}: ${part}`;
  return { who, scale: processes(count), commit: checkout?.commit };
}

/**
 * Whether a contender can take part.
 *
 * @param contender Which one.
 * @param options With what, and with how many processes.
 */
export function canRun(
  { counts, needs }: Contender,
  { tools, count }: { readonly tools: Tools; readonly count: number },
): boolean {
  if (needs !== undefined && tools[needs] === undefined) return false;
  return counts === undefined || (counts === "one") === (count === 1);
}

/**
 * Starts a contender, and waits until all of its processes serve.
 *
 * @param contender Which one.
 * @param options The run, and how many processes.
 * @throws {Error} When they do not come to serve.
 */
export async function startContender(
  contender: Contender,
  { bench, count }: { readonly bench: Bench; readonly count: number },
): Promise<Running> {
  const site = bench.site();
  const { tools } = bench;
  const cpu = bench.pins && count === 1 ? 0 : undefined;
  const running: Running = {
    contender,
    count,
    site,
    tools,
    port: site.port,
    pids: () => contender.pids?.(site) ?? workersThatSaidReady(site),
    end: () => bench.end(site),
  };
  try {
    await contender.start(count, { site, tools, cpu });
    await untilReady(running);
  } catch (error) {
    await running.end();
    throw error;
  }
  return running;
}

/**
 * Waits until all of a contender's processes serve.
 *
 * @param running Which one.
 */
export async function untilReady({ contender, count, site }: Running): Promise<void> {
  await (contender.untilReady?.(count, site) ?? site.untilReady(count));
}

/** A master that was started first, and the servers that it has started. */
export function underMaster(site: Site): Pids {
  return { master: site.pid, ...workersThatSaidReady(site) };
}

/** Whether a server that can't say so itself serves: it does as soon as it has its epoll instance. */
export function hasEventLoop(pid: number): boolean {
  try {
    const fds = [...Deno.readDirSync(`/proc/${pid}/fd`)];
    return fds.some(({ name }) =>
      Deno.readLinkSync(`/proc/${pid}/fd/${name}`) === "anon_inode:[eventpoll]"
    );
  } catch {
    // It has closed something, or has ended, meanwhile.
    return false;
  }
}

/** The servers that have said that they listen, and still run. */
export function workersThatSaidReady(site: Site): Pids {
  return { workers: [...new Set(site.ready())].filter(isRunning) };
}

/**
 * All processes of a contender: master, servers and helpers.
 *
 * @param running Which one.
 */
export function familyOf({ pids }: Running): number[] {
  const { master, workers } = pids();
  const watched = master === undefined ? [] : [master, ...childrenOf(master)];
  return [...new Set([...workers, ...watched])];
}

/**
 * Reloads a contender, and waits until none of the processes of before serves any more and all of the new ones do.
 *
 * @param running Which one.
 * @param withinMs How long at most.
 */
export async function reloadAndWait(running: Running, withinMs: number): Promise<void> {
  const old = new Set(running.pids().workers);
  await running.contender.reload!(running);
  await until(() => {
    const { workers } = running.pids();
    return workers.length === running.count && workers.every((pid) => !old.has(pid));
  }, { what: `a reload of ${running.contender.name}; output: ${running.site.output()}`, withinMs });
}
