/**
 * The standard outputs of this process: each has one spool for log lines and all other output, so that a slow
 * reader blocks nothing, and the order is kept.
 *
 * Without FFI a full pipe is recognized only if it was opened non-blocking, as a master does for its servers
 * (src/master/outputs/output_pipe.ts); any other blocks the process.
 *
 * @module
 */
import { type Clock, systemClock } from "../os/clock/clock.ts";
import { reopenOutput, waitWritable, writeWithoutWaiting } from "../os/net/datagram.ts";
import { closeFd } from "../os/fd/descriptor.ts";
import { mayUseFfi } from "../os/ffi/permissions.ts";
import { EPOLLOUT, Poller } from "../os/fd/poller.ts";
import { droppedText, plainRecord } from "./lines.ts";
import type { LogLevel, LogSource } from "./record.ts";
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

/** The source of lines that the outputs write themselves; a process without a name has no ident. */
let ownSource: LogSource = { ident: "", pid: Deno.pid };

const spools = new Map<OutputName, Spool>();

/** Sets the source of the lines about dropped lines. */
export function nameOutputs(source: LogSource): void {
  ownSource = source;
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

/** Reports something about the log itself on stderr. */
export function tellStderr(level: LogLevel, text: string, source: LogSource): void {
  outputSpool("stderr").push(plainRecord({ ...source, timeMs: Date.now(), level, text }));
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
    connect: () => mayUseFfi() ? rawOutlet(DESCRIPTORS[name]) : plainOutlet(name, systemClock),
    notice: (dropped) =>
      plainRecord({
        ...ownSource,
        timeMs: Date.now(),
        level: "warn",
        text: droppedText(dropped),
      }),
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
