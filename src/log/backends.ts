/**
 * The places that a process can log to: its standard outputs, the system's log, a log service.
 *
 * @module
 */
import type { LogTarget } from "../config/log_target.ts";
import { type Clock, systemClock } from "../os/clock.ts";
import { DatagramSender, reopenOutput, waitWritable, writeWithoutWaiting } from "../os/datagram.ts";
import { closeFd } from "../os/descriptor.ts";
import { mayUseFfi } from "../os/permissions.ts";
import { EPOLLOUT, Poller } from "../os/poller.ts";
import {
  droppedText,
  type LineEncoder,
  type LogSource,
  masterlogRecords,
  outputLines,
  syslogRecords,
} from "./lines.ts";
import { type Outlet, Spool } from "./spool.ts";

/** Where a process logs; `stderr` is for the one without a `server-log`. */
export type BackendTarget = LogTarget | { readonly kind: "stderr" };

/** What a test can put in place of the real surroundings. */
export interface BackendPorts {
  /** The socket of the system's log; the default is `/dev/log`. */
  readonly syslogPath?: string;
  /** The default is the real clock. */
  readonly clock?: Clock;
  /** Says what can't be logged, since it is about the log; the default writes to stderr. */
  readonly tell?: (text: string) => void;
}

/** A place to log to. */
export interface Backend {
  /** Takes the bytes of {@linkcode Backend.encode}. */
  readonly spool: Spool;
  /** Makes the bytes of a line. */
  readonly encode: LineEncoder;
}

const STDOUT = 1, STDERR = 2;
const NOTHING_SENT = { sent: 0, isOver: true };

/**
 * Makes a place to log to. Nothing is opened before the first line.
 *
 * A log socket needs `--allow-ffi`. Without it the standard outputs work too, but a pipe that nobody
 * reads then makes the process wait.
 *
 * @param target Where.
 * @param source Who logs.
 * @param ports Only for tests.
 * @returns The backend.
 */
export function openBackend(
  target: BackendTarget,
  source: LogSource,
  ports: BackendPorts = {},
): Backend {
  const { syslogPath = "/dev/log", clock = systemClock } = ports;
  const { tell = (text: string) => tellStderr(text, source) } = ports;
  switch (target.kind) {
    case "stderr":
    case "stdout": {
      const fd = target.kind === "stdout" ? STDOUT : STDERR;
      return outputBackend(fd, outputLines(source), clock);
    }
    case "masterlog":
      return socketBackend(target.socket, masterlogRecords(source), { tell, clock });
    case "syslog": {
      const from = { ...source, ident: target.ident ?? source.ident };
      const encode = syslogRecords(from, { facility: target.facility, now: Date.now });
      return socketBackend(syslogPath, encode, { tell, clock });
    }
  }
}

/**
 * Says something on stderr that can't be logged, since it is about the log.
 *
 * @param text What to say.
 * @param source Who says it.
 */
export function tellStderr(text: string, source: LogSource): void {
  const { spool, encode } = openBackend({ kind: "stderr" }, source);
  spool.push(encode(text));
  spool.close(0);
}

function socketBackend(
  path: string,
  encode: LineEncoder,
  { tell, clock }: Required<Pick<BackendPorts, "tell" | "clock">>,
): Backend {
  const spool = new Spool({
    connect: () => socketOutlet(path),
    notice: (dropped) => encode(droppedText(dropped)),
    onGone: (error) => {
      const why = error instanceof Error ? error.message : String(error);
      tell(`Cannot log to "${path}": ${why}; lines are dropped until it is back`);
    },
    clock,
  });
  return { spool, encode };
}

function socketOutlet(path: string): Outlet {
  const sender = DatagramSender.connect(path);
  return {
    send: (data) => sender.send(data),
    waitForRoom(lines, done) {
      let isOver = false;
      sender.sendWaiting(lines).then((sent) => isOver || done(sent));
      return {
        isSending: true,
        end(timeoutMs) {
          isOver = true;
          return sender.finish(timeoutMs);
        },
      };
    },
    blockForRoom: (timeoutMs) => waitWritable(sender.fd, timeoutMs),
    close: () => sender.close(),
  };
}

function outputBackend(fd: number, encode: LineEncoder, clock: Clock): Backend {
  const spool = new Spool({
    connect: () => mayUseFfi() ? rawOutlet(fd) : plainOutlet(fd),
    notice: (dropped) => encode(droppedText(dropped)),
    // There is no other place to say it.
    onGone: () => {},
    clock,
  });
  return { spool, encode };
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

/** Never full, since it waits. */
function plainOutlet(fd: number): Outlet {
  const output = fd === STDOUT ? Deno.stdout : Deno.stderr;
  return {
    send: (data) => output.writeSync(data),
    waitForRoom: () => ({ isSending: false, end: () => NOTHING_SENT }),
    blockForRoom: () => false,
    close: () => {},
  };
}
