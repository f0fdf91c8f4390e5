/**
 * The standard outputs of this process: each has one spool for log lines and all other output, so that a slow
 * reader blocks nothing, and the order is kept.
 *
 * Without FFI a full pipe is recognized only if it was opened non-blocking, as a master does for its servers
 * (src/master/outputs/output_pipe.ts); any other blocks the process.
 *
 * @module
 */
import type { LogFormat } from "../config/log_form.ts";
import { type Clock, systemClock } from "../os/clock/clock.ts";
import { reopenOutput, waitWritable, writeWithoutWaiting } from "../os/net/datagram.ts";
import { closeFd } from "../os/fd/descriptor.ts";
import { mayUseFfi } from "../os/ffi/permissions.ts";
import { EPOLLOUT, Poller } from "../os/fd/poller.ts";
import { droppedText } from "./lines.ts";
import { capturedRecord } from "./formats.ts";
import { recordEncoder } from "./output_form.ts";
import { type LogRecord, type LogSource, type RecordEncoder, recordOf } from "./record.ts";
import { type Outlet, Spool } from "./spool.ts";

/** A standard output. */
export type OutputName = "stdout" | "stderr";

/** Their descriptors. */
export const OUTPUT_FDS: Readonly<Record<OutputName, number>> = { stdout: 1, stderr: 2 };
const NOTHING_SENT = { sent: 0, isOver: true };
/** The interval of attempts on a full pipe that can't be polled. */
const RETRY_MS = 50;
/** The size of one write: a part of a spool's capacity. */
const PIECE_BYTES = 65_536;

/** The runtime's own functions, before they are replaced. */
const WRITERS = {
  stdout: Deno.stdout.writeSync.bind(Deno.stdout),
  stderr: Deno.stderr.writeSync.bind(Deno.stderr),
} as const;

/** How lines of the log are written to the outputs. */
export interface OutputSettings {
  /** The source of the lines about dropped lines. */
  readonly source: LogSource;
  readonly format: LogFormat;
}

/** A process without a name has no ident. */
let settings: OutputSettings = { source: { ident: "", pid: Deno.pid }, format: "auto" };

/** Whether a master reads the outputs, and adds time, ident and pid. */
let isCaptured = false;

const spools = new Map<OutputName, Spool>();
const encoders = new Map<OutputName, RecordEncoder>();

/** Changes how lines of the log are written to the outputs. */
export function configureOutputs(changed: OutputSettings): void {
  settings = changed;
  encoders.clear();
}

/** Has all lines of the log be in the form for a master that reads the outputs, whatever the settings say. */
export function markOutputsCaptured(): void {
  isCaptured = true;
  encoders.clear();
}

/** Returns the encoder of lines on an output. */
export function outputEncoder(name: OutputName): RecordEncoder {
  let encoder = encoders.get(name);
  if (encoder === undefined) {
    const output = { fd: OUTPUT_FDS[name], isTerminal: Deno[name].isTerminal() };
    encoder = isCaptured ? capturedRecord : recordEncoder(settings.format, output);
    encoders.set(name, encoder);
  }
  return encoder;
}

/** Returns the spool of an output. Nothing is opened before the first line. */
export function outputSpool(name: OutputName): Spool {
  let spool = spools.get(name);
  if (spool === undefined) spools.set(name, spool = newSpool(name));
  return spool;
}

/** Writes a copy of bytes to an output without blocking. Beyond the spool's capacity it drops data. */
export function writeOutput(name: OutputName, data: Uint8Array): void {
  const spool = outputSpool(name);
  for (let at = 0; at < data.length; at += PIECE_BYTES) {
    spool.push(data.slice(at, at + PIECE_BYTES));
  }
}

/** Writes a line of the log to stderr, whatever the log's destination is. */
export function tellStderr(record: LogRecord): void {
  outputSpool("stderr").push(outputEncoder("stderr")(record));
}

/**
 * Sends pending output at the end of a process, and discards the rest.
 *
 * @param timeoutMs The time limit for each output, blocking.
 */
export function closeOutputs(timeoutMs: number): void {
  for (const spool of spools.values()) spool.close(timeoutMs);
}

function newSpool(name: OutputName): Spool {
  return new Spool({
    connect: () => mayUseFfi() ? rawOutlet(OUTPUT_FDS[name]) : plainOutlet(name, systemClock),
    notice: (dropped) =>
      outputEncoder(name)(
        recordOf(settings.source, { level: "warn", text: droppedText(dropped) }),
      ),
    // There is no other place to report it.
    onGone: () => {},
    clock: systemClock,
  });
}

function rawOutlet(output: number): Outlet {
  const own = reopenOutput(output);
  const fd = own ?? output;
  const poller = new Poller(() => {});
  return {
    send: (data) => writeWithoutWaiting(fd, data),
    waitForRoom(_lines, done) {
      const watch = poller.watch(fd, EPOLLOUT, () => {
        watch.stop();
        done(0);
      });
      return {
        isSending: false,
        end() {
          watch.stop();
          return NOTHING_SENT;
        },
      };
    },
    blockForRoom: (timeoutMs) => waitWritable(fd, timeoutMs),
    close: () => own !== undefined && closeFd(own),
  };
}

function plainOutlet(name: OutputName, clock: Clock): Outlet {
  return {
    send(data) {
      try {
        return WRITERS[name](data);
      } catch (error) {
        if (error instanceof Deno.errors.WouldBlock) return undefined;
        throw error;
      }
    },
    waitForRoom(_lines, done) {
      const timer = clock.setTimer(RETRY_MS, () => done(0));
      return {
        isSending: false,
        end() {
          timer.cancel();
          return NOTHING_SENT;
        },
      };
    },
    blockForRoom: () => false,
    close: () => {},
  };
}
