/**
 * The messages between a master and the one that takes its place, in the frames of the control
 * protocol. docs/protocol.md tells when each is sent.
 *
 * Pure: types, and what can be wrong with a payload.
 *
 * @module
 */
import { countProblem, describe, type Fields } from "./fields.ts";

/** A file that a descriptor has made in the file system, as the one who removes it must know it. */
export interface NamedFile {
  readonly path: string;
  readonly dev: number;
  readonly ino: number;
}

/** A listener that changes hands; its descriptor travels beside the message. */
export interface InheritedListener {
  /** The key of its address. */
  readonly key: string;
  /** The socket file that it made, if it made one. */
  readonly file?: NamedFile;
}

/** Old master to new, first: the lock's descriptor, the log service's if there is one, the listeners'. */
export interface InheritMessage {
  readonly type: "inherit";
  /** The newest generation of the old master; that of the new one is higher. */
  readonly generation: number;
  /** The path of the pid file, whose lock is held by the first descriptor. */
  readonly pidFile: string;
  /** The socket of the log service, if its descriptor is the second one. */
  readonly logSocket?: NamedFile;
  /** Those of the remaining descriptors. */
  readonly listeners: readonly InheritedListener[];
}

/** Old master to new: from now on all is yours. */
export interface TakeoverMessage {
  readonly type: "takeover";
}

/** Old master to new: a reload was asked for. */
export interface ReloadMessage {
  readonly type: "reload";
}

/** New master to old: all of my processes have proven themselves. */
export interface ProvenMessage {
  readonly type: "proven";
}

/** New master to old: my pid is in the pid file. */
export interface TakenMessage {
  readonly type: "taken";
}

/** New master to old: end what still drains within this time. */
export interface StopMessage {
  readonly type: "stop";
  readonly timeoutMs: number;
}

/** New master to old: so many old masters may drain, from you on. */
export interface BoundMessage {
  readonly type: "bound";
  readonly generations: number;
}

/** Any of them. */
export type UpgradeMessage =
  | InheritMessage
  | TakeoverMessage
  | ReloadMessage
  | ProvenMessage
  | TakenMessage
  | StopMessage
  | BoundMessage;

/** Numbers of the message types in a frame. */
export const UPGRADE_TYPE_NUMBERS: Readonly<Record<UpgradeMessage["type"], number>> = {
  inherit: 129,
  takeover: 130,
  reload: 131,
  proven: 193,
  taken: 194,
  stop: 195,
  bound: 196,
};

/**
 * Says what is wrong with the fields of a message, if anything is.
 *
 * @param type The message's type.
 * @param fields Its payload.
 */
export function upgradeProblemIn(
  type: UpgradeMessage["type"],
  fields: Fields,
): string | undefined {
  switch (type) {
    case "inherit":
      return countProblem(fields, "generation") ?? textProblem(fields, "pidFile") ??
        fileProblem(fields.logSocket, "logSocket") ?? listenersProblem(fields.listeners);
    case "stop":
      return countProblem(fields, "timeoutMs");
    case "bound":
      return countProblem(fields, "generations");
    case "takeover":
    case "reload":
    case "proven":
    case "taken":
      return undefined;
  }
}

function textProblem(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return typeof value === "string" ? undefined : `${name} is ${describe(value)}, expected a text`;
}

/** A file may be missing, but not be another thing. */
function fileProblem(file: unknown, name: string): string | undefined {
  if (file === undefined) return undefined;
  if (typeof file !== "object" || file === null) {
    return `${name} is ${describe(file)}, expected a file`;
  }
  const fields = file as Fields;
  return textProblem(fields, "path") ?? countProblem(fields, "dev") ?? countProblem(fields, "ino");
}

function listenersProblem(listeners: unknown): string | undefined {
  if (!Array.isArray(listeners)) return `listeners is ${describe(listeners)}, expected a list`;
  for (const [index, listener] of listeners.entries()) {
    const fields: Fields = listener ?? {};
    const problem = textProblem(fields, "key") ?? fileProblem(fields.file, "file");
    if (problem !== undefined) return `of listener ${index}, ${problem}`;
  }
}
