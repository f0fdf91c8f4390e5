/**
 * ENVELOPE and BODYSTRUCTURE of IMAP (RFC 3501, 7.4.2).
 *
 * @module
 */
import { nilOrString, stringOf } from "../imap/format.ts";
import { mime, type ParsedAddress, type ParsedValue } from "./packages.ts";
import { fieldOf, fieldsOf, parsedField, type Part } from "./part.ts";

const NEWLINE = 10;

/** The envelope of a message. */
export function envelopeOf(part: Part): string {
  const text = (name: string) => nilOrString(fieldOf(part, name));
  const from = addressesOf(part, "from");
  const people = ["sender", "reply-to"].map((name) => {
    const found = addressesOf(part, name);
    return found === "NIL" ? from : found;
  });
  const to = ["to", "cc", "bcc"].map((name) => addressesOf(part, name));
  const fields = [text("date"), text("subject"), from, ...people, ...to];
  return `(${[...fields, text("in-reply-to"), text("message-id")].join(" ")})`;
}

function addressesOf(part: Part, name: string): string {
  const all = mime().parseAddresses(fieldsOf(part, name).join(", ")).flatMap(listed);
  return all.length === 0 ? "NIL" : `(${all.join("")})`;
}

/** An address as a list; a group begins with its name, and ends with a list of NIL. */
function listed({ name, address, group }: ParsedAddress): string[] {
  if (group !== undefined) {
    const begin = `(NIL NIL ${stringOf(name)} NIL)`;
    return [begin, ...group.flatMap(listed), "(NIL NIL NIL NIL)"];
  }
  const at = address?.lastIndexOf("@") ?? -1;
  if (address === undefined || address === "") return [];
  const [local, host] = at < 0 ? [address, ""] : [address.slice(0, at), address.slice(at + 1)];
  return [`(${nilOrString(name || undefined)} NIL ${stringOf(local)} ${stringOf(host)})`];
}

/**
 * The structure of a message.
 *
 * @param part The message.
 * @param bytes Its bytes.
 * @param isExtended Whether to add what BODYSTRUCTURE has beyond BODY.
 */
export function structureOf(part: Part, bytes: Uint8Array, isExtended: boolean): string {
  const type = parsedField(part, "content-type");
  const subtype = stringOf(part.type.split("/")[1] ?? "");
  const rest = isExtended
    ? [dispositionOf(part), nilOrString(fieldOf(part, "content-language")), "NIL"]
    : [];
  if (part.isMultipart && part.children.length > 0) {
    const children = part.children.map((child) => structureOf(child, bytes, isExtended)).join("");
    return `(${[children, subtype, ...isExtended ? [parametersOf(type), ...rest] : []].join(" ")})`;
  }
  // A multipart without parts can't be shown as one.
  const [main, sub] = part.isMultipart ? ['"text"', '"plain"'] : [mainOf(part), subtype];
  const body = bytes.subarray(part.bodyStart, part.end);
  const fields = [
    ...[main, sub, parametersOf(type)],
    ...["content-id", "content-description"].map((name) => nilOrString(fieldOf(part, name))),
    ...[stringOf(part.encoding), String(body.length)],
  ];
  const { message } = part;
  if (message !== undefined) {
    fields.push(envelopeOf(message), structureOf(message, bytes, isExtended));
  }
  if (message !== undefined || main.toLowerCase() === '"text"') {
    fields.push(String(body.filter((byte) => byte === NEWLINE).length));
  }
  if (isExtended) fields.push(nilOrString(fieldOf(part, "content-md5")), ...rest);
  return `(${fields.join(" ")})`;
}

function mainOf(part: Part): string {
  const main = part.type.split("/")[0];
  // A message that is encoded has no structure, and its type would ask for one.
  return main === "message" && part.message === undefined && part.type === "message/rfc822"
    ? '"application"'
    : stringOf(main);
}

function parametersOf(value: ParsedValue | undefined): string {
  const all = Object.entries(value?.params ?? {}).map(([name, text]) =>
    `${stringOf(name)} ${stringOf(encoded(text))}`
  );
  return all.length === 0 ? "NIL" : `(${all.join(" ")})`;
}

/** A parameter, whose characters beyond ASCII the library has decoded, as an encoded word. */
function encoded(text: string): string {
  // deno-lint-ignore no-control-regex
  if (/^[\x00-\x7f]*$/.test(text)) return text;
  return `=?utf-8?B?${new TextEncoder().encode(text).toBase64()}?=`;
}

function dispositionOf(part: Part): string {
  const disposition = parsedField(part, "content-disposition");
  if (disposition === undefined) return "NIL";
  return `(${stringOf(disposition.value)} ${parametersOf(disposition)})`;
}
