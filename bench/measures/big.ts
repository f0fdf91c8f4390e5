/**
 * Masters with very much to do: many processes, many services, many listeners.
 *
 * @module
 */
import { type Site, until } from "../bench.ts";
import type { Checkout } from "../checkout.ts";
import { startMaster, writeService } from "../contenders/master.ts";
import { server, underMaster } from "../contenders/contender.ts";
import { memoryOf } from "../proc.ts";
import { formatNumber } from "../report.ts";
import { Table } from "../table.ts";
import { checkouts, inTurns, type Measure, type Plan } from "./measure.ts";

/** How long a master with 200 services may take for anything. */
const PATIENCE_MS = 120_000;

interface Case {
  readonly what: string;
  readonly sizes: readonly number[];
  readonly servers: (size: number) => number;
  readonly listeners: (size: number) => number;
  readonly file: string;
  readonly write: (site: Site, size: number, command: string) => void;
}

/** An address of the loopback network for each listener: ports are few. */
function address(index: number, port: number): string {
  return `127.0.${1 + Math.floor(index / 250)}.${1 + index % 250}:${port}`;
}

const CASES: readonly Case[] = [
  {
    what: "processes of one service",
    sizes: [8, 16, 32, 64],
    servers: (size) => size,
    listeners: () => 1,
    file: "master_coroutine.ts",
    write(site, size, command) {
      writeService(site, "bench.cf", {
        "server-command": command,
        "server-service": address(0, site.port),
        "server-proc-count": size,
      });
    },
  },
  {
    what: "services with one process each",
    sizes: [25, 50, 100, 200],
    servers: (size) => size,
    listeners: (size) => size,
    file: "master_coroutine.ts",
    write(site, size, command) {
      for (let i = 0; i < size; i++) {
        writeService(site, `bench${i}.cf`, {
          "server-command": command,
          "server-service": address(i, site.port),
        });
      }
    },
  },
  {
    what: "listeners of one service",
    sizes: [125, 250, 500, 1000],
    servers: () => 1,
    listeners: (size) => size,
    file: "master_listeners.ts",
    write(site, size, command) {
      const addresses = Array.from({ length: size }, (_, i) => address(i, site.port));
      writeService(site, "bench.cf", {
        "server-command": command,
        "server-service": addresses.join(","),
        "bench-listeners": size,
      });
    },
  },
];

async function timed(action: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await action();
  return performance.now() - start;
}

/** The last listener answers, too. */
async function exchange(hostname: string, port: number): Promise<void> {
  using conn = await Deno.connect({ hostname, port });
  await conn.write(new TextEncoder().encode("x\n"));
  if (await conn.read(new Uint8Array(2)) === null) {
    throw new Error("Cannot read an echo: no answer");
  }
}

interface Size {
  readonly one: Case;
  readonly size: number;
  readonly checkout: Checkout;
}

async function measureOne(
  plan: Plan,
  { one, size, checkout }: Size,
): Promise<Record<string, number>> {
  const { bench } = plan;
  const site = bench.site();
  try {
    one.write(site, size, server(one.file, checkout));
    const servers = one.servers(size);
    const [hostname, port] = address(one.listeners(size) - 1, site.port).split(":");
    const startMs = await timed(async () => {
      startMaster({ site }, checkout);
      await site.untilReady(servers);
      await exchange(hostname!, Number(port));
    });
    const masterMb = memoryOf(site.pid).resident;
    const old = new Set(underMaster(site).workers);
    const reloadMs = await timed(async () => {
      Deno.kill(site.pid, "SIGHUP");
      await until(() => {
        if (site.ready().length < 2 * servers) return false;
        return underMaster(site).workers.every((pid) => !old.has(pid));
      }, { what: `a reload with ${size} ${one.what}: ${site.output()}`, withinMs: PATIENCE_MS });
    });
    const stopMs = await timed(() => bench.end(site, PATIENCE_MS));
    return {
      "start ms": startMs,
      "reload ms": reloadMs,
      "stop ms": stopMs,
      "start ms each": startMs / size,
      "reload ms each": reloadMs / size,
      "stop ms each": stopMs / size,
      "master, resident MB": masterMb,
    };
  } finally {
    await bench.end(site, 0);
  }
}

/** Time of start, reload and stop, and what each process costs. */
export const big: Measure = async (plan) => {
  const table = new Table(
    "big",
    "Big masters",
    "Start: until the last server listens and the last listener answers. Reload: from SIGHUP until all servers are new " +
      "ones and the old ones have ended. Stop: from SIGTERM until the last process has ended. The servers are in " +
      "coroutine mode.",
  );
  const all = CASES.flatMap((one) =>
    (plan.long ? one.sizes : one.sizes.slice(0, 1)).flatMap((size) =>
      checkouts(plan).map((checkout) => ({ size, one, checkout }))
    )
  );
  const key = ({ size, one, checkout }: Size) => ({
    who: one.what,
    scale: formatNumber(size),
    commit: checkout.commit,
  });
  await inTurns({ all, rounds: plan.rounds, table, key }, async (one) => {
    table.add(key(one), await measureOne(plan, one));
  });
  return [table];
};
