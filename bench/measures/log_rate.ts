/**
 * How many lines a second many processes get into the files of one log service.
 *
 * @module
 */
import { LogService } from "../../src/log/log_service.ts";
import { sleep } from "../bench.ts";
import type { Checkout } from "../checkout.ts";
import { server } from "../contenders/contender.ts";
import { processes, type RowKey, Table } from "../table.ts";
import { checkouts, inTurns, type Measure, type Plan, references } from "./measure.ts";

const WRITERS = 10;
/** Until all writers wait for their input to close. */
const START_MS = 1_500;
const NEWLINE = 10;

/** A kind of writer. */
interface Writer {
  readonly who: string;
  readonly commit?: string;
  readonly command: readonly string[];
}

/** The writer of this project, in these sources. */
const zinfo = (checkout: Checkout): Writer => ({
  who: "zinfo",
  commit: checkout.commit,
  command: [Deno.execPath(), "run", "-A", server("log_writer.ts", checkout)],
});

const FROM_C: Writer = {
  who: "as from C, in python3",
  command: ["python3", server("log_writer.py")],
};

async function measureOne(
  { bench, seconds }: Plan,
  [program, ...args]: readonly string[],
): Promise<{ rate: number; lost: number }> {
  const dir = Deno.makeTempDirSync({ dir: bench.dir });
  const socket = `${dir}/socket`;
  const service = LogService.open({ socket, prefix: `${dir}/log.`, period: "day" });
  const options: Deno.CommandOptions = {
    args: [...args, socket, String(seconds)],
    env: bench.env,
    stdin: "piped",
    stdout: "piped",
  };
  const writers = Array.from(
    { length: WRITERS },
    () => new Deno.Command(program!, options).spawn(),
  );
  let sent = 0, elapsed = 0;
  try {
    await sleep(START_MS);
    const start = performance.now();
    for (const { stdin } of writers) stdin.close();
    const outputs = await Promise.all(writers.map((writer) => writer.output()));
    elapsed = (performance.now() - start) / 1_000;
    for (const { stdout } of outputs) sent += Number(new TextDecoder().decode(stdout));
  } finally {
    await service.close();
  }
  return { rate: sent / elapsed, lost: sent - countLines(dir) };
}

function countLines(dir: string): number {
  let count = 0;
  for (const { name } of Deno.readDirSync(dir)) {
    if (!name.startsWith("log.")) continue;
    for (const byte of Deno.readFileSync(`${dir}/${name}`)) if (byte === NEWLINE) count++;
  }
  return count;
}

/** Lines of log a second. */
export const logRate: Measure = async (plan) => {
  const table = new Table(
    "log",
    "Log lines",
    `${WRITERS} processes write to one log service: through our own \`zinfo\`, whose price is mostly that of finding ` +
      "the caller's file and line, and as a C program of LIB-ZC sends.",
  );
  const all = [...checkouts(plan).map(zinfo), ...references(plan, FROM_C)];
  const key = ({ who, commit }: Writer): RowKey => ({ who, scale: processes(WRITERS), commit });
  await inTurns({ all, rounds: plan.rounds, table, key }, async (writer) => {
    const { rate, lost } = await measureOne(plan, writer.command);
    table.add(key(writer), { "lines/s": rate, "not in the files": lost });
  });
  return [table];
};
