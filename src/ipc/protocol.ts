/**
 * The control protocol between a master and its servers, and between two masters: frames, checks, version.
 *
 * Pure: conversion of values to bytes and back. docs/protocol.md describes the meaning and the order of the
 * messages.
 *
 * @module
 */
import { MAX_FDS_PER_MESSAGE } from "../os/ffi/layout.ts";
import { countProblem, describe, type Fields } from "./fields.ts";
import type { Message } from "./messages.ts";
import type { SentSocket } from "./service_socket.ts";
import { UPGRADE_TYPE_NUMBERS, upgradeProblemIn } from "./upgrade_messages.ts";

/** The protocol's version, in each frame. Raised when an old reader could misread a frame. */
export const PROTOCOL_VERSION = 1;

/** Bytes before the payload: magic (2), version, type, payload length (4), descriptors (2), 0 (2). */
export const HEADER_BYTES = 12;

const MAGIC = 0x5a43; // "ZC"

/** A frame with descriptors only, before a message with more of them than one frame can carry. */
export const DESCRIPTORS_FRAME = 0;

/** Numbers of the message types in a frame. */
export const TYPE_NUMBERS: Readonly<Record<Message["type"], number>> = {
  start: 1,
  softstop: 2,
  watchdog: 3,
  limits: 4,
  standby: 5,
  outputs: 6,
  report: 7,
  ready: 65,
  draining: 66,
  detach: 67,
  heartbeat: 68,
  spent: 69,
  used: 70,
  loaded: 71,
  counts: 72,
  ...UPGRADE_TYPE_NUMBERS,
};

/** The most bytes of a message's payload, by type. */
export const MAX_PAYLOAD_BYTES = {
  // Messages with listeners or settings.
  start: 1 << 20,
  standby: 1 << 20,
  softstop: 1 << 20,
  // The listeners of all services.
  inherit: 1 << 24,
  taken: 1 << 24,
  // Lines of the log.
  records: 1 << 20,
  // Counts of some services.
  counted: 1 << 20,
  countedSince: 1 << 20,
} as const satisfies Partial<Record<Message["type"], number>>;

/** The limit of all other messages, which have a few numbers. */
export const MAX_SMALL_PAYLOAD_BYTES = 1 << 10;

/** The limits of a sender, which bound what a receiver keeps. */
export interface Sender {
  /** The numbers of its message types. All others are unknown, like those of a later version. */
  readonly types: { readonly first: number; readonly last: number };
  /** The most bytes of a payload of unknown type. */
  readonly unknownBytes: number;
  /** The most descriptors of one message; with 0 the first descriptor ends the connection. */
  readonly descriptors: number;
  /** The expected data instead of descriptors, for the error message. */
  readonly insteadOfDescriptors?: string;
}

/** The most listeners possible: a process has as many ports. */
export const MAX_DESCRIPTORS = 65_536;

/** The limits of a master, for its servers. */
export const MASTER: Sender = {
  types: { first: 1, last: 64 },
  unknownBytes: 1 << 20,
  descriptors: MAX_DESCRIPTORS,
};

/** The limits of a server, for its master. */
export const SERVER: Sender = {
  types: { first: 65, last: 128 },
  unknownBytes: MAX_SMALL_PAYLOAD_BYTES,
  descriptors: 0,
};

/** The limits of the old master of an upgrade, for the new one. */
export const OLD_MASTER: Sender = { ...MASTER, types: { first: 129, last: 192 } };

/** The limits of the new master of an upgrade, for the old one. */
export const NEW_MASTER: Sender = { ...SERVER, types: { first: 193, last: 255 } };

const TYPE_NAMES: ReadonlyMap<number, Message["type"]> = new Map(
  Object.entries(TYPE_NUMBERS).map(([name, number]) => [number, name as Message["type"]]),
);

/** A frame that breaks the protocol: the rest of the connection is unusable. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/**
 * Makes a frame.
 *
 * @param message The message; undefined for descriptors only.
 * @param fdCount The number of descriptors that travel with the frame.
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

/** Encodes the payload of a message of any length. */
export function payloadOf(message: Message): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(message));
}

/** The most bytes of a payload of this type; undefined for a frame of descriptors alone. */
export function maxPayloadBytes(type: Message["type"] | undefined): number {
  const bytes: Readonly<Partial<Record<Message["type"], number>>> = MAX_PAYLOAD_BYTES;
  return type === undefined ? 0 : bytes[type] ?? MAX_SMALL_PAYLOAD_BYTES;
}

/** The name of a type, if it is a known one of the sender. */
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
 * @param sender The role of the sender.
 * @throws {ProtocolError} When the header is not one of this version, or exceeds the limits of its sender.
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
 * @param sender The role of the sender.
 * @returns The message, or undefined for a type that is not a known one of the sender.
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

/** Returns the problem of a message's fields, if there is one. */
function problemIn(type: Message["type"], fields: Fields): string | undefined {
  switch (type) {
    case "start":
      return countProblem(fields, "generation") ?? servicesProblem(fields.services) ??
        settingsProblem(fields.settings) ?? flagProblem(fields, "capturesOutput");
    case "standby":
      return countProblem(fields, "generation") ?? settingsProblem(fields.settings) ??
        flagProblem(fields, "capturesOutput");
    case "softstop":
      return fields.closing === undefined ? undefined : placesProblem(fields.closing);
    case "watchdog":
      return countProblem(fields, "intervalMs");
    case "outputs":
      return filesProblem(fields.before);
    case "report":
      return undefined;
    case "limits":
      return optionalProblem(fields, "connections") ?? optionalProblem(fields, "idleMs");
    case "counts":
      return countProblem(fields, "pid") ?? countProblem(fields, "generation") ??
        optionalProblem(fields, "open") ?? optionalProblem(fields, "accepted");
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

function optionalProblem(fields: Fields, name: string): string | undefined {
  return fields[name] === undefined ? undefined : countProblem(fields, name);
}

/** The problem of an optional flag. */
function flagProblem(fields: Fields, name: string): string | undefined {
  const flag = fields[name] ?? false;
  return typeof flag === "boolean" ? undefined : `${name} is ${describe(flag)}`;
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

const SERVICE_FIELDS: Readonly<Record<keyof SentSocket, (value: unknown) => boolean>> = {
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
  const { shared, own, isOfHook = false, places = [] } = (settings ?? {}) as Partial<
    Record<string, unknown>
  >;
  const isPair = (pair: unknown) =>
    Array.isArray(pair) && pair.length === 2 && pair.every((part) => typeof part === "string");
  const isList = (list: unknown) => Array.isArray(list) && list.every(isPair);
  const arePairs = isList(shared) && (own === undefined || isList(own)) &&
    typeof isOfHook === "boolean";
  if (!arePairs) return "settings are no lists of pairs";
  const isPlace = (place: unknown) =>
    Array.isArray(place) && place.length === 3 && isPair(place.slice(0, 2)) &&
    Number.isSafeInteger(place[2]);
  return Array.isArray(places) && places.every(isPlace)
    ? undefined
    : "places of settings are no list of keys, files and lines";
}
