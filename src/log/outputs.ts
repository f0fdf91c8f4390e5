/**
 * The standard outputs of this process: each has one spool for log lines and all other output, so that a slow
 * reader blocks nothing, and the order is kept.
 *
 * Without FFI a full pipe is recognized only if it was opened non-blocking, as a master does for its servers
 * (src/master/workers/outputs.ts); any other blocks the process.
 *
 * @module
 */
import { type Clock, systemClock } from "../os/clock/clock.ts";
import { reopenOutput, waitWritable, writeWithoutWaiting } from "../os/net/datagram.ts";
import { closeFd } from "../os/fd/descriptor.ts";
import { mayUseFfi } from "../os/ffi/permissions.ts";
import { EPOLLOUT, Poller } from "../os/fd/poller.ts";
import { droppedText, type LineEncoder, type LogSource, outputLines } from "./lines.ts";
import { type Outlet, Spool } from "./spool.ts";

/** A standard output. */
export type OutputName = "stdout" | "stderr";

const DESCRIPTORS: Readonly<Record<OutputName, number>> = { stdout: 1, stderr: 2 };
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

/** An output in use. */
interface Output {
  readonly spool: Spool;
  /** Encodes the line about dropped lines. */
  encodeNotice: LineEncoder;
}

const outputs = new Map<OutputName, Output>();

/**
 * Returns the spool of an output. Nothing is opened before the first line.
 *
 * @param name The output.
 * @param encodeNotice Encodes the line about dropped lines; the last caller's applies.
 */
export function outputSpool(name: OutputName, encodeNotice?: LineEncoder): Spool {
  let output = outputs.get(name);
  if (output === undefined) outputs.set(name, output = newOutput(name));
  if (encodeNotice !== undefined) output.encodeNotice = encodeNotice;
  return output.spool;
}

/** Writes a copy of bytes to an output without blocking. Beyond the spool's capacity it drops data. */
export function writeOutput(name: OutputName, data: Uint8Array): void {
  const spool = outputSpool(name);
  for (let at = 0; at < data.length; at += PIECE_BYTES) {
    spool.push(data.slice(at, at + PIECE_BYTES));
  }
}

/** Reports a problem of the log on stderr. */
export function tellStderr(text: string, source: LogSource): void {
  outputSpool("stderr").push(outputLines(source)(text));
}

/**
 * Sends pending output at the end of a process, and discards the rest.
 *
 * @param timeoutMs The time limit for each output, blocking.
 */
export function closeOutputs(timeoutMs: number): void {
  for (const { spool } of outputs.values()) spool.close(timeoutMs);
}

function newOutput(name: OutputName): Output {
  const output: Output = {
    spool: new Spool({
      connect: () => mayUseFfi() ? rawOutlet(DESCRIPTORS[name]) : plainOutlet(name, systemClock),
      notice: (dropped) => output.encodeNotice(droppedText(dropped)),
      // There is no other place to report it.
      onGone: () => {},
      clock: systemClock,
    }),
    encodeNotice: outputLines({ ident: "", pid: Deno.pid }),
  };
  return output;
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
