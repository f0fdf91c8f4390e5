/**
 * `logs`: shows the last lines of the log, and follows it.
 *
 * @module
 */
import { serviceName } from "../config/service.ts";
import { cannot, counted } from "../config/errors.ts";
import type { ControlClient } from "../control/client.ts";
import type { ControlEvent, LogLine } from "../control/messages.ts";
import { jsonText, plainTerminalRecord, terminalRecord, textRecord } from "../log/formats.ts";
import type { LogRecord, RecordEncoder } from "../log/record.ts";
import type { CommandCall } from "./command.ts";
import { EXIT, fail, isLost, reconnect, withMaster } from "./connect.ts";
import { showsColour, writeAll } from "./output.ts";
import { serviceId } from "./service_ids.ts";
import { ShownLines } from "./shown_lines.ts";

/** The most lines of the past. */
const MOST_LINES = 1_000_000;

/** What is asked for. */
interface Wanted {
  readonly service?: string;
  readonly lines?: number;
}

/** Runs the command. */
export async function run(call: CommandCall): Promise<number> {
  const { operands: [name], options, settings } = call;
  const given = options.lines as string | undefined;
  // As tail(1) takes a number of lines.
  if (/^-[0-9]+$/.test(name ?? "")) {
    const about = { found: "no option has this name", expected: `-n ${name.slice(1)}` };
    return fail(cannot("read argument", name, about), EXIT.usage);
  }
  if (given !== undefined && !(/^[0-9]+$/.test(given) && Number(given) <= MOST_LINES)) {
    const expected = `a whole number from 0 to ${MOST_LINES}`;
    const found = /^[0-9]+$/.test(given) ? `above ${MOST_LINES}` : "not a number of lines";
    return fail(cannot("show", given, { found, expected }), EXIT.usage);
  }
  const show = writer(options.json === true);
  return await withMaster(settings, async (master) => {
    const wanted: Wanted = {
      ...(name !== undefined && { service: await serviceId(master, name) }),
      ...(given !== undefined && { lines: Number(given) }),
    };
    try {
      if (options.follow) return await followAll(master, { wanted, show, settings });
      const { lines } = await master.request("logs", wanted);
      await show(lines);
      return EXIT.ok;
    } catch (error) {
      // The reader of a pipe, such as head(1), has enough.
      if (error instanceof ReaderGone) return EXIT.ok;
      throw error;
    }
  });
}

/** Nobody reads what is written. */
class ReaderGone extends Error {}

type Show = (lines: readonly LogLine[]) => Promise<void>;

/** Follows one master after the other, until none runs. */
async function followAll(
  first: ControlClient,
  { wanted, show, settings }: {
    readonly wanted: Wanted;
    readonly show: Show;
    readonly settings: CommandCall["settings"];
  },
): Promise<number> {
  const shown = new ShownLines(Date.now);
  const showNew: Show = async (lines) => {
    const fresh = shown.fresh(lines);
    await show(fresh);
    shown.add(fresh);
  };
  let hasStopped = await follow(first, wanted, showNew);
  while (!hasStopped) {
    using next = await reconnect(settings);
    if (next === undefined) break;
    // It has its own lines from its start on, and the last ones of the old master, whose servers drain.
    hasStopped = await follow(next, { ...wanted, lines: MOST_LINES }, showNew);
  }
  return fail("the master has ended", EXIT.notRunning);
}

/** Shows lines until the connection ends; returns whether the master stops. */
async function follow(master: ControlClient, wanted: Wanted, show: Show): Promise<boolean> {
  let hasStopped = false;
  try {
    const { lines, events } = await master.follow(wanted);
    await show(lines);
    for await (const event of events) {
      if (event.type === "line") await show([event]);
      else if (event.type === "stop") hasStopped = true;
      else if (event.type === "dropped") console.error(droppedText(event));
    }
  } catch (error) {
    if (!isLost(error)) throw error;
  }
  return hasStopped;
}

function droppedText({ lines }: Extract<ControlEvent, { readonly type: "dropped" }>): string {
  const left = counted(lines, "line was", "lines were");
  return `${left} left out: they came faster than they were read`;
}

/** Writes lines in the form for the output. */
function writer(isJson: boolean): Show {
  const encode = isJson ? jsonLine : recordLine(recordFormat());
  return async (lines) => {
    try {
      for (const line of lines) await writeAll(encode(line));
    } catch (error) {
      throw error instanceof Deno.errors.BrokenPipe ? new ReaderGone() : error;
    }
  };
}

function recordFormat(): RecordEncoder {
  if (!Deno.stdout.isTerminal()) return textRecord;
  return showsColour() ? terminalRecord : plainTerminalRecord;
}

function recordLine(encode: RecordEncoder): (line: LogLine) => Uint8Array<ArrayBuffer> {
  return ({ atMs: timeMs, level, service, pid, text }) => {
    const ident = service === null ? "master" : serviceName(service);
    return encode({ timeMs, level, ident, pid, text } satisfies LogRecord);
  };
}

/** A line as it is in an answer, without the type that an event has. */
function jsonLine(
  { atMs, level, service, pid, stream, text, key }: LogLine,
): Uint8Array<ArrayBuffer> {
  return encoder.encode(`${jsonText({ atMs, level, service, pid, stream, text, key })}\n`);
}

const encoder = new TextEncoder();
