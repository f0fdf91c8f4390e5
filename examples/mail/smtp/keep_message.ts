/**
 * Puts a message into the folders of its recipients.
 *
 * @module
 */
import { zerror, zinfo } from "../../../coroutine_server.ts";
import { bytesOf } from "../net/latin1.ts";
import { store } from "../store/delivery.ts";
import type { MailSystem } from "../system.ts";

/** From whom and to whom a message goes. */
export interface Envelope {
  /** The address; empty for a report, which nobody is to answer. */
  readonly sender: string;
  /** The addresses, by the names of the users. */
  readonly recipients: Map<string, string>;
}

/** Who has sent a message. */
export interface Origin {
  /** The name in EHLO. */
  readonly name: string;
  /** The address. */
  readonly peer: string;
  readonly isSecure: boolean;
  /** Who has logged in. */
  readonly user: string | undefined;
}

/** A message that has been received. */
export interface ReceivedMessage {
  readonly envelope: Envelope;
  readonly content: readonly Uint8Array[];
  readonly from: Origin;
}

let counter = 0;

/**
 * Stores a message for all of its recipients, or for none.
 *
 * @returns The answer to the client: 250 only when all of it is on the disk.
 */
export async function keepMessage(
  system: MailSystem,
  { envelope, content, from }: ReceivedMessage,
): Promise<string> {
  const id = `${Date.now().toString(36)}-${Deno.pid.toString(36)}-${(++counter).toString(36)}`;
  const users = [...envelope.recipients.keys()];
  try {
    const folders = await Promise.all(users.map((user) => system.inboxOf(user)));
    const head = bytesOf(traceOf(system.host, { envelope, from, id }));
    const { isSynced } = system;
    await store([head, ...content], folders, { isSynced });
  } catch (error) {
    zerror(`${id}: Cannot store a message:`, error);
    return "451 4.3.0 the message could not be stored, try again";
  }
  zinfo(`${id}: from=<${envelope.sender}> to=${users} client=${from.peer}`);
  return `250 2.0.0 stored as ${id}`;
}

/** The lines that say which way a message has come (RFC 5321, 4.4). */
function traceOf(
  host: string,
  { envelope, from, id }: Pick<ReceivedMessage, "envelope" | "from"> & { readonly id: string },
): string {
  const protocol = `ESMTP${from.isSecure ? "S" : ""}${from.user === undefined ? "" : "A"}`;
  const date = new Date().toUTCString().replace("GMT", "+0000");
  return `Return-Path: <${envelope.sender}>\r\n` +
    `Received: from ${from.name} ([${from.peer}])\r\n` +
    `\tby ${host} with ${protocol} id ${id};\r\n\t${date}\r\n`;
}
