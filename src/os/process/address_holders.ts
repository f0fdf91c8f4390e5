/**
 * Who listens on an address (proc(5), `/proc/net`).
 *
 * @module
 */
import { describeProcess, openDescriptorsOfAll, readProc } from "./processes.ts";
import { inetBytes, type ListenAddress } from "../net/socket.ts";

/** What the tables of the kernel say of a listening socket (TCP_LISTEN, __SO_ACCEPTCON). */
const TCP_LISTEN = "0A", ACCEPTS = 0x10000;
const MAPPED_PREFIX = "00000000000000000000ffff";

/**
 * Says that an address is in use, and by whom where the kernel shows it.
 *
 * @param address The address.
 * @returns Such as `address in use by process 4711 ("nginx")`.
 */
export function describeInUse(address: ListenAddress): string {
  const inodes = address.kind === "inet" ? inetListeners(address) : unixListeners(address.path);
  const sockets = new Set(inodes.map((inode) => `socket:[${inode}]`));
  for (const { pid, target } of sockets.size > 0 ? openDescriptorsOfAll() : []) {
    if (sockets.has(target)) return `address in use by ${describeProcess(pid)}`;
  }
  return "address in use";
}

/** The listening sockets that keep an address from being bound, by their inodes. */
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

/** The kernel writes each four bytes as one number of the machine, which is little-endian. */
function inNetworkOrder(hex: string): string {
  return hex.toLowerCase().replace(/(..)(..)(..)(..)/g, "$4$3$2$1");
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** An address of IPv4 as IPv6 has it, so that both can be compared. */
function comparable(hex: string): string {
  return hex.length === 8 ? MAPPED_PREFIX + hex : hex;
}

function isAny(hex: string): boolean {
  return /^0*$/.test(hex.replace(MAPPED_PREFIX, ""));
}
