/**
 * The destinations of a process's log: its standard outputs, the system's log, a log service.
 *
 * @module
 */
import type { LogTarget } from "../config/log_target.ts";
import { type Clock, systemClock } from "../os/clock/clock.ts";
import { DatagramSender, waitWritable } from "../os/net/datagram.ts";
import { droppedText, masterlogRecord, syslogRecords } from "./lines.ts";
import { outputEncoder, outputSpool, tellStderr } from "./outputs.ts";
import { type LogSource, type RecordEncoder, recordOf } from "./record.ts";
import { type Outlet, Spool } from "./spool.ts";

/** A log destination; `stderr` is for a process without a `server-log`. */
export type BackendTarget = LogTarget | { readonly kind: "stderr" };

/** The parts that tests replace. */
export interface BackendPorts {
  /** The socket of the system's log; the default is `/dev/log`. */
  readonly syslogPath?: string;
  /** The default is the real clock. */
  readonly clock?: Clock;
  /** Reports problems of the log itself; the default writes to stderr. */
  readonly tell?: (text: string) => void;
}

/** A log destination. */
export interface Backend {
  /** The queue of the bytes from {@linkcode Backend.encode}. */
  readonly spool: Spool;
  /** Encodes a record. */
  readonly encode: RecordEncoder;
  /** The program's name as this destination has it, and its pid. */
  readonly source: LogSource;
}

/**
 * Makes a log destination. Nothing is opened before the first line.
 *
 * A log socket needs `--allow-ffi`, the standard outputs need nothing.
 *
 * @param target The destination.
 * @param source The program's name and pid.
 * @param ports Only for tests.
 */
export function openBackend(
  target: BackendTarget,
  source: LogSource,
  ports: BackendPorts = {},
): Backend {
  const { syslogPath = "/dev/log", clock = systemClock } = ports;
  const { tell = (text: string) => tellStderr(recordOf(source, { level: "error", text })) } = ports;
  switch (target.kind) {
    case "stderr":
    case "stdout":
      return {
        spool: outputSpool(target.kind),
        // Looked up for each line: the master may say later that it reads the output.
        encode: (record) => outputEncoder(target.kind)(record),
        source,
      };
    case "masterlog":
      return socketBackend(target.socket, masterlogRecord, { tell, clock, source });
    case "syslog":
      return socketBackend(syslogPath, syslogRecords(target.facility), {
        tell,
        clock,
        source: { ...source, ident: target.ident ?? source.ident },
      });
  }
}

function socketBackend(
  path: string,
  encode: RecordEncoder,
  { tell, clock, source }:
    & Required<Pick<BackendPorts, "tell" | "clock">>
    & { readonly source: LogSource },
): Backend {
  const spool = new Spool({
    connect: () => socketOutlet(path),
    notice: (dropped) => encode(recordOf(source, { level: "warn", text: droppedText(dropped) })),
    onGone: (error) => {
      const why = error instanceof Error ? error.message : String(error);
      tell(`Cannot log to "${path}": ${why}; lines are dropped until it is back`);
    },
    clock,
  });
  return { spool, encode, source };
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
