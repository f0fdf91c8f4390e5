/**
 * Running the load client.
 *
 * @module
 */
import type { Bench } from "./bench.ts";
import { run } from "./tools.ts";

/** What the client is told; see the head of client.c. */
export interface LoadOptions {
  readonly port: number;
  readonly seconds: number;
  /** HTTP instead of lines. */
  readonly http?: boolean;
  /** A connection for each exchange. */
  readonly fresh?: boolean;
  /** Default 64. */
  readonly connections?: number;
  /** Bytes of a line; default 64. */
  readonly size?: number;
  /** Exchanges a second, on a schedule; default: as many as the server answers. */
  readonly rate?: number;
  /** How long to keep the connections open without an exchange afterwards, in seconds. */
  readonly hold?: number;
  /** The CPU that the client runs on; default any. */
  readonly cpu?: number;
}

/** What the client tells. */
export interface Load {
  readonly done: number;
  readonly perSecond: number;
  /** Of one CPU, from 0 to 1. */
  readonly cpuShare: number;
  readonly failed: {
    readonly refused: number;
    readonly reset: number;
    readonly ended: number;
    readonly timedOut: number;
    readonly other: number;
  };
  readonly latencyUs: {
    readonly p50: number;
    readonly p99: number;
    readonly p999: number;
    readonly max: number;
  };
}

/**
 * Runs the client once.
 *
 * @param bench The run.
 * @param options What it does.
 * @returns What it told.
 * @throws {Error} When the client itself fails.
 */
export async function load(bench: Bench, { cpu, ...options }: LoadOptions): Promise<Load> {
  const args = Object.entries(options).flatMap(([name, value]) => {
    if (value === true) return [`--${name}`];
    return value === undefined || value === false ? [] : [`--${name}`, String(value)];
  });
  const pin = cpu === undefined ? [] : ["taskset", "-c", String(cpu)];
  return JSON.parse(await run([...pin, bench.tools.client, ...args]));
}

/**
 * How many exchanges failed, in whatever way.
 *
 * @param load What the client told.
 */
export function failures({ failed }: Load): number {
  return Object.values(failed).reduce((sum, count) => sum + count, 0);
}

/**
 * How they failed, in words; undefined when none did.
 *
 * @param load What the client told.
 */
export function describeFailures({ failed }: Load): string | undefined {
  const parts = Object.entries(failed).filter(([, count]) => count > 0)
    .map(([how, count]) => `${count} ${how}`);
  return parts.length === 0 ? undefined : parts.join(", ");
}

/**
 * Requests a second by Debian's wrk.
 *
 * @param bench The run, whose tools have it.
 * @param options Where, and for how long.
 */
export async function wrk(
  bench: Bench,
  { port, seconds, cpu }: Pick<LoadOptions, "port" | "seconds" | "cpu">,
): Promise<number> {
  const { path, env } = bench.tools.wrk!;
  const pin = cpu === undefined ? [] : ["taskset", "-c", String(cpu)];
  const time = `${Math.max(1, Math.round(seconds))}s`;
  const url = `http://127.0.0.1:${port}/`;
  const output = await run([
    ...pin,
    path,
    "-t1",
    "-c64",
    `-d${time}`,
    "-H",
    "Connection: keep-alive",
    url,
  ], { env });
  return Number(/Requests\/sec:\s*([\d.]+)/.exec(output)?.[1] ?? NaN);
}
