/**
 * Compares line echo over `Aio` with hand-written loops over `Deno.Conn`: one process each, the same
 * client, in turns of a fraction of a second, so that what else the machine does hits all alike.
 *
 * The servers share one CPU and the client has another one. Prints for each server the median of
 * messages a second and of CPU time a message, each also as a ratio to that of the first server
 * (above 1 is better), and the resident memory after the load.
 *
 * `deno run -A bench/aio_echo.ts [--seconds=10] [--connections=64] [--size=64]`; needs `cc` and
 * `taskset`. On a machine that does something else only long runs are worth anything.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { type Aio, aioCreate } from "../src/server/aio.ts";
import { AioBase } from "../src/server/aio_base.ts";

const TURN_SECONDS = 0.15;
/** Until the code of a server is compiled. */
const WARM_UP_SECONDS = 1;
const MAX_LINE = 10_240;
const NEW_LINE = 0x0a;

/** The least that echoes: no lines, no limits, a buffer of 64 KiB for each connection. */
async function echoBytes(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(65_536);
  for (let count; (count = await conn.read(buffer)) !== null;) {
    await conn.write(buffer.subarray(0, count));
  }
}

/** Whole lines, as one would write it by hand. */
async function echoLines(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(65_536);
  let end = 0;
  for (let count; (count = await conn.read(buffer.subarray(end))) !== null;) {
    const searched = end;
    end += count;
    const last = buffer.subarray(searched, end).lastIndexOf(NEW_LINE);
    if (last >= 0) {
      const lines = searched + last + 1;
      for (let at = 0; at < lines;) at += await conn.write(buffer.subarray(at, lines));
      buffer.copyWithin(0, lines, end);
      end -= lines;
    } else if (end === buffer.length) return;
  }
}

function byHand(serve: (conn: Deno.Conn) => Promise<void>): (conn: Deno.Conn) => void {
  return (conn) => void serve(conn).catch(() => {}).finally(() => conn.close());
}

/** The same over `Aio`. */
function withAio(echo: (aio: Aio) => void): (conn: Deno.Conn) => void {
  const base = new AioBase();
  const afterRead = (aio: Aio) => {
    if (aio.result < 1) return aio.close();
    echo(aio);
    aio.cacheFlush(afterWrite);
  };
  const afterWrite = (aio: Aio) => {
    if (aio.result < 1) return aio.close();
    aio.gets(MAX_LINE, afterRead);
  };
  return (conn) => aioCreate(conn, base).gets(MAX_LINE, afterRead);
}

/** Each server's way with a new connection; the first is what the others are compared with. */
const SERVERS: Readonly<Record<string, () => (conn: Deno.Conn) => void>> = {
  "Deno.Conn by hand, bytes": () => byHand(echoBytes),
  "Deno.Conn by hand, lines": () => byHand(echoLines),
  "Aio, copied": () => withAio((aio) => aio.cacheWrite(aio.getReadCache(aio.result))),
  "Aio, direct": () => withAio((aio) => aio.cacheWriteDirect(aio.getReadCacheDirect(aio.result))),
};

async function serve(name: string): Promise<void> {
  const start = SERVERS[name]!();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  console.log(listener.addr.port);
  for await (const conn of listener) start(conn);
}

interface Server {
  readonly name: string;
  readonly process: Deno.ChildProcess;
  readonly port: string;
  readonly rates: number[];
  readonly cpuUs: number[];
}

async function startServer(name: string): Promise<Server> {
  const process = new Deno.Command("taskset", {
    args: ["-c", "0", Deno.execPath(), "run", "-A", import.meta.filename!, `--serve=${name}`],
    stdout: "piped",
  }).spawn();
  const { value } = await process.stdout.getReader().read();
  return { name, process, port: new TextDecoder().decode(value).trim(), rates: [], cpuUs: [] };
}

/** The CPU time that all threads of a process have used, in nanoseconds (proc(5)). */
function cpuNs(pid: number): number {
  let sum = 0;
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    sum += Number(Deno.readTextFileSync(`/proc/${pid}/task/${name}/schedstat`).split(" ")[0]);
  }
  return sum;
}

function residentMb(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

interface Load {
  readonly client: string;
  readonly connections: number;
  readonly size: number;
}

async function load(server: Server, seconds: number, options: Load): Promise<void> {
  const before = cpuNs(server.process.pid);
  const { connections, size } = options;
  const { stdout, success } = await new Deno.Command("taskset", {
    args: ["-c", "1", options.client, server.port, `${connections}`, `${seconds}`, `${size}`],
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`Cannot load "${server.name}": the client failed`);
  const rate = Number(new TextDecoder().decode(stdout).split(" ")[0]);
  server.rates.push(rate);
  server.cpuUs.push((cpuNs(server.process.pid) - before) / 1000 / (rate * seconds));
}

async function compare(seconds: number, options: Load): Promise<void> {
  const servers = await Promise.all(Object.keys(SERVERS).map(startServer));
  try {
    for (const server of servers) {
      await load(server, WARM_UP_SECONDS, options);
      server.rates.length = server.cpuUs.length = 0;
    }
    const left = seconds - servers.length * WARM_UP_SECONDS;
    for (let turn = 0; turn * servers.length * TURN_SECONDS < left; turn++) {
      for (const server of turn % 2 === 0 ? servers : servers.toReversed()) {
        await load(server, TURN_SECONDS, options);
      }
    }
    console.log(`${options.connections} connections, lines of ${options.size} bytes`);
    console.log("server                        messages/s  ratio   CPU us/message  ratio   MB");
    const [hand] = servers;
    for (const { name, process, rates, cpuUs } of servers) {
      const rate = median(rates), cpu = median(cpuUs);
      console.log(
        name.padEnd(30) + rate.toFixed(0).padStart(10) +
          (rate / median(hand!.rates)).toFixed(3).padStart(7) + cpu.toFixed(2).padStart(17) +
          (median(hand!.cpuUs) / cpu).toFixed(3).padStart(7) +
          residentMb(process.pid).toFixed(0).padStart(5),
      );
    }
  } finally {
    for (const { process } of servers) {
      process.kill();
      await process.status;
    }
  }
}

if (import.meta.main) {
  const args = parseArgs(Deno.args, { string: ["serve", "seconds", "connections", "size"] });
  if (args.serve !== undefined) {
    await serve(args.serve);
  } else {
    const dir = await Deno.makeTempDir({ prefix: "zc_bench_" });
    try {
      const client = `${dir}/echo_client`;
      const source = new URL("echo_client.c", import.meta.url).pathname;
      const built = await new Deno.Command("cc", { args: ["-O2", "-o", client, source] }).spawn()
        .status;
      if (!built.success) throw new Error(`Cannot build "${source}": cc failed`);
      await compare(Number(args.seconds ?? 10), {
        client,
        connections: Number(args.connections ?? 64),
        size: Number(args.size ?? 64),
      });
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  }
}
