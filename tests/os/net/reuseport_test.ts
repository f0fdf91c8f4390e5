import { assert, assertEquals, assertThrows } from "@std/assert";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { SysError } from "../../../src/os/ffi/errors.ts";
import {
  joinGroup,
  openGroup,
  steerGroup,
  steeringProgram,
} from "../../../src/os/net/reuseport.ts";
import { acceptFd, boundAddress } from "../../../src/os/net/socket.ts";
import { openListener } from "../../../src/os/net/open_listener.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { eventually } from "../../support/wait.ts";

const LOOPBACK = { hostname: "127.0.0.1", port: 0 };

/** Enough that a socket that takes part gets one. */
const CROWD = 100;

function portOf(fd: number): number {
  const address = boundAddress(fd);
  assert(address?.kind === "inet");
  return address.port;
}

/** Connects a crowd, and counts what comes to each socket. */
async function crowdTo(group: readonly number[]): Promise<number[]> {
  const counts = group.map(() => 0), port = portOf(group[0]);
  for (let left = CROWD; left > 0; left--) {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
  }
  await eventually(() => {
    for (const [place, fd] of group.entries()) {
      for (let conn; (conn = acceptFd(fd)) !== undefined; counts[place]++) closeFd(conn);
    }
    return counts.reduce((sum, count) => sum + count) === CROWD;
  }, { what: "everybody to be accepted" });
  return counts;
}

/** The sockets of a group that get a connection. */
async function reached(group: readonly number[]): Promise<number[]> {
  return (await crowdTo(group)).flatMap((count, place) => count > 0 ? [place] : []);
}

/** Does what the kernel does with a program. */
function draw(places: readonly number[], random: number): number {
  let a = 0;
  const program = steeringProgram(places)!;
  for (let at = 0;; at++) {
    const [code, jt, jf, k] = program[at];
    if (code === 0x20) a = random;
    else if (code === 0x94) a %= k;
    else if (code === 0x35) at += a >= k ? jt : jf;
    else if (code === 0x04) a += k;
    else return a;
  }
}

for (
  const places of [[0], [0, 1, 2], [1], [0, 3], [1, 2, 5], [0, 2, 4, 6], [5, 6, 7], [
    2,
    3,
    7,
    8,
    11,
  ]]
) {
  Deno.test(`steeringProgram() draws each of ${places} with the same chance`, () => {
    const drawn = places.map((_, random) => draw(places, random + 7 * places.length));
    assertEquals(drawn.toSorted((a, b) => a - b), places);
  });
}

Deno.test("steeringProgram() refuses a program that is too long for the kernel", () => {
  assert(steeringProgram([1_000]) !== undefined);
  assertEquals(steeringProgram([1_001]), undefined);
});

Deno.test("openGroup() opens sockets to all of which connections come", () =>
  leavesNothingOpen(async () => {
    const group = openGroup(LOOPBACK, 3);
    assertEquals(group.map(portOf), group.map(() => portOf(group[0])));
    assertEquals(await reached(group), [0, 1, 2]);
    group.toReversed().forEach(closeFd);
  }));

Deno.test("steerGroup() sends no connections to the sockets that are not selected", () =>
  leavesNothingOpen(async () => {
    const group = openGroup(LOOPBACK, 5);
    for (const chosen of [[0, 1], [1, 4], [3], [0, 1, 2, 3, 4]]) {
      assert(steerGroup(group[2], chosen));
      assertEquals(await reached(group), chosen);
    }
    group.toReversed().forEach(closeFd);
  }));

Deno.test("joinGroup() opens more sockets, which get no connections until they are selected", () =>
  leavesNothingOpen(async () => {
    const group = openGroup(LOOPBACK, 2);
    group.push(...joinGroup(group, 2));
    assertEquals(await reached(group), [0, 1]);
    steerGroup(group[0], [0, 1, 2, 3]);
    assertEquals(await reached(group), [0, 1, 2, 3]);
    group.toReversed().forEach(closeFd);
  }));

Deno.test("joinGroup() makes a group of a single socket without an effect on its clients", () =>
  leavesNothingOpen(async () => {
    const { fd } = openListener({ kind: "inet", ...LOOPBACK });
    const group = [fd, ...joinGroup([fd], 2)];
    assertEquals(await reached(group), [0]);
    steerGroup(fd, [1, 2]);
    assertEquals(await reached(group), [1, 2]);
    group.toReversed().forEach(closeFd);
  }));

Deno.test("a group whose last socket is closed keeps the places of the others", () =>
  leavesNothingOpen(async () => {
    const group = openGroup(LOOPBACK, 4);
    steerGroup(group[0], [1, 2]);
    closeFd(group.pop()!);
    assertEquals(await reached(group), [1, 2]);
    group.toReversed().forEach(closeFd);
  }));

Deno.test("openGroup() refuses an address that is served, by one of a group, too", () =>
  leavesNothingOpen(() => {
    const alone = openListener({ kind: "inet", ...LOOPBACK }).fd, group = openGroup(LOOPBACK, 2);
    for (const fd of [alone, group[0]]) {
      const error = assertThrows(
        () => openGroup({ hostname: "127.0.0.1", port: portOf(fd) }, 2),
        SysError,
      );
      assertEquals(error.code, "EADDRINUSE");
    }
    [alone, ...group.toReversed()].forEach(closeFd);
  }));
