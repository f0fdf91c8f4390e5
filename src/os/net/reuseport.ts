/**
 * Groups of listening sockets with one address (socket(7), SO_REUSEPORT): each has its own queue, and the
 * kernel distributes new connections at random.
 *
 * A BPF program of the group selects the sockets that take part. It identifies a socket by its place: the
 * first one to listen has place 0, and the last one takes the place of a closed one. So only the last socket
 * may be closed, or the places change.
 *
 * A connection belongs to its socket from its SYN on: the rest of the handshake does not run the program.
 *
 * @module
 */
import { closeFd } from "../fd/descriptor.ts";
import { attachFilter } from "./bpf.ts";
import type { FilterInstruction } from "../ffi/layout.ts";
import { boundAddress } from "./socket.ts";
import { listenInet, setReusePort } from "./open_listener.ts";

const SO_ATTACH_REUSEPORT_CBPF = 51;

/** The offset at which a filter reads a random number (`SKF_AD_OFF + SKF_AD_RANDOM`, `linux/filter.h`). */
const RANDOM = 0xffff_f000 + 56;

/** The kernel's limit is 4096 instructions, and it may have little memory for them. */
const MOST_GAPS = 1_000;

/**
 * Opens a group. An address with any other listener is refused, even one of a group.
 *
 * @param address The address.
 * @param size The number of sockets.
 * @returns Their descriptors in the order of their places, owned by the caller.
 * @throws {SysError} When a system call refuses; then nothing is open.
 * @throws {TypeError} When the host is not a numeric IP address.
 */
export function openGroup(
  address: { readonly hostname: string; readonly port: number },
  size: number,
): number[] {
  const first = listenInet(address, { group: "found" });
  try {
    const group = [first, ...joinGroup([first], size - 1)];
    steerGroup(first, [...group.keys()]);
    return group;
  } catch (error) {
    closeFd(first);
    throw error;
  }
}

/**
 * Opens further sockets of a group, or makes a single socket the first one of a group. They receive no
 * connections until {@linkcode steerGroup} selects them.
 *
 * @param group The descriptors of the group in the order of their places. Borrowed.
 * @param count The number of new sockets.
 * @returns The descriptors of the new ones in the order of their places, owned by the caller.
 * @throws {SysError} When a system call refuses; then no new one is open.
 */
export function joinGroup(group: readonly number[], count: number): number[] {
  const [first] = group;
  const address = boundAddress(first);
  if (address?.kind !== "inet") {
    throw new TypeError(`Cannot open a group for descriptor ${first}: expected a socket of TCP`);
  }
  // A process that holds one of them may have cleared the option.
  group.forEach(setReusePort);
  const opened: number[] = [];
  try {
    while (opened.length < count) {
      opened.push(listenInet(address, { group: "join" }));
      // A larger group has its program; a single socket had no group to attach one to before.
      if (group.length === 1 && opened.length === 1) steerGroup(first, [0]);
    }
    return opened;
  } catch (error) {
    opened.toReversed().forEach(closeFd);
    throw error;
  }
}

/**
 * Selects the sockets of a group that receive new connections. Pending connections and handshakes under way
 * on the other sockets stay.
 *
 * @param fd Any socket of the group. Borrowed.
 * @param places The selected places, in ascending order; at least one.
 * @returns Whether the kernel has accepted it; if not, nothing has changed.
 * @throws {SysError} When it refuses for another reason than a lack of memory or privilege.
 */
export function steerGroup(fd: number, places: readonly number[]): boolean {
  const instructions = steeringProgram(places);
  return instructions !== undefined &&
    attachFilter(fd, { option: SO_ATTACH_REUSEPORT_CBPF, instructions });
}

/**
 * Returns the program that selects one of some places at random.
 *
 * @param places The places, in ascending order; at least one.
 * @returns The program, which returns the place; undefined when it would be too long.
 */
export function steeringProgram(
  places: readonly number[],
): readonly FilterInstruction[] | undefined {
  const taken = new Set(places);
  const gaps = Array.from({ length: places[places.length - 1] + 1 }, (_, place) => place)
    .filter((place) => !taken.has(place));
  if (gaps.length > MOST_GAPS) return undefined;
  return [
    [0x20, 0, 0, RANDOM], // load a random number
    [0x94, 0, 0, places.length], // of as many as there are places
    ...gaps.flatMap((gap): FilterInstruction[] => [
      [0x35, 0, 1, gap], // has it come to this gap?
      [0x04, 0, 0, 1], // step over it
    ]),
    [0x16, 0, 0, 0], // that is the place
  ];
}
