/**
 * The addresses of `server-service`: conversion of text to an {@linkcode Endpoint} with a canonical key, which
 * identifies a listener across reloads.
 *
 * Purely lexical: no name is looked up, no socket opened, no path touched.
 *
 * @module
 */

import { encodeText } from "../os/ffi/byte_text.ts";
import type { ListenAddress } from "../os/net/socket.ts";
import { cannot, type Origin } from "./errors.ts";

/** An address as configured: what is opened, and the words of the settings behind it. */
export type Endpoint = ListenAddress & {
  /** Equal for two spellings of one address: `inet:0.0.0.0:80`, `inet:[::1]:80`, `unix:/run/imapd`. */
  readonly key: string;
  /** The name of the service byte for byte; empty where the list gives none. */
  readonly service: string;
  /** The address as written, without the name. */
  readonly text: string;
  /** Its place in the settings, for messages; `undefined` if the program itself has set it. */
  readonly origin: Origin | undefined;
  /** The setting that names it; `server-service` without it. */
  readonly setting?: string;
};

/** The part of an {@linkcode Endpoint} that the text of an address contains. */
type Parsed = ListenAddress & Pick<Endpoint, "key">;

/** Where an address comes from. */
export interface AddressSource {
  /** The absolute directory that relative paths start from. */
  readonly cwd: string;
  /** The name of the service. */
  readonly service?: string;
  /** Its place in the settings. */
  readonly origin?: Origin;
  /** See {@linkcode Endpoint}. */
  readonly setting?: string;
}

/** Longest path of a unix socket in bytes: `sun_path` less its final NUL (unix(7)). */
export const UNIX_PATH_MAX = 107;

const FORMS = 'HOST:PORT, [IPV6]:PORT, "local:PATH", "fifo:PATH" or a PATH without a colon';
/** The addresses that are meant by host names of other programs' settings. */
const MEANT: ReadonlyMap<string, string> = new Map([["localhost", "127.0.0.1"], ["*", "0"]]);

const HOSTS = 'an IPv4 address such as 127.0.0.1, "0" or nothing for any, or [IPV6]';

/**
 * Reads an address: `host:port`, `[v6]:port`, `local:PATH`, `fifo:PATH`, or a path without a colon.
 *
 * @param text The address as written, without a service name.
 * @param source Where it comes from.
 * @returns The endpoint. The path of a unix socket is absolute, unless only the path as written is short
 * enough for the kernel.
 * @throws {TypeError} When the text isn't an address.
 * @throws {RangeError} When a port or the length of a path is out of range.
 *
 * @example
 * ```ts
 * import { parseAddress } from "./address.ts";
 *
 * const cwd = "/srv/mail";
 * console.assert(parseAddress(":80", { cwd }).key === parseAddress("0:80", { cwd }).key);
 * console.assert(parseAddress("./imapd", { cwd }).key === "unix:/srv/mail/imapd");
 * ```
 */
export function parseAddress(
  text: string,
  { cwd, service = "", origin, setting }: AddressSource,
): Endpoint {
  const endpoint = { ...parse(text, cwd), service, text, origin };
  return setting === undefined ? endpoint : { ...endpoint, setting };
}

/**
 * Whether an address is that of all addresses of its version of IP.
 *
 * @param address The address.
 */
export function isAnyAddress(address: ListenAddress): boolean {
  return address.kind === "inet" && (address.hostname === "0.0.0.0" || address.hostname === "::");
}

function parse(text: string, cwd: string): Parsed {
  if (text === "") throw malformed(text, "nothing", FORMS);
  if (text.includes("\0")) throw malformed(text, "a NUL character", FORMS);
  if (text.startsWith("[")) return parseBracketed(text);
  const colon = text.indexOf(":");
  const scheme = text.slice(0, Math.max(colon, 0));
  if (colon < 0 || scheme === "local") {
    return unixEndpoint(text, text.slice(colon + 1), cwd);
  }
  if (scheme === "fifo") {
    const absolute = resolveFile(text, text.slice(colon + 1), cwd);
    return { kind: "fifo", path: absolute, key: `fifo:${absolute}` };
  }
  return inetEndpoint(text, scheme, text.slice(colon + 1));
}

/** The kind of the address that a key stands for. */
export function kindOfKey(key: string): Endpoint["kind"] {
  return key.slice(0, key.indexOf(":")) as Endpoint["kind"];
}

/** A name or an IPv4 address. */
const HOST = /^(?:[0-9.]+|\*|localhost|(?:[a-z0-9-]+\.)*[a-z0-9-]+)$/i;

/** The full-width colon of Chinese and Japanese texts, which may be typed by mistake. */
const WIDE_COLON = /\uff1a/g;

/** The usual names of socket files, which are not taken for hosts. */
const SOCKET_NAME = /sock|\.(?:s|ipc|ctl|unix)$/i;

/**
 * Finds addresses that are read as paths of socket files, as in LIB-ZC, but look like a host or a port: `8810`,
 * `127.0.0.1`, `127.0.0.1/80`, or one with a full-width colon.
 *
 * @param addresses The addresses of a list, each as written and without a service name.
 * @returns The suspect ones, and the addresses that were probably intended: one less where a host and its port
 * were separated.
 */
export function addressSlips(
  addresses: readonly string[],
): { readonly slips: readonly string[]; readonly meant: readonly string[] } {
  const slips: string[] = [], meant: string[] = [];
  for (const [index, address] of addresses.entries()) {
    if (/^[^/]*\uff1a[0-9]+$/.test(address)) {
      slips.push(address);
      meant.push(address.replace(WIDE_COLON, ":"));
      continue;
    }
    const [host, port, ...rest] = address.split("/");
    const isPair = rest.length === 0 && /^[0-9][0-9.]*$/.test(host) && /^[0-9]+$/.test(port ?? "");
    const isWord = port === undefined && HOST.test(host) && !SOCKET_NAME.test(host);
    if (!isPair && !isWord) continue;
    slips.push(address);
    const isPort = /^[1-9][0-9]*$/.test(host);
    if (isPair) meant.push(`${host}:${port}`);
    else if (!isPort) meant.push(`${host === "*" ? "0" : host}:PORT`);
    else if (
      index > 0 && addresses[index - 1] === slips.at(-2) && meant.at(-1)?.endsWith(":PORT")
    ) {
      meant.push(meant.pop()!.replace("PORT", host));
    } else meant.push(`0:${host}`);
  }
  return { slips, meant };
}

/**
 * Resolves a path lexically: `.`, `..` and repeated slashes go away, symbolic links are not followed.
 *
 * @param cwd The absolute directory that a relative path starts from.
 * @param path The path.
 * @returns The absolute path, without a slash at its end (but for `/` itself).
 */
export function resolvePath(cwd: string, path: string): string {
  const parts: string[] = [];
  for (const part of (path.startsWith("/") ? path : `${cwd}/${path}`).split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

function malformed(text: string, found: string, expected: string): TypeError {
  return new TypeError(cannot("listen on", text, { found, expected }));
}

function quoted(text: string): TypeError {
  return malformed(text, "quotes, which belong to the value", "none");
}

function inetEndpoint(text: string, host: string, port: string): Parsed {
  if (port.includes(":")) {
    throw malformed(text, "an address with several colons", "an IPv6 address as [IPV6]:PORT");
  }
  if (host === "unix") {
    throw malformed(text, "a scheme that no address has", `the path alone: ${port}`);
  }
  if (/^["']/.test(host)) throw quoted(text);
  const hostname = host === "" || host === "0" ? "0.0.0.0" : host;
  if (parseIpv4(hostname) === undefined) {
    const found = /^[0-9.]+$/.test(host) ? "no IPv4 address" : "a host name";
    const meant = MEANT.get(host);
    throw malformed(text, found, meant === undefined ? HOSTS : `${meant}:${port}`);
  }
  const number = parsePort(text, port);
  return { kind: "inet", hostname, port: number, key: `inet:${hostname}:${number}` };
}

function parseBracketed(text: string): Parsed {
  const close = text.indexOf("]");
  const groups = close < 0 ? undefined : parseIpv6(text.slice(1, close));
  if (groups === undefined) {
    throw malformed(text, "no IPv6 address", "[IPV6]:PORT such as [::1]:80");
  }
  if (text[close + 1] !== ":") throw malformed(text, "no port", "[IPV6]:PORT such as [::1]:80");
  const port = parsePort(text, text.slice(close + 2));
  const hostname = formatIpv6(groups);
  return { kind: "inet", hostname, port, key: `inet:[${hostname}]:${port}` };
}

function parsePort(text: string, digits: string): number {
  const expected = "a port from 1 to 65535";
  if (/^[0-9]+\//.test(digits)) {
    throw malformed(text, "a path behind the port", "the address alone, without a path");
  }
  if (/["']$/.test(digits)) throw quoted(text);
  if (!/^[0-9]+$/.test(digits)) {
    throw malformed(text, digits === "" ? "no port" : "a port that is no number", expected);
  }
  const port = Number(digits);
  if (port < 1 || port > 65_535) {
    throw new RangeError(cannot("listen on", text, { found: "a port out of range", expected }));
  }
  return port;
}

function unixEndpoint(text: string, path: string, cwd: string): Parsed {
  const absolute = resolveFile(text, path, cwd);
  const bytes = byteLength(absolute);
  // LIB-ZC binds a relative path as written, which an installation deep in the tree may need.
  const bound = bytes > UNIX_PATH_MAX && byteLength(path) <= UNIX_PATH_MAX ? path : absolute;
  if (byteLength(bound) > UNIX_PATH_MAX) {
    throw new RangeError(cannot("listen on", text, {
      found: `a path of ${bytes} bytes`,
      expected: `at most ${UNIX_PATH_MAX} bytes`,
    }));
  }
  return { kind: "unix", path: bound, key: `unix:${absolute}` };
}

/** Resolves a path that must name a file: neither nothing nor plainly a directory. */
function resolveFile(text: string, path: string, cwd: string): string {
  if (path === "") throw malformed(text, "no path", FORMS);
  if (/(^|\/)\.{0,2}$/.test(path)) throw malformed(text, "a directory", "the path of a file");
  return resolvePath(cwd, path);
}

function byteLength(text: string): number {
  return encodeText(text).length;
}

/**
 * Reads an IPv4 address in its only unambiguous form: four decimal numbers without leading zeros.
 * (inet_aton(3) also takes `127.1`, octal and hexadecimal numbers, which surprise.)
 */
function parseIpv4(text: string): number[] | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  if (!parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) <= 255)) {
    return undefined;
  }
  return parts.map(Number);
}

/** Reads an IPv6 address (RFC 4291, section 2.2) without a zone: eight groups of 16 bits. */
function parseIpv6(text: string): number[] | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0], halves.length === 1);
  if (halves.length === 1) return head?.length === 8 ? head : undefined;
  const tail = parseGroups(halves[1], true);
  if (head === undefined || tail === undefined) return undefined;
  const zeros = 8 - head.length - tail.length;
  return zeros < 1 ? undefined : [...head, ...new Array<number>(zeros).fill(0), ...tail];
}

/** Reads the groups on one side of a `::`; an IPv4 address may only end the whole address. */
function parseGroups(text: string, last: boolean): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [i, part] of parts.entries()) {
    const bytes = last && i === parts.length - 1 ? parseIpv4(part) : undefined;
    if (bytes !== undefined) groups.push(bytes[0] << 8 | bytes[1], bytes[2] << 8 | bytes[3]);
    else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

/** Writes an IPv6 address canonically (RFC 5952), all of it in hexadecimal. */
function formatIpv6(groups: readonly number[]): string {
  const text = groups.map((group) => group.toString(16)).join(":");
  let longest: RegExpExecArray | undefined;
  for (const run of text.matchAll(/\b0(:0)+\b/g)) {
    if (longest === undefined || run[0].length > longest[0].length) longest = run;
  }
  if (longest === undefined) return text;
  const end = longest.index + longest[0].length;
  return `${text.slice(0, longest.index)}::${text.slice(end)}`.replace(/:{3,}/, "::");
}
