/**
 * The control protocol between a master and its servers, and between two masters: messages, frames,
 * version.
 *
 * Pure: from values to bytes and back. What each message means, and when it is sent, is told in
 * docs/protocol.md.
 *
 * @module
 */
import type { GrantedSettings } from "../config/effective.ts";
import { MAX_FDS_PER_MESSAGE } from "../os/ffi/layout.ts";
import type { FileIdentity } from "../os/fs/output_files.ts";
import type { FdType } from "../os/net/socket.ts";
import { countProblem, describe, type Fields } from "./fields.ts";
import { UPGRADE_TYPE_NUMBERS, type UpgradeMessage, upgradeProblemIn } from "./upgrade_messages.ts";

/** The protocol's version, in each frame. Raised when an old reader could misunderstand a frame. */
export const PROTOCOL_VERSION = 1;

/** Bytes before the payload: magic (2), version, type, payload length (4), descriptors (2), 0 (2). */
export const HEADER_BYTES = 12;

const MAGIC = 0x5a43; // "ZC"

/** A listener as the master names it to a server. */
export interface ServiceGrant {
  /** The service's name, which may be empty. */
  readonly name: string;
  /** Its sort. */
  readonly type: FdType;
  /** Its address as the configuration gives it, for messages to people. */
  readonly address: string;
  /** Its descriptor, where the server has inherited it; without it, it travels beside the message. */
  readonly fd?: number;
}

/**
 * Master to server, first: what the server serves. One descriptor for each service goes along,
 * unless it was inherited.
 */
export interface StartMessage {
  readonly type: "start";
  /** The generation that the server belongs to. */
  readonly generation: number;
  readonly services: readonly ServiceGrant[];
  /** The settings that the master has accepted: the files may have others by now. */
  readonly settings: GrantedSettings;
}

/**
 * Master to server, first, in place of the start: load everything and wait. The start comes when the
 * server is needed, if it ever is.
 */
export interface StandbyMessage {
  readonly type: "standby";
  /** The generation that the server belongs to. */
  readonly generation: number;
  /** As in the start, which has the same once more. */
  readonly settings: GrantedSettings;
}

/** Master to server: stop accepting, finish, end. */
export interface SoftstopMessage {
  readonly type: "softstop";
  /**
   * The places in `services` of those that are closed for good, since nobody serves them after this
   * server: what waits there is to be accepted before. A master may leave it out.
   */
  readonly closing?: readonly number[];
}

/** Master to server, after the start: send a heartbeat from now on. */
export interface WatchdogMessage {
  readonly type: "watchdog";
  /** How long it is from one to the next, in milliseconds; at least a second. */
  readonly intervalMs: number;
}

/** Master to server, after the start: say when it is so. */
export interface LimitsMessage {
  readonly type: "limits";
  /** How many connections it may accept until it is spent; without it there is no limit. */
  readonly connections?: number;
  /** After how many milliseconds without a connection it is idle; without it nobody asks. */
  readonly idleMs?: number;
}

/**
 * Master to server: files of the standard outputs have been opened anew, and their descriptors go along
 * in this order.
 */
export interface OutputsMessage {
  readonly type: "outputs";
  /** For each of them, the file in whose place it comes: what tells it from others. */
  readonly before: readonly FileIdentity[];
}

/** What every message of a server carries, so that a stale one is known as such. */
interface FromServer {
  readonly pid: number;
  readonly generation: number;
}

/** Server to master, after a standby: it has loaded everything, and waits for its start. */
export interface LoadedMessage extends FromServer {
  readonly type: "loaded";
}

/** Server to master: its last service-register has returned. */
export interface ReadyMessage extends FromServer {
  readonly type: "ready";
}

/** Server to master: it accepts no more, and ends by itself within that many seconds. */
export interface DrainingMessage extends FromServer {
  readonly type: "draining";
  readonly seconds: number;
}

/** Server to master: put another one in my place, and don't signal me any more. */
export interface DetachMessage extends FromServer {
  readonly type: "detach";
}

/** Server to master: its event loop goes round. */
export interface HeartbeatMessage extends FromServer {
  readonly type: "heartbeat";
}

/** Server to master: it has accepted as many connections as it may. */
export interface SpentMessage extends FromServer {
  readonly type: "spent";
}

/** Server to master: from now on it is in use, or has been idle for as long as was asked. */
export interface UsedMessage extends FromServer {
  readonly type: "used";
  readonly used: boolean;
}

/** Any message. */
export type Message =
  | StartMessage
  | SoftstopMessage
  | WatchdogMessage
  | LimitsMessage
  | StandbyMessage
  | OutputsMessage
  | ReadyMessage
  | DrainingMessage
  | DetachMessage
  | HeartbeatMessage
  | SpentMessage
  | UsedMessage
  | LoadedMessage
  | UpgradeMessage;

/** Descriptors only, ahead of a message that has more of them than one frame can carry. */
export const DESCRIPTORS_FRAME = 0;

/** Numbers of the message types in a frame. */
const TYPE_NUMBERS: Readonly<Record<Message["type"], number>> = {
  start: 1,
  softstop: 2,
  watchdog: 3,
  limits: 4,
  standby: 5,
  outputs: 6,
  ready: 65,
  draining: 66,
  detach: 67,
  heartbeat: 68,
  spent: 69,
  used: 70,
  loaded: 71,
  ...UPGRADE_TYPE_NUMBERS,
};

/** The most bytes that the payload of a message has, for whoever sends it. */
export const MAX_PAYLOAD_BYTES = {
  /** Of a message that names listeners or settings. */
  start: 1 << 20,
  standby: 1 << 20,
  softstop: 1 << 20,
  // Those of all services.
  inherit: 1 << 24,
  taken: 1 << 24,
} as const satisfies Partial<Record<Message["type"], number>>;

/** The same for all others, which have a few numbers. */
export const MAX_SMALL_PAYLOAD_BYTES = 1 << 10;

/** The bounds of the one who sends: nothing beyond them is kept. */
export interface Sender {
  /** The numbers of its message types. All others are unknown, as those of a later version are. */
  readonly types: { readonly first: number; readonly last: number };
  /** The most bytes of a payload of unknown type. */
  readonly unknownBytes: number;
  /** The most descriptors that come with one message; with 0 the first one ends the connection. */
  readonly descriptors: number;
  /** What is expected where there can be none, for the error. */
  readonly insteadOfDescriptors?: string;
}

/** More listeners than this nobody has: a process has as many ports. */
const MAX_DESCRIPTORS = 65_536;

/** A master, for its servers. */
export const MASTER: Sender = {
  types: { first: 1, last: 64 },
  unknownBytes: 1 << 20,
  descriptors: MAX_DESCRIPTORS,
};

/** A server, for its master. */
export const SERVER: Sender = {
  types: { first: 65, last: 128 },
  unknownBytes: MAX_SMALL_PAYLOAD_BYTES,
  descriptors: 0,
};

/** A master, for the one that is to take its place. */
export const OLD_MASTER: Sender = { ...MASTER, types: { first: 129, last: 192 } };

/** A master that is to take another one's place, for that one. */
export const NEW_MASTER: Sender = { ...SERVER, types: { first: 193, last: 255 } };

const TYPE_NAMES: ReadonlyMap<number, Message["type"]> = new Map(
  Object.entries(TYPE_NUMBERS).map(([name, number]) => [number, name as Message["type"]]),
);

/** A frame that breaks the protocol: the connection can't be trusted any more. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/**
 * Makes a frame.
 *
 * @param message What to say; undefined for descriptors only.
 * @param fdCount How many descriptors travel with the frame.
 * @returns The frame's bytes.
 * @throws {ProtocolError} When the message is too large.
 */
export function encodeFrame(
  message: Message | undefined,
  fdCount: number,
): Uint8Array<ArrayBuffer> {
  const payload = message === undefined ? new Uint8Array() : payloadOf(message);
  const most = maxPayloadBytes(message?.type);
  if (payload.length > most) {
    throw new ProtocolError(
      `Cannot send a "${message?.type}" message: ${payload.length} bytes, expected at most ${most}`,
    );
  }
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(frame.buffer);
  view.setUint16(0, MAGIC);
  view.setUint8(2, PROTOCOL_VERSION);
  view.setUint8(3, message === undefined ? DESCRIPTORS_FRAME : TYPE_NUMBERS[message.type]);
  view.setUint32(4, payload.length);
  view.setUint16(8, fdCount);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

/**
 * The payload of a message, however long.
 *
 * @param message The message.
 */
export function payloadOf(message: Message): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(message));
}

function maxPayloadBytes(type: Message["type"] | undefined): number {
  const bytes: Readonly<Partial<Record<Message["type"], number>>> = MAX_PAYLOAD_BYTES;
  return type === undefined ? 0 : bytes[type] ?? MAX_SMALL_PAYLOAD_BYTES;
}

/** The name of a type, if it is one of the sender's that this version knows. */
function typeOf(
  typeNumber: number,
  { types: { first, last } }: Sender,
): Message["type"] | undefined {
  return typeNumber >= first && typeNumber <= last ? TYPE_NAMES.get(typeNumber) : undefined;
}

/** A frame's header. */
export interface Header {
  readonly typeNumber: number;
  readonly payloadLength: number;
  readonly fdCount: number;
}

/**
 * Reads a frame's header.
 *
 * @param bytes Bytes that begin with a whole header.
 * @param sender Who has sent it.
 * @returns The header.
 * @throws {ProtocolError} When they don't begin with a header of this version, or it announces more
 * than its sender may send.
 */
export function decodeHeader(bytes: Uint8Array<ArrayBuffer>, sender: Sender): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  const magic = view.getUint16(0), version = view.getUint8(2);
  if (magic !== MAGIC || version !== PROTOCOL_VERSION) {
    throw new ProtocolError(
      `Cannot read a frame: magic 0x${magic.toString(16)} version ${version}, expected 0x${
        MAGIC.toString(16)
      } version ${PROTOCOL_VERSION}`,
    );
  }
  const typeNumber = view.getUint8(3);
  const payloadLength = view.getUint32(4), fdCount = view.getUint16(8);
  const type = typeOf(typeNumber, sender);
  const isKnown = type !== undefined || typeNumber === DESCRIPTORS_FRAME;
  const mostBytes = isKnown ? maxPayloadBytes(type) : sender.unknownBytes;
  const mostFds = Math.min(MAX_FDS_PER_MESSAGE, sender.descriptors);
  const cannotRead = `Cannot read a frame of type ${typeNumber}`;
  if (payloadLength > mostBytes) {
    throw new ProtocolError(`${cannotRead}: ${payloadLength} bytes, expected at most ${mostBytes}`);
  }
  if (fdCount > mostFds) {
    const expected = sender.insteadOfDescriptors ?? `at most ${mostFds}`;
    throw new ProtocolError(`${cannotRead}: ${fdCount} descriptors, expected ${expected}`);
  }
  return { typeNumber, payloadLength, fdCount };
}

/**
 * Reads a frame's payload.
 *
 * @param typeNumber The type in the header.
 * @param payload The payload's bytes.
 * @param sender Who has sent it.
 * @returns The message, or undefined for a type that this version does not know of the sender.
 * @throws {ProtocolError} When the payload does not fit the type.
 */
export function decodeMessage(
  typeNumber: number,
  payload: Uint8Array<ArrayBuffer>,
  sender: Sender,
): Message | undefined {
  const type = typeOf(typeNumber, sender);
  if (type === undefined) return undefined;
  const fields = parsePayload(type, payload);
  const problem = problemIn(type, fields);
  if (problem !== undefined) {
    throw new ProtocolError(`Cannot read a "${type}" message: ${problem}`);
  }
  return { ...fields, type } as unknown as Message;
}

function parsePayload(type: string, payload: Uint8Array<ArrayBuffer>): Fields {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
  } catch (cause) {
    throw new ProtocolError(`Cannot read a "${type}" message: not JSON`, { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ProtocolError(
      `Cannot read a "${type}" message: ${describe(value)}, expected an object`,
    );
  }
  return value as Fields;
}

/** Says what is wrong with the fields of a message, if anything is. */
function problemIn(type: Message["type"], fields: Fields): string | undefined {
  switch (type) {
    case "start":
      return countProblem(fields, "generation") ?? servicesProblem(fields.services) ??
        settingsProblem(fields.settings);
    case "standby":
      return countProblem(fields, "generation") ?? settingsProblem(fields.settings);
    case "softstop":
      return fields.closing === undefined ? undefined : placesProblem(fields.closing);
    case "watchdog":
      return countProblem(fields, "intervalMs");
    case "outputs":
      return filesProblem(fields.before);
    case "limits":
      return ["connections", "idleMs"].map((name) =>
        fields[name] === undefined ? undefined : countProblem(fields, name)
      ).find((problem) => problem !== undefined);
    case "ready":
    case "loaded":
    case "detach":
    case "heartbeat":
    case "spent":
      return countProblem(fields, "pid") ?? countProblem(fields, "generation");
    case "used":
      if (typeof fields.used !== "boolean") return `used is ${describe(fields.used)}`;
      return countProblem(fields, "pid") ?? countProblem(fields, "generation");
    case "draining":
      return countProblem(fields, "pid") ?? countProblem(fields, "generation") ??
        countProblem(fields, "seconds");
    default:
      return upgradeProblemIn(type, fields);
  }
}

function filesProblem(files: unknown): string | undefined {
  if (!Array.isArray(files)) return `before is ${describe(files)}, expected a list`;
  return files.map((file: unknown) =>
    ["dev", "ino"].map((name) => countProblem((file ?? {}) as Fields, name))
  ).flat().find((problem) => problem !== undefined);
}

function placesProblem(places: unknown): string | undefined {
  const isPlace = (place: unknown) => Number.isSafeInteger(place) && (place as number) >= 0;
  return Array.isArray(places) && places.every(isPlace)
    ? undefined
    : `closing is ${describe(places)}, expected a list of whole numbers`;
}

const SERVICE_FIELDS: Readonly<Record<keyof ServiceGrant, (value: unknown) => boolean>> = {
  name: (value) => typeof value === "string",
  type: (value) => value === "inet" || value === "unix" || value === "fifo",
  address: (value) => typeof value === "string",
  fd: (value) => value === undefined || Number.isSafeInteger(value) && (value as number) > 2,
};

function servicesProblem(services: unknown): string | undefined {
  if (!Array.isArray(services)) return `services is ${describe(services)}, expected a list`;
  for (const [index, service] of services.entries()) {
    for (const [field, isValid] of Object.entries(SERVICE_FIELDS)) {
      const value: unknown = service?.[field];
      if (!isValid(value)) return `${field} of service ${index} is ${describe(value)}`;
    }
  }
}

function settingsProblem(settings: unknown): string | undefined {
  const { shared, own, isOfHook = false } = (settings ?? {}) as Partial<Record<string, unknown>>;
  const isPair = (pair: unknown) =>
    Array.isArray(pair) && pair.length === 2 && pair.every((part) => typeof part === "string");
  const isList = (list: unknown) => Array.isArray(list) && list.every(isPair);
  return isList(shared) && (own === undefined || isList(own)) && typeof isOfHook === "boolean"
    ? undefined
    : "settings are no lists of pairs";
}
