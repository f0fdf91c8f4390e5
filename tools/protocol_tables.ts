/**
 * The tables of messages in docs/protocol.md, written from the types and the limits of the frames.
 *
 * Run by `deno task docs`.
 *
 * @module
 */
import type { Message } from "../src/ipc/messages.ts";
import {
  DESCRIPTORS_FRAME,
  MASTER,
  maxPayloadBytes,
  NEW_MASTER,
  OLD_MASTER,
  type Sender,
  SERVER,
  TYPE_NUMBERS,
} from "../src/ipc/protocol.ts";
import { MAX_FDS_PER_MESSAGE } from "../src/os/ffi/layout.ts";
import { DocumentedTypes, formatted } from "./documented_types.ts";
import { tableText, withPart } from "./page_part.ts";

/** The page, from the root. */
export const PROTOCOL_PAGE = "docs/protocol.md";

/** The descriptors of the messages that have any. */
const DESCRIPTORS: Readonly<Partial<Record<Message["type"], string>>> = {
  start: "one for a service",
  outputs: "one for each",
  inherit: "lock, log socket?, `given`…, `listeners`…",
};

/** The parts, each with the senders of its messages. */
const PARTS: Readonly<Record<string, Readonly<Record<string, Sender>>>> = {
  "messages": { master: MASTER, server: SERVER },
  "messages of an upgrade": { old: OLD_MASTER, new: NEW_MASTER },
};

/**
 * Puts the tables where the page has room for them.
 *
 * @param page The text of the page.
 * @returns The page with the tables as they are now.
 * @throws {Error} When the page has no such room.
 */
export async function withMessages(page: string): Promise<string> {
  const fields = fieldsOfMessages();
  for (const [name, senders] of Object.entries(PARTS)) {
    const rows = Object.entries(senders).flatMap(([from, { types: { first, last } }]) =>
      (Object.entries(TYPE_NUMBERS) as [Message["type"], number][])
        .filter(([, number]) => number >= first && number <= last)
        .map(([type, number]) => [
          String(number),
          type,
          from,
          fields.get(type)!,
          sizeText(maxPayloadBytes(type)),
          DESCRIPTORS[type] ?? "none",
        ])
    );
    const alone = [String(DESCRIPTORS_FRAME), "descriptors", "master", "", "0"];
    const text = tableText([
      ["type", "name", "from", "payload", "at most", "descriptors"],
      ...name === "messages" ? [[...alone, String(MAX_FDS_PER_MESSAGE)]] : [],
      ...rows.sort(([a], [b]) => Number(a) - Number(b)),
    ]);
    page = withPart({ page: PROTOCOL_PAGE, name }, page, text);
  }
  return await formatted(page);
}

/** The fields of each message, by its type. */
function fieldsOfMessages(): Map<string, string> {
  const types = new DocumentedTypes(["src/ipc/messages.ts", "src/ipc/upgrade_messages.ts"]);
  const all = types.unionOf(types.get("Message").type).map((message) => {
    const properties = types.propertiesOf(message);
    const type = properties.find(({ name }) => name === "type")!.tsType;
    if (type.kind !== "literal") throw new Error(`a message without a type: ${message.kind}`);
    const fields = properties.filter(({ name }) => name !== "type")
      .map(({ name, optional }) => `\`${name}${optional ? "?" : ""}\``);
    return [type.repr, fields.join(", ")] as const;
  });
  return new Map(all);
}

/** Such as `16 MiB`. */
export function sizeText(bytes: number): string {
  return bytes < 1 << 20 ? `${bytes / 1024} KiB` : `${bytes / (1 << 20)} MiB`;
}

if (import.meta.main) {
  Deno.writeTextFileSync(PROTOCOL_PAGE, await withMessages(Deno.readTextFileSync(PROTOCOL_PAGE)));
}
