/**
 * The processes that listen on an address (proc(5), `/proc/net`).
 *
 * @module
 */
import { describeProcess, openDescriptorsOfAll, readProc } from "./processes.ts";
import { inetBytes } from "../net/open_listener.ts";
import type { ListenAddress } from "../net/socket.ts";

/** How long the process is looked for: any user can have processes with millions of descriptors. */
const LOOK_MS = 1_000;

/** The state and the flag of a listening socket in the kernel's tables (TCP_LISTEN, __SO_ACCEPTCON). */
const TCP_LISTEN = "0A", ACCEPTS = 0x10000;
const MAPPED_PREFIX = "00000000000000000000ffff";

/**
 * Describes an address in use, with its process where the kernel shows it.
 *
 * @param address The address.
 * @param nowMs A clock.
 * @returns Such as `address in use by process 4711 ("nginx")`.
 */
export function describeInUse(
  address: ListenAddress,
  nowMs: () => number = () => performance.now(),
): string {
  const inodes = address.kind === "inet" ? inetListeners(address) : unixListeners(address.path);
  const sockets = new Set(inodes.map((inode) => `socket:[${inode}]`)), endMs = nowMs() + LOOK_MS;
  for (const { pid, target } of sockets.size > 0 ? openDescriptorsOfAll() : []) {
    if (sockets.has(target)) return `address in use by ${describeProcess(pid)}`;
    if (nowMs() >= endMs) break;
  }
  return "address in use";
}

/** Returns the inodes of the listening sockets that prevent a bind to an address. */
function inetListeners({ hostname, port }: { hostname: string; port: number }): string[] {
  const wanted = comparable(toHex(inetBytes(hostname)));
  return ["net/tcp", "net/tcp6"].flatMap((table) => rowsOf(table)).flatMap((columns) => {
    const [, local = "", , state, , , , , , inode] = columns;
    const [host, hexPort] = local.split(":");
    if (state !== TCP_LISTEN || parseInt(hexPort, 16) !== port) return [];
    const found = comparable(inNetworkOrder(host));
    return found === wanted || isAny(found) || isAny(wanted) ? [inode] : [];
  });
}

function unixListeners(path: string): string[] {
  return rowsOf("net/unix").flatMap(([, , , flags, , , inode, bound]) =>
    bound === path && (parseInt(flags, 16) & ACCEPTS) !== 0 ? [inode] : []
  );
}

function rowsOf(table: string): string[][] {
  return readProc(table).split("\n").slice(1).map((line) => line.trim().split(/\s+/));
}

/** Converts the kernel's notation, which writes each four bytes as a little-endian number. */
function inNetworkOrder(hex: string): string {
  return hex.toLowerCase().replace(/(..)(..)(..)(..)/g, "$4$3$2$1");
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Maps an IPv4 address to its IPv6 form for a comparison. */
function comparable(hex: string): string {
  return hex.length === 8 ? MAPPED_PREFIX + hex : hex;
}

function isAny(hex: string): boolean {
  return /^0*$/.test(hex.replace(MAPPED_PREFIX, ""));
}
