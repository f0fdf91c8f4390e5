/**
 * The messages of the control protocol between a master and its servers. docs/protocol.md describes their
 * meaning and their order.
 *
 * Pure: types.
 *
 * @module
 */
import type { GrantedSettings } from "../config/effective.ts";
import type { FileId } from "../os/ffi/file_status.ts";
import type { SentSocket } from "./service_socket.ts";
import type { UpgradeMessage } from "./upgrade_messages.ts";

/**
 * Master to server, first: the services to serve. One descriptor for each service travels with it, unless it
 * was inherited.
 */
export interface StartMessage {
  readonly type: "start";
  /** The server's generation. */
  readonly generation: number;
  readonly services: readonly SentSocket[];
  /** The settings that the master has accepted; the files may have changed since. */
  readonly settings: GrantedSettings;
  /**
   * Whether the master reads the server's standard outputs, and puts time, service and pid before each line:
   * then a log line is `<N>TEXT`, with a priority of sd-daemon(3).
   *
   * @default {false}
   */
  readonly capturesOutput?: boolean;
}

/**
 * Master to server, first, instead of the start: load everything and wait. The start follows when the server
 * is needed, if ever.
 */
export interface StandbyMessage {
  readonly type: "standby";
  /** The server's generation. */
  readonly generation: number;
  /** The settings, which the start repeats. */
  readonly settings: GrantedSettings;
  /** As in the start. */
  readonly capturesOutput?: boolean;
}

/** Master to server: stop accepting, drain, exit. */
export interface SoftstopMessage {
  readonly type: "softstop";
  /**
   * The indexes in `services` of the listeners that no process serves after this server: their pending
   * connections must be accepted first. Optional.
   */
  readonly closing?: readonly number[];
}

/** Master to server, after the start: send heartbeats from now on. */
export interface WatchdogMessage {
  readonly type: "watchdog";
  /** The interval in milliseconds; at least a second. */
  readonly intervalMs: number;
}

/** Master to server, after the start: report when a limit is reached. */
export interface LimitsMessage {
  readonly type: "limits";
  /** The most connections to accept; without it there is no limit. */
  readonly connections?: number;
  /** The time without connections after which it is idle, in milliseconds; without it, no report. */
  readonly idleMs?: number;
}

/**
 * Master to server: files of the standard outputs were reopened; their descriptors travel with the message in
 * this order.
 */
export interface OutputsMessage {
  readonly type: "outputs";
  /** For each descriptor, the device and inode of the file that it replaces. */
  readonly before: readonly FileId[];
}

/** Master to server: report the connections. */
export interface ReportMessage {
  readonly type: "report";
}

/** The field of every message from a server, by which a stale message is recognized. */
export interface FromServer {
  readonly pid: number;
  readonly generation: number;
}

/** Server to master, as a standby: it has loaded everything, and waits for its start. */
export interface LoadedMessage extends FromServer {
  readonly type: "loaded";
}

/** Server to master: its last service-register has returned. */
export interface ReadyMessage extends FromServer {
  readonly type: "ready";
}

/** Server to master: it has stopped accepting, and exits within this number of seconds. */
export interface DrainingMessage extends FromServer {
  readonly type: "draining";
  readonly seconds: number;
}

/** Server to master: it detaches; start a replacement, and send no more signals. */
export interface DetachMessage extends FromServer {
  readonly type: "detach";
}

/** Server to master: its event loop turns. */
export interface HeartbeatMessage extends FromServer {
  readonly type: "heartbeat";
}

/** Server to master: it has accepted the most connections that it may. */
export interface SpentMessage extends FromServer {
  readonly type: "spent";
}

/** Server to master: it is in use from now on, or has been idle for the set time. */
export interface UsedMessage extends FromServer {
  readonly type: "used";
  readonly used: boolean;
}

/** Server to master, after a report was asked for: its connections. */
export interface CountsMessage extends FromServer {
  readonly type: "counts";
  /** The open connections; missing if it can't count them. */
  readonly open?: number;
  /** The accepted connections; missing if it can't count them. */
  readonly accepted?: number;
}

/** Any message. */
export type Message =
  | StartMessage
  | SoftstopMessage
  | WatchdogMessage
  | LimitsMessage
  | StandbyMessage
  | OutputsMessage
  | ReportMessage
  | ReadyMessage
  | DrainingMessage
  | DetachMessage
  | HeartbeatMessage
  | SpentMessage
  | UsedMessage
  | LoadedMessage
  | CountsMessage
  | UpgradeMessage;
