/**
 * Groups of listening sockets with one address (socket(7), SO_REUSEPORT): each has a queue of its
 * own, and the kernel draws lots for every new connection.
 *
 * Between which sockets it does is said by a program that the group has. A program knows a socket by
 * its place: the first one to listen has place 0, and one that leaves gives its place to the last. So
 * whoever closes one closes the last one, or the places are not what they were.
 *
 * A connection belongs to its socket from its SYN on: the rest of a handshake asks no program.
 *
 * @module
 */
import { closeFd } from "../fd/descriptor.ts";
import { attachFilter } from "./bpf.ts";
import type { FilterInstruction } from "../ffi/layout.ts";
import { boundAddress, listenInet, setReusePort } from "./socket.ts";

const SO_ATTACH_REUSEPORT_CBPF = 51;

/** Where a filter finds a random number (`SKF_AD_OFF + SKF_AD_RANDOM`, `linux/filter.h`). */
const RANDOM = 0xffff_f000 + 56;

/** A kernel takes programs of 4096 instructions at most, and may have little memory for them. */
const MOST_GAPS = 1_000;

/**
 * Opens a group. An address on which anybody listens is refused, even by a socket of a group.
 *
 * @param address Where to listen.
 * @param size How many sockets.
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
 * Opens further sockets of a group, or makes a socket that is alone the first one of a group. No
 * connection comes to them until {@linkcode steerGroup} says so.
 *
 * @param group The descriptors of the group in the order of their places. Borrowed.
 * @param count How many more.
 * @returns The descriptors of the new ones in the order of their places, owned by the caller.
 * @throws {SysError} When a system call refuses; then no new one is open.
 */
export function joinGroup(group: readonly number[], count: number): number[] {
  const [first] = group;
  const address = boundAddress(first);
  if (address?.kind !== "inet") {
    throw new TypeError(`Cannot open a group for descriptor ${first}: expected a socket of TCP`);
  }
  // A process that has one of them may have taken it back.
  group.forEach(setReusePort);
  const opened: number[] = [];
  try {
    while (opened.length < count) {
      opened.push(listenInet(address, { group: "join" }));
      // A group of several has its program; a socket that was alone has no group to give one to before.
      if (group.length === 1 && opened.length === 1) steerGroup(first, [0]);
    }
    return opened;
  } catch (error) {
    opened.toReversed().forEach(closeFd);
    throw error;
  }
}

/**
 * Says to which sockets of a group new connections come. What is in the queues of the others, and
 * every handshake that has begun there, stays.
 *
 * @param fd Any socket of the group. Borrowed.
 * @param places The places of those that take part, in ascending order; at least one.
 * @returns Whether the kernel has taken it; if not, all is as before.
 * @throws {SysError} When it refuses for another reason than a lack of memory or privilege.
 */
export function steerGroup(fd: number, places: readonly number[]): boolean {
  const instructions = steeringProgram(places);
  return instructions !== undefined &&
    attachFilter(fd, { option: SO_ATTACH_REUSEPORT_CBPF, instructions });
}

/**
 * The program that draws one of some places, all with the same chance.
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
