import { assert, assertEquals, assertThrows } from "@std/assert";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { SysError } from "../../../src/os/ffi/errors.ts";
import {
  type Received,
  receiveWithFds,
  sendWithFds,
  setTakesDescriptors,
} from "../../../src/os/net/fd_passing.ts";
import { socketPair } from "../../../src/os/net/socket.ts";
import {
  flagsOf,
  leavesNothingOpen,
  openFile,
  targetOf,
  whyNoRefusal,
} from "../../support/descriptors.ts";
import { leaveOut } from "../../support/left_out.ts";
import { startFunction, withOpenFileLimit } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";

function receive(socket: number, room: Uint8Array<ArrayBuffer> = new Uint8Array(64)): Received {
  const received = receiveWithFds(socket, room);
  assert(received !== undefined);
  return received;
}

/** Descriptors of files that are all different, so that their order can be told. */
function openFiles(directory: string, count: number): { fds: number[]; paths: string[] } {
  const paths = Array.from({ length: count }, (_, index) => `${directory}/${index}`);
  return { fds: paths.map(openFile), paths };
}

Deno.test("sendWithFds() passes bytes without descriptors", async () => {
  await leavesNothingOpen(() => {
    const [one, two] = socketPair();
    assertEquals(sendWithFds(one, new TextEncoder().encode("hello")), 5);
    const room = new Uint8Array(64);
    assertEquals(receive(two, room), { length: 5, fds: [] });
    assertEquals(new TextDecoder().decode(room.subarray(0, 5)), "hello");
    closeFd(one);
    closeFd(two);
  });
});

for (const count of [1, 2, 253]) {
  Deno.test(`sendWithFds() passes ${count} descriptors in order, received close-on-exec`, async () => {
    using temp = new TempDir();
    await leavesNothingOpen(() => {
      const [one, two] = socketPair();
      const { fds, paths } = openFiles(temp.path, count);
      assertEquals(sendWithFds(one, new Uint8Array([1]), fds), 1);
      // Borrowed: the sender's are as they were, and may be closed while the others are under way.
      assertEquals(fds.map(targetOf), paths);
      fds.forEach(closeFd);

      const received = receive(two);
      assertEquals(received.length, 1);
      assertEquals(received.fds.map(targetOf), paths);
      assert(received.fds.every((fd) => flagsOf(fd).closeOnExec));
      received.fds.forEach(closeFd);
      closeFd(one);
      closeFd(two);
    });
  });
}

Deno.test("sendWithFds() refuses 254 descriptors", async () => {
  await leavesNothingOpen(() => {
    const [one, two] = socketPair();
    const error = assertThrows(
      () => sendWithFds(one, new Uint8Array([1]), Array(254).fill(one)),
      SysError,
    );
    assertEquals(error.code, "EINVAL");
    closeFd(one);
    closeFd(two);
  });
});

Deno.test("sendWithFds() refuses a descriptor that is not open, and sends nothing", async () => {
  await leavesNothingOpen(() => {
    const [one, two] = socketPair();
    const error = assertThrows(
      () => sendWithFds(one, new Uint8Array([1]), [one, 1_000_000]),
      SysError,
    );
    assertEquals(error.code, "EBADF");
    assertEquals(receiveWithFds(two, new Uint8Array(1)), undefined);
    closeFd(one);
    closeFd(two);
  });
});

Deno.test("sendWithFds() says that the socket is full, and then sends again", async () => {
  await leavesNothingOpen(() => {
    const [one, two] = socketPair();
    const chunk = new Uint8Array(65_536);
    let sent = 0, taken: number | undefined;
    while ((taken = sendWithFds(one, chunk, [one])) !== undefined) sent += taken;
    assert(sent > 0);
    let received = 0;
    for (let next; (next = receiveWithFds(two, chunk)) !== undefined;) {
      received += next.length;
      next.fds.forEach(closeFd);
    }
    assertEquals(received, sent);
    assertEquals(sendWithFds(one, new Uint8Array([1])), 1);
    closeFd(one);
    closeFd(two);
  });
});

Deno.test("sendWithFds() tells EPIPE when the other end is gone, and raises no signal", async () => {
  await leavesNothingOpen(() => {
    const [one, two] = socketPair();
    closeFd(two);
    const error = assertThrows(() => sendWithFds(one, new Uint8Array([1]), [one]), SysError);
    assertEquals(error.message, `sendmsg "${one}": the other end is closed (EPIPE)`);
    closeFd(one);
  });
});

Deno.test("receiveWithFds() tells an empty socket from end of file", async () => {
  await leavesNothingOpen(() => {
    const [one, two] = socketPair();
    assertEquals(receiveWithFds(two, new Uint8Array(1)), undefined);
    closeFd(one);
    assertEquals(receive(two), { length: 0, fds: [] });
    assertEquals(receive(two), { length: 0, fds: [] });
    closeFd(two);
  });
});

Deno.test("receiveWithFds() never joins the descriptors of two messages", async () => {
  await leavesNothingOpen(() => {
    const [one, two] = socketPair();
    sendWithFds(one, new Uint8Array(2));
    sendWithFds(one, new Uint8Array(3), [one]);
    sendWithFds(one, new Uint8Array(4), [one, two]);
    const steps: [length: number, fds: number][] = [];
    for (let next; (next = receiveWithFds(two, new Uint8Array(64))) !== undefined;) {
      steps.push([next.length, next.fds.length]);
      next.fds.forEach(closeFd);
    }
    // One call reads over several messages until it has met descriptors.
    assertEquals(steps, [[5, 1], [4, 2]]);
    closeFd(one);
    closeFd(two);
  });
});

Deno.test("receiveWithFds() gives the descriptors with the first byte of their message", async () => {
  await leavesNothingOpen(() => {
    const [one, two] = socketPair();
    sendWithFds(one, new Uint8Array([1, 2, 3]), [one, two]);
    const { length, fds } = receive(two, new Uint8Array(1));
    assertEquals([length, fds.length], [1, 2]);
    assertEquals(receive(two), { length: 2, fds: [] });
    [...fds, one, two].forEach(closeFd);
  });
});

Deno.test("receiveWithFds() works on while memory moves: addresses in the message stay right", () => {
  const [one, two] = socketPair();
  for (let round = 0; round < 3_000; round++) {
    const data = new Uint8Array(1 + round % 200).fill(round);
    sendWithFds(one, data, [one]);
    const room = new Uint8Array(256);
    const { length, fds } = receive(two, room);
    assertEquals(fds.length, 1);
    closeFd(fds[0]);
    assertEquals(room.subarray(0, length), data);
  }
  closeFd(one);
  closeFd(two);
});

Deno.test("receiveWithFds() tells of a set cut short at the limit of open files, and closes it", async () => {
  await using child = startFunction(import.meta, async () => {
    const { closeFd, duplicateFd } = await import("../../../src/os/fd/descriptor.ts");
    const { countedDescriptors } = await import("../../support/descriptors.ts");
    const { receiveWithFds, sendWithFds } = await import("../../../src/os/net/fd_passing.ts");
    const { socketPair } = await import("../../../src/os/net/socket.ts");
    const before = countedDescriptors().size;
    const [one, two] = socketPair();
    const fill: number[] = [];
    try {
      for (;;) fill.push(duplicateFd(0));
    } catch { /* The limit is reached. */ }
    const attempt = (free: number) => {
      fill.splice(0, free).forEach(closeFd);
      try {
        const received = receiveWithFds(two, new Uint8Array(10));
        received?.fds.forEach(closeFd);
        console.log(received?.length, received?.fds.length);
      } catch (error) {
        console.log((error as Error).name, (error as Error).message);
      }
    };
    for (let message = 0; message < 3; message++) {
      sendWithFds(one, new Uint8Array([1]), Array(10).fill(0));
    }
    attempt(0);
    attempt(4);
    attempt(10);
    [one, two, ...fill].forEach(closeFd);
    console.log(countedDescriptors().size - before);
  }, { prefix: withOpenFileLimit(100) });
  const [none, some, all, left] = (await child.succeeds()).split("\n");
  const cut = "RangeError Cannot receive descriptors: the set was cut short after";
  assert(none.startsWith(`${cut} 0, `), none);
  assert(some.startsWith(`${cut} 4, `), some);
  assertEquals([all, left], ["1 10", "0"]);
});

Deno.test("setTakesDescriptors() has the kernel refuse descriptors, and nothing else", async (t) => {
  const why = whyNoRefusal();
  if (why !== undefined) return leaveOut(t, why);
  await leavesNothingOpen(() => {
    const [one, two] = socketPair();
    setTakesDescriptors(two, false);
    const byte = new Uint8Array([1]);
    assertThrows(() => sendWithFds(one, byte, [0]), SysError, "EPERM");
    assertEquals(sendWithFds(one, byte), 1);
    assertEquals(receive(two), { length: 1, fds: [] });
    assertEquals(sendWithFds(two, byte, [0]), 1, "in the other direction");
    setTakesDescriptors(two, true);
    assertEquals(sendWithFds(one, byte, [0]), 1);
    const { fds } = receive(two);
    assertEquals(fds.length, 1);
    [one, two, ...fds].forEach(closeFd);
  });
});
