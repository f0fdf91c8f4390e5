/**
 * The messages between the old and the new master of an upgrade, in the frames of the control protocol.
 * docs/protocol.md describes their order.
 *
 * Pure: types, and checks of payloads.
 *
 * @module
 */
import { LOG_LEVELS } from "../config/log_form.ts";
import type { KeptRecord, LogLevel } from "../log/record.ts";
import type { Admission } from "../os/net/connect_permission.ts";
import type { FdType } from "../os/net/socket.ts";
import type { SocketFile } from "../os/net/socket_file.ts";
import { countProblem, describe, type Fields } from "./fields.ts";

/** A listener that the old master has opened; its descriptor travels with the message. */
export interface SentListener {
  /** The key of its address. */
  readonly key: string;
  /** The socket file that the old master has created, if any. */
  readonly file?: SocketFile;
}

/** An activated listener; its descriptor travels with the message. */
export interface SentActivatedListener {
  /** The key of its address. */
  readonly key: string;
  readonly kind: FdType;
  /** The key of the IPv4 address, if it accepts IPv4 connections too. */
  readonly ipv4Key?: string;
  /** The name from its activator. */
  readonly name?: string;
  /** Its intended filter and options, from its activator. */
  readonly admission?: Admission;
}

/** Settings in their texts, without those that are not set. */
export type SettingTexts = readonly (readonly [name: string, text: string])[];

/**
 * Old master to new, first. The descriptors are that of the lock, that of the log service if there is one,
 * those of `given`, and those of `listeners`.
 */
export interface InheritMessage {
  readonly type: "inherit";
  /** The newest generation of the old master; that of the new one is higher. */
  readonly generation: number;
  /** The path of the pid file, whose lock is held by the first descriptor. */
  readonly pidFile: string;
  /** The socket of the log service, if its descriptor is the second one. */
  readonly logSocket?: SocketFile;
  /** The activated listeners, which the old master was started with itself. */
  readonly given: readonly SentActivatedListener[];
  /** The listeners that it has opened. */
  readonly listeners: readonly SentListener[];
  /** The ids of the services in force; missing from an older master. */
  readonly services?: readonly string[];
  /** The settings in force that only a start takes; missing from an older master. */
  readonly startSettings?: SettingTexts;
  /** The file of the control socket, if there is one; missing from an older master. */
  readonly controlSocket?: SocketFile;
  /** The file of the status socket, if there is one. */
  readonly statusSocket?: SocketFile;
}

/** Old master to new: take over. It stops reading its log service's socket, and serves until `taken`. */
export interface TakeoverMessage {
  readonly type: "takeover";
}

/** Old master to new: a reload was asked for. */
export interface ReloadMessage {
  readonly type: "reload";
}

/** Old master to new: all of its servers have ended, and it stays as the parent process. */
export interface DrainedMessage {
  readonly type: "drained";
}

/** Old master to new, once it has taken over: lines of the log that operators may still ask for. */
export interface RecordsMessage {
  readonly type: "records";
  readonly records: readonly KeptRecord[];
}

/** How much is added to one count of the service; `""` for the master. */
export type SentIncrement = readonly [service: string, name: string, by: number];

/**
 * Old master to new: all counts, after `inherit`, and then what is added to them. It comes before
 * `takeover`, so that no count is smaller in the new master than it was in the old one.
 */
export interface CountedMessage {
  readonly type: "counted";
  readonly increments: readonly SentIncrement[];
}

/** New master to old, which may go on in its place: what the new one has counted itself. */
export interface CountedSinceMessage {
  readonly type: "countedSince";
  readonly increments: readonly SentIncrement[];
}

/** New master to old: all of its processes have passed their probation. */
export interface ProvenMessage {
  readonly type: "proven";
}

/** New master to old: it has taken over the lock, pid file, log service and listeners. */
export interface TakenMessage {
  readonly type: "taken";
  /** The keys of the addresses that the new master does not serve: the old one closes them. */
  readonly dropped: readonly string[];
}

/** New master to old: end all draining servers within this time. */
export interface StopMessage {
  readonly type: "stop";
  readonly timeoutMs: number;
}

/** New master to old: the number of old masters that may drain, this one included. */
export interface BoundMessage {
  readonly type: "bound";
  readonly generations: number;
}

/** New master to old: a later configuration is in force, so a fallback to the old master is impossible. */
export interface SettledMessage {
  readonly type: "settled";
}

/** New master to old: log files were renamed; reopen them. */
export interface ReopenMessage {
  readonly type: "reopen";
}

/** Any upgrade message. */
export type UpgradeMessage =
  | InheritMessage
  | TakeoverMessage
  | ReloadMessage
  | DrainedMessage
  | RecordsMessage
  | CountedMessage
  | ProvenMessage
  | TakenMessage
  | StopMessage
  | BoundMessage
  | ReopenMessage
  | SettledMessage
  | CountedSinceMessage;

/** Numbers of the message types in a frame. */
export const UPGRADE_TYPE_NUMBERS: Readonly<Record<UpgradeMessage["type"], number>> = {
  inherit: 129,
  takeover: 130,
  reload: 131,
  drained: 132,
  records: 133,
  counted: 134,
  proven: 193,
  taken: 194,
  stop: 195,
  bound: 196,
  reopen: 197,
  settled: 198,
  countedSince: 199,
};

/** Returns the problem of a message's fields, if there is one. */
export function upgradeProblemIn(
  type: UpgradeMessage["type"],
  fields: Fields,
): string | undefined {
  switch (type) {
    case "inherit":
      return countProblem(fields, "generation") ?? textProblem(fields, "pidFile") ??
        fileProblem(fields.logSocket, "logSocket") ??
        fileProblem(fields.controlSocket, "controlSocket") ??
        fileProblem(fields.statusSocket, "statusSocket") ??
        listProblem(fields, "given", activatedProblem) ??
        listProblem(fields, "listeners", listenerProblem) ??
        optionalListProblem(fields, "services", notText) ??
        optionalListProblem(fields, "startSettings", settingProblem);
    case "stop":
      return countProblem(fields, "timeoutMs");
    case "bound":
      return countProblem(fields, "generations");
    case "taken":
      return listProblem(fields, "dropped", notText);
    case "records":
      return listProblem(fields, "records", recordProblem);
    case "counted":
    case "countedSince":
      return listProblem(fields, "increments", incrementProblem);
    case "takeover":
    case "reload":
    case "proven":
    case "reopen":
    case "settled":
    case "drained":
      return undefined;
  }
}

function notText(value: unknown): string | undefined {
  return typeof value === "string" ? undefined : `${describe(value)}, expected a text`;
}

function textProblem(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return typeof value === "string" ? undefined : `${name} is ${describe(value)}, expected a text`;
}

/** Returns the problem of an optional file. */
function fileProblem(file: unknown, name: string): string | undefined {
  if (file === undefined) return undefined;
  if (typeof file !== "object" || file === null) {
    return `${name} is ${describe(file)}, expected a file`;
  }
  const fields = file as Fields;
  return textProblem(fields, "path") ?? countProblem(fields, "dev") ?? countProblem(fields, "ino");
}

/** Returns the problem of the first invalid item of a list. */
function listProblem(
  fields: Fields,
  name: string,
  problemOf: (item: unknown) => string | undefined,
): string | undefined {
  const list = fields[name];
  if (!Array.isArray(list)) return `${name} is ${describe(list)}, expected a list`;
  for (const [index, item] of list.entries()) {
    const problem = problemOf(item);
    if (problem !== undefined) return `${name} ${index}: ${problem}`;
  }
}

/** The same of a list that may be missing. */
function optionalListProblem(...given: Parameters<typeof listProblem>): string | undefined {
  const [fields, name] = given;
  return fields[name] === undefined ? undefined : listProblem(...given);
}

function listenerProblem(listener: unknown): string | undefined {
  const fields = (listener ?? {}) as Fields;
  return textProblem(fields, "key") ?? fileProblem(fields.file, "file");
}

function settingProblem(setting: unknown): string | undefined {
  if (!Array.isArray(setting)) return `${describe(setting)}, expected a list`;
  const [name, text] = setting;
  return notText(name) ?? notText(text);
}

function incrementProblem(increment: unknown): string | undefined {
  if (!Array.isArray(increment)) return `${describe(increment)}, expected a list`;
  const [service, name, by] = increment;
  return notText(service) ?? notText(name) ?? countProblem({ by }, "by");
}

function recordProblem(record: unknown): string | undefined {
  const fields = (record ?? {}) as Fields, { level, service, stream } = fields;
  if (!LOG_LEVELS.includes(level as LogLevel)) return `level is ${describe(level)}`;
  if (stream !== undefined && stream !== "stdout" && stream !== "stderr") {
    return `stream is ${describe(stream)}`;
  }
  return countProblem(fields, "timeMs") ?? countProblem(fields, "pid") ??
    textProblem(fields, "ident") ?? textProblem(fields, "text") ??
    textProblem(fields, "key") ??
    (service === undefined ? undefined : textProblem(fields, "service"));
}

function activatedProblem(listener: unknown): string | undefined {
  const fields = (listener ?? {}) as Fields;
  if (!["inet", "unix", "fifo"].includes(fields.kind as string)) {
    return `kind is ${describe(fields.kind)}`;
  }
  for (const name of ["ipv4Key", "name"]) {
    const problem = fields[name] === undefined ? undefined : textProblem(fields, name);
    if (problem !== undefined) return problem;
  }
  return textProblem(fields, "key") ?? admissionProblem(fields.admission);
}

function admissionProblem(admission: unknown): string | undefined {
  if (admission === undefined) return undefined;
  const { filtered, options } = (admission ?? {}) as Fields;
  const areTexts = Array.isArray(options) &&
    options.every((it: unknown) => typeof it === "string" && /^([0-9a-f]{2})*$/.test(it));
  return typeof filtered === "boolean" && areTexts
    ? undefined
    : `admission is ${describe(admission)}, expected who may connect`;
}
