/**
 * The standard outputs of this process: each has one spool, for log lines and all else, so that
 * nothing waits for a reader that takes nothing, and nothing overtakes what waits.
 *
 * Without FFI a full pipe can be told from the others only where it was opened non-blocking, as a
 * master does for its servers (src/master/workers/outputs.ts); any other makes the process wait.
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

/** One of the two. */
export type OutputName = "stdout" | "stderr";

const DESCRIPTORS: Readonly<Record<OutputName, number>> = { stdout: 1, stderr: 2 };
const NOTHING_SENT = { sent: 0, isOver: true };
/** How soon a full pipe is tried again that can't be waited for. */
const RETRY_MS = 50;
/** What is taken at once: a part of what a spool holds. */
const PIECE_BYTES = 65_536;

/** As the runtime has them, whatever is put in their place later. */
const WRITERS = {
  stdout: Deno.stdout.writeSync.bind(Deno.stdout),
  stderr: Deno.stderr.writeSync.bind(Deno.stderr),
} as const;

/** An output in use. */
interface Output {
  readonly spool: Spool;
  /** Makes the line that says what was dropped. */
  encodeNotice: LineEncoder;
}

const outputs = new Map<OutputName, Output>();

/**
 * The spool of an output. Nothing is opened before the first line.
 *
 * @param name Which output.
 * @param encodeNotice Makes the line that says what was dropped; that of the last caller counts.
 */
export function outputSpool(name: OutputName, encodeNotice?: LineEncoder): Spool {
  let output = outputs.get(name);
  if (output === undefined) outputs.set(name, output = newOutput(name));
  if (encodeNotice !== undefined) output.encodeNotice = encodeNotice;
  return output.spool;
}

/**
 * Writes to an output, without waiting. More than a spool holds is dropped where nobody takes it.
 *
 * @param name Which output.
 * @param data The bytes, copied.
 */
export function writeOutput(name: OutputName, data: Uint8Array): void {
  const spool = outputSpool(name);
  for (let at = 0; at < data.length; at += PIECE_BYTES) {
    spool.push(data.slice(at, at + PIECE_BYTES));
  }
}

/**
 * Says something on stderr that can't be logged, since it is about the log.
 *
 * @param text What to say.
 * @param source Who says it.
 */
export function tellStderr(text: string, source: LogSource): void {
  outputSpool("stderr").push(outputLines(source)(text));
}

/**
 * Sends what waits for the outputs, for the end of a process, and gives the rest up.
 *
 * @param timeoutMs For how long at most each of them is waited for, blocking.
 */
export function closeOutputs(timeoutMs: number): void {
  for (const { spool } of outputs.values()) spool.close(timeoutMs);
}

function newOutput(name: OutputName): Output {
  const output: Output = {
    spool: new Spool({
      connect: () => mayUseFfi() ? rawOutlet(DESCRIPTORS[name]) : plainOutlet(name, systemClock),
      notice: (dropped) => output.encodeNotice(droppedText(dropped)),
      // There is no other place to say it.
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
