import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import type { Message } from "../../src/ipc/messages.ts";
import { encodeFrame, ProtocolError } from "../../src/ipc/protocol.ts";
import { setCloseOnExec } from "../../src/os/fd/descriptor.ts";
import { SysError } from "../../src/os/ffi/errors.ts";
import { sendWithFds } from "../../src/os/net/fd_passing.ts";
import { leavesNothingOpen } from "../support/descriptors.ts";
import { startFunction, withOpenFileLimit } from "../support/processes.ts";
import { ANY_FD, Connection, frameOf, join, numbered } from "./channel_support.ts";

/** Waits for the end, which must be told once, and be the last that is told. */
async function endOf(connection: Connection, toldBefore: number): Promise<Error | undefined> {
  const { recorder } = connection;
  await recorder.until(toldBefore + 1);
  await connection.settle();
  const last = recorder.told[toldBefore];
  assert("closed" in last, "onClose is the last call");
  assertEquals(recorder.told.length, toldBefore + 1);
  assertEquals(recorder.errors, []);
  assertEquals(recorder.channel.isOpen, false);
  // Nothing happens any more.
  recorder.channel.send(numbered(99), [ANY_FD]);
  recorder.channel.close();
  assertEquals(recorder.told.length, toldBefore + 1);
  return last.closed;
}

const changed = (offset: number, byte: number): Uint8Array<ArrayBuffer> => {
  const frame = frameOf(numbered(1), 0);
  frame[offset] = byte;
  return frame;
};

const BROKEN: Readonly<Record<string, readonly [frame: Uint8Array<ArrayBuffer>, error: string]>> = {
  "another magic": [changed(0, 0), "magic 0x43 version 1"],
  "another version": [changed(2, 2), "version 2"],
  "too long a payload": [changed(4, 1), "bytes, expected at most 1024"],
  "a payload that is no JSON": [changed(12, 0), 'Cannot read a "draining" message: not JSON'],
  "a payload of another type": [changed(3, 1), "services is missing"],
  "fewer descriptors than it names": [frameOf(numbered(1), 3), "2 descriptors came, expected 3"],
  "more descriptors than it names": [frameOf(numbered(1), 1), "1 descriptors more came"],
};

for (const [name, [frame, error]] of Object.entries(BROKEN)) {
  Deno.test(`Channel ends at a frame with ${name}, and leaves no descriptor open`, async () => {
    await leavesNothingOpen(async () => {
      const connection = new Connection();
      const two = [ANY_FD, ANY_FD];
      connection.write(frameOf(numbered(0), 2), two);
      connection.write(frame, two);
      const more = name.startsWith("more") ? 1 : 0;
      const ended = await endOf(connection, 1 + more);
      assertInstanceOf(ended, ProtocolError);
      assertStringIncludes(ended.message, error);
      assertEquals(connection.recorder.messages[0], numbered(0));
      assertEquals(connection.read(), undefined, "the other end is told by an end of file");
      connection.close();
    });
  });
}

Deno.test("Channel delivers what came with a broken frame and before it, and nothing after", async () => {
  await leavesNothingOpen(async () => {
    const connection = new Connection();
    const frames = join(
      frameOf(numbered(1), 1),
      frameOf(numbered(2), 1),
      changed(2, 9),
      frameOf(numbered(3), 1),
    );
    connection.write(frames, Array(3).fill(ANY_FD));
    assertInstanceOf(await endOf(connection, 2), ProtocolError);
    assertEquals(connection.recorder.messages, [numbered(1), numbered(2)]);
    connection.close();
  });
});

Deno.test("Channel closes the descriptors of a frame whose payload has not come yet", async () => {
  await leavesNothingOpen(async () => {
    const connection = new Connection();
    connection.write(encodeFrame(undefined, 2), [ANY_FD, ANY_FD]);
    connection.write(frameOf(numbered(1), 1).subarray(0, 20), [ANY_FD]);
    await connection.settle();
    assertEquals(connection.recorder.told, []);
    connection.recorder.channel.close();
    connection.close();
  });
});

Deno.test("Channel tells a clean end of file without an error", async () => {
  await leavesNothingOpen(async () => {
    const connection = new Connection();
    connection.write(frameOf(numbered(1), 1), [ANY_FD]);
    connection.closePeer();
    assertEquals(await endOf(connection, 1), undefined);
    connection.close();
  });
});

Deno.test("Channel tells of an end of file in the middle of a message, wherever it comes", async () => {
  const frame = frameOf(numbered(1), 1);
  for (const length of [1, 11, 12, frame.length - 1]) {
    await leavesNothingOpen(async () => {
      const connection = new Connection();
      connection.write(join(frameOf(numbered(0)), frame.subarray(0, length)), [ANY_FD]);
      connection.closePeer();
      const ended = await endOf(connection, 1);
      assertInstanceOf(ended, ProtocolError);
      assertEquals(ended.message, "Cannot read a message: end of file in the middle of it");
      connection.close();
    });
  }
});

Deno.test("Channel tells of an end of file between descriptors and their message", async () => {
  await leavesNothingOpen(async () => {
    const connection = new Connection();
    connection.write(encodeFrame(undefined, 2), [ANY_FD, ANY_FD]);
    connection.closePeer();
    assertInstanceOf(await endOf(connection, 0), ProtocolError);
    connection.close();
  });
});

Deno.test("Channel.send() to an end that is gone does not throw, and what came before is delivered", async () => {
  await leavesNothingOpen(async () => {
    const connection = new Connection();
    connection.write(frameOf(numbered(1), 1), [ANY_FD]);
    connection.write(frameOf(numbered(2)));
    connection.closePeer();
    const { channel } = connection.recorder;
    for (let index = 0; index < 3; index++) channel.send(numbered(9), [0]);
    assertEquals([channel.isOpen, connection.recorder.told.length], [true, 0]);
    assertEquals(await endOf(connection, 2), undefined);
    assertEquals(connection.recorder.messages, [numbered(1), numbered(2)]);
    connection.close();
  });
});

Deno.test("Channel takes the end of one that has not read all for a clean one", async () => {
  await leavesNothingOpen(async () => {
    const connection = new Connection();
    connection.recorder.channel.send(numbered(1), [ANY_FD]);
    connection.write(frameOf(numbered(2)));
    connection.closePeer();
    assertEquals(await endOf(connection, 1), undefined);
    connection.close();
  });
});

Deno.test("Channel drops what waits to be sent when the other end goes", async () => {
  await leavesNothingOpen(async () => {
    const connection = new Connection();
    const large: Message = {
      type: "start",
      settings: { shared: [] },
      generation: 1,
      services: [{ name: "x".repeat(200_000), type: "inet", address: "" }],
    };
    for (let index = 0; index < 5; index++) {
      connection.recorder.channel.send(large, [ANY_FD]);
    }
    await connection.settle();
    connection.closePeer();
    assertEquals(await endOf(connection, 0), undefined);
    connection.close();
  });
});

Deno.test("Channel.send() of a closed descriptor sends no part of it, and ends the channel later", async () => {
  await leavesNothingOpen(async () => {
    const connection = new Connection();
    const { recorder } = connection;
    connection.write(frameOf(numbered(1), 1), [ANY_FD]);
    const fds: number[] = Array(300).fill(ANY_FD);
    recorder.channel.send(numbered(2), [...fds, 1_000_000]);
    assertEquals(recorder.told, [], "the owner is not told from within the call");
    recorder.channel.send(numbered(3));

    const ended = await endOf(connection, 1);
    assertInstanceOf(ended, SysError);
    assertEquals(ended.code, "EBADF");
    assertEquals(recorder.messages, [numbered(1)], "what had come is delivered before");
    assertEquals(connection.read(), undefined, "the other end got an end of file and nothing else");
    connection.close();
  });
});

Deno.test("Channel.send() of a message that is too large ends the channel later", async () => {
  await leavesNothingOpen(async () => {
    const connection = new Connection();
    connection.recorder.channel.send({
      type: "start",
      settings: { shared: [] },
      generation: 1,
      services: [{ name: "x".repeat(1 << 20), type: "inet", address: "" }],
    }, [ANY_FD]);
    const ended = await endOf(connection, 0);
    assertInstanceOf(ended, ProtocolError);
    assertStringIncludes(ended.message, "expected at most 1048576");
    connection.close();
  });
});

Deno.test("Channel.close() before the owner was told of a failed send: it is not told", async () => {
  await leavesNothingOpen(async () => {
    const connection = new Connection();
    connection.recorder.channel.send(numbered(1), [1_000_000]);
    connection.recorder.channel.close();
    await connection.settle();
    assertEquals(connection.recorder.told, []);
    connection.close();
  });
});

Deno.test("Channel ends when descriptors were cut short at the limit of open files, and leaves none open", async () => {
  await using child = startFunction(import.meta, async () => {
    const { closeFd, duplicateFd } = await import("../../src/os/fd/descriptor.ts");
    const { countedDescriptors } = await import("../support/descriptors.ts");
    const { Connection, frameOf, numbered } = await import("./channel_support.ts");
    const { eventually } = await import("../support/wait.ts");
    const connection = new Connection();
    const { recorder } = connection;
    const before = countedDescriptors().size;
    connection.write(frameOf(numbered(1), 2), [0, 0]);
    connection.write(frameOf(numbered(2), 10), Array(10).fill(0));
    const fill: number[] = [];
    try {
      for (;;) fill.push(duplicateFd(0));
    } catch { /* The limit is reached. */ }
    fill.splice(0, 6).forEach(closeFd);
    await eventually(() => recorder.told.length === 2, { what: "a message and the end" });
    fill.forEach(closeFd);
    recorder.closeReceived();
    const [first, last] = recorder.told;
    console.log(JSON.stringify(first));
    console.log("closed" in last && String(last.closed));
    // The channel has closed its socket, and the poller its two.
    const closed = () => countedDescriptors().size === before - 3;
    await eventually(closed, { what: "all descriptors to be closed" });
  }, { prefix: withOpenFileLimit(150) });
  const [first, last] = (await child.succeeds()).split("\n");
  assertEquals(JSON.parse(first), { message: numbered(1), fds: [] });
  assertStringIncludes(
    last,
    "RangeError: Cannot receive descriptors: the set was cut short after 4",
  );
});

Deno.test("Channel ends cleanly at both ends when a process is killed", async () => {
  await leavesNothingOpen(async () => {
    const connection = new Connection();
    setCloseOnExec(connection.peer, false);
    await using child = startFunction(import.meta, async (fd) => {
      const { Recorder, numbered } = await import("./channel_support.ts");
      const { untilInputCloses } = await import("../support/processes.ts");
      const { channel } = new Recorder(fd);
      channel.send(numbered(7));
      await untilInputCloses();
    }, { arg: connection.peer });
    setCloseOnExec(connection.peer, true);
    assert(sendWithFds(connection.peer, frameOf(numbered(6))) !== undefined);
    connection.closePeer();
    await connection.recorder.until(2);
    assertEquals(connection.recorder.messages, [numbered(6), numbered(7)]);
    child.signal("SIGKILL");
    assertEquals(await endOf(connection, 2), undefined);
    connection.close();
  });
});
