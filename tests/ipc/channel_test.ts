import { assert, assertEquals, assertGreater, assertThrows } from "@std/assert";
import { Channel } from "../../src/ipc/channel.ts";
import type { Message } from "../../src/ipc/messages.ts";
import { encodeFrame } from "../../src/ipc/protocol.ts";
import { closeFd } from "../../src/os/fd/descriptor.ts";
import { SysError } from "../../src/os/ffi/errors.ts";
import { receiveWithFds } from "../../src/os/net/fd_passing.ts";
import { EPOLLOUT } from "../../src/os/fd/poller.ts";
import { socketPair } from "../../src/os/net/socket.ts";
import { flagsOf, leavesNothingOpen, openFile, targetOf } from "../support/descriptors.ts";
import { TempDir } from "../support/temp.ts";
import { turn } from "../support/polling.ts";
import { eventually } from "../support/wait.ts";
import {
  ANY_FD,
  ANYBODY,
  Connection,
  frameOf,
  join,
  numbered,
  Recorder,
} from "./channel_support.ts";

function connectTwo(): [Recorder, Recorder] {
  const [one, two] = socketPair();
  return [new Recorder(one), new Recorder(two)];
}

function openFiles(temp: TempDir, count: number): { fds: number[]; paths: string[] } {
  const paths = Array.from({ length: count }, (_, index) => temp.file(String(index)));
  return { fds: paths.map(openFile), paths };
}

/** What an epoll instance of this process has registered for a descriptor. */
function watchedEvents(fd: number): number {
  for (const { name } of Deno.readDirSync("/proc/self/fdinfo")) {
    try {
      const text = Deno.readTextFileSync(`/proc/self/fdinfo/${name}`);
      const match = new RegExp(`^tfd:\\s*${fd} events:\\s*([0-9a-f]+)`, "m").exec(text);
      if (match !== null) return parseInt(match[1], 16);
    } catch {
      // The descriptor that reads the directory is closed by now.
    }
  }
  throw new Error(`Cannot find descriptor ${fd} in an epoll instance`);
}

Deno.test("Channel delivers messages in order, both ways", async () => {
  await leavesNothingOpen(async () => {
    const [one, two] = connectTwo();
    for (let index = 0; index < 1_000; index++) {
      one.channel.send(numbered(index));
      two.channel.send(numbered(index));
    }
    await one.until(1_000);
    await two.until(1_000);
    const expected = Array.from({ length: 1_000 }, (_, index) => numbered(index));
    assertEquals(one.messages, expected);
    assertEquals(two.messages, expected);
    one.channel.close();
    two.channel.close();
  });
});

Deno.test("Channel.receiveRest() delivers at once what one that is gone has said before", async () => {
  await leavesNothingOpen(async () => {
    const [one, two] = connectTwo();
    for (let index = 0; index < 3; index++) one.channel.send(numbered(index));
    one.channel.close();
    two.channel.receiveRest();
    assertEquals(two.messages, [numbered(0), numbered(1), numbered(2)]);
    assertEquals(two.told.at(-1), { closed: undefined });
    // Harmless now.
    two.channel.receiveRest();
    await two.until(4);
  });
});

Deno.test("Channel delivers a frame that comes in two pieces, wherever it is cut", async () => {
  using temp = new TempDir();
  await leavesNothingOpen(async () => {
    const connection = new Connection();
    const { recorder } = connection;
    const { fds, paths } = openFiles(temp, 2);
    const message: Message = {
      type: "start",
      settings: { shared: [] },
      generation: 1,
      services: [{ name: "ü", type: "inet", address: "0:1" }],
    };
    const frame = frameOf(message, 2);
    for (let cut = 1; cut < frame.length; cut++) {
      connection.write(frame.subarray(0, cut), fds);
      await connection.settle();
      assertEquals(recorder.told, [], `cut at ${cut}`);
      connection.write(frame.subarray(cut));
      await connection.settle();
      assertEquals(recorder.messages, [message], `cut at ${cut}`);
      assertEquals(recorder.fds.map(targetOf), paths);
      recorder.closeReceived();
      recorder.told.length = 0;
    }
    connection.close();
    fds.forEach(closeFd);
  });
});

Deno.test("Channel delivers frames that come byte by byte, and several that come at once", async () => {
  await leavesNothingOpen(async () => {
    const connection = new Connection();
    for (const byte of join(frameOf(numbered(1)), frameOf(numbered(2)))) {
      connection.write(new Uint8Array([byte]));
      await connection.settle();
    }
    connection.write(join(frameOf(numbered(3)), frameOf(numbered(4)), frameOf(numbered(5))));
    await connection.recorder.until(5);
    assertEquals(connection.recorder.messages, [1, 2, 3, 4, 5].map(numbered));
    connection.close();
  });
});

Deno.test("Channel passes descriptors in order, received close-on-exec, and borrows those sent", async () => {
  using temp = new TempDir();
  await leavesNothingOpen(async () => {
    const [one, two] = connectTwo();
    const { fds, paths } = openFiles(temp, 5);
    one.channel.send(numbered(0), fds.slice(0, 2));
    one.channel.send(numbered(1));
    one.channel.send(numbered(2), fds.slice(2));
    assertEquals(fds.map(targetOf), paths);
    fds.forEach(closeFd);
    await eventually(() => two.told.length === 3, { what: "three messages" });
    assertEquals(
      two.told.map((told) => "fds" in told ? told.fds.map(targetOf) : []),
      [paths.slice(0, 2), [], paths.slice(2)],
    );
    assert(two.fds.every((fd) => flagsOf(fd).closeOnExec));
    two.closeReceived();
    one.channel.close();
    two.channel.close();
  });
});

for (const count of [254, 600]) {
  Deno.test(`Channel passes ${count} descriptors with one message`, async () => {
    using temp = new TempDir();
    await leavesNothingOpen(async () => {
      const [one, two] = connectTwo();
      // Not one file for each: both ends are in this process, and 1024 is a common limit.
      const { fds, paths } = openFiles(temp, 100);
      const sent = Array.from({ length: count }, (_, index) => index % fds.length);
      one.channel.send(numbered(1), sent.map((file) => fds[file]));
      one.channel.send(numbered(2), fds.slice(0, 1));
      fds.forEach(closeFd);
      await eventually(() => two.told.length === 2, { what: "two messages" });
      assertEquals(two.messages, [numbered(1), numbered(2)]);
      assertEquals(two.fds.map(targetOf), [...sent.map((file) => paths[file]), paths[0]]);
      two.closeReceived();
      one.channel.close();
      two.channel.close();
    });
  });
}

Deno.test("Channel.send() queues what the socket does not take, and sends it when there is room", async () => {
  using temp = new TempDir();
  await leavesNothingOpen(async () => {
    const [ours, theirs] = socketPair();
    const sender = new Recorder(ours);
    const { fds: [fd], paths: [path] } = openFiles(temp, 1);
    const message = (generation: number): Message => ({
      type: "start",
      settings: { shared: [] },
      generation,
      services: [{ name: "x".repeat(4_000), type: "inet", address: "" }],
    });
    const count = 300;
    for (let index = 0; index < count; index++) sender.channel.send(message(index), [fd]);
    closeFd(fd);
    assert(watchedEvents(ours) & EPOLLOUT, "the socket is full");
    await turn(sender.poller);
    assertEquals(sender.told, []);

    // Only now somebody reads at the other end.
    const receiver = new Recorder(theirs);
    await eventually(() => receiver.told.length === count, { what: "all messages" });
    assertEquals(receiver.messages.map((told) => told.type === "start" && told.generation), [
      ...Array(count).keys(),
    ]);
    assert(receiver.fds.length === count && receiver.fds.every((fd) => targetOf(fd) === path));
    assertEquals(watchedEvents(ours) & EPOLLOUT, 0, "nothing is left to send");
    assertEquals(receiver.told.every((told) => "fds" in told && told.fds.length === 1), true);
    receiver.closeReceived();
    sender.channel.close();
    receiver.channel.close();
  });
});

Deno.test("Channel passes a message that is larger than all buffers", async () => {
  await leavesNothingOpen(async () => {
    const [one, two] = connectTwo();
    const message: Message = {
      type: "start",
      settings: { shared: [] },
      generation: 1,
      services: [{ name: "x".repeat(1_000_000), type: "inet", address: "" }],
    };
    one.channel.send(message);
    one.channel.send(numbered(1));
    await two.until(2);
    assertEquals(two.messages, [message, numbered(1)]);
    one.channel.close();
    two.channel.close();
  });
});

Deno.test("Channel ignores a message of an unknown type, tells its number and closes its descriptors", async () => {
  await leavesNothingOpen(async () => {
    const connection = new Connection();
    const unknown = encodeFrame({ type: "softstop" }, 2);
    unknown[3] = 200;
    connection.write(unknown, [ANY_FD, ANY_FD]);
    connection.write(frameOf(numbered(1), 1), [ANY_FD]);
    await connection.recorder.until(2);
    const [first, second] = connection.recorder.told;
    assertEquals(first, { unknown: 200 });
    assertEquals(second, { message: numbered(1), fds: [] });
    connection.close();
  });
});

Deno.test("Channel.close() drops what was not sent, and is harmless the second time", async () => {
  await leavesNothingOpen(async () => {
    const connection = new Connection();
    const { channel } = connection.recorder;
    const large: Message = {
      type: "start",
      settings: { shared: [] },
      generation: 1,
      services: [{ name: "x".repeat(100_000), type: "inet", address: "" }],
    };
    for (let index = 0; index < 10; index++) channel.send(large, [ANY_FD]);
    assertEquals(channel.isOpen, true);
    channel.close();
    channel.close();
    assertEquals(channel.isOpen, false);
    channel.send(numbered(1), [ANY_FD]);
    await connection.settle();
    assertEquals(connection.recorder.told, []);
    // What the kernel had taken is still there for the other end, and then the end of file.
    const room = new Uint8Array(1 << 20);
    let length = 0;
    for (let next; (next = receiveWithFds(connection.peer, room))?.length;) {
      next.fds.forEach(closeFd);
      length += next.length;
    }
    assertGreater(length, 0);
    assertEquals(receiveWithFds(connection.peer, room), { length: 0, fds: [] });
    connection.close();
  });
});

Deno.test("Channel.close() in a handler ends the delivery, and closes the descriptors of the rest", async () => {
  await leavesNothingOpen(async () => {
    const connection = new Connection();
    const { recorder } = connection;
    recorder.onTold = () => recorder.channel.close();
    // All of it arrives at once, so that the rest has been received when the handler is called.
    const frames = [numbered(1), numbered(2), numbered(3)].map((message) => frameOf(message, 1));
    connection.write(join(...frames), Array(3).fill(ANY_FD));
    await recorder.until(1);
    await connection.settle();
    assertEquals(recorder.messages, [numbered(1)]);
    assertEquals(recorder.told.length, 1);
    connection.close();
  });
});

Deno.test("Channel gives what a handler throws to the poller's onError, and delivers the rest", async () => {
  await leavesNothingOpen(async () => {
    const connection = new Connection();
    const { recorder } = connection;
    recorder.onTold = (index) => {
      throw new Error(`handler ${index}`);
    };
    const unknown = encodeFrame({ type: "softstop" }, 0);
    unknown[3] = 9;
    connection.write(
      join(frameOf(numbered(1), 1), unknown, frameOf(numbered(2), 1)),
      [ANY_FD, ANY_FD],
    );
    await recorder.until(3);
    assertEquals(recorder.channel.isOpen, true);
    connection.write(new Uint8Array(12));
    await recorder.until(4);
    await connection.settle();
    assertEquals(recorder.told.map((told) => Object.keys(told)[0]), [
      "message",
      "unknown",
      "message",
      "closed",
    ]);
    assertEquals(recorder.errors.map((error) => (error as Error).message), [
      "handler 0",
      "handler 1",
      "handler 2",
      "handler 3",
    ]);
    connection.close();
  });
});

Deno.test("Channel answers from within a handler", async () => {
  await leavesNothingOpen(async () => {
    const [one, two] = connectTwo();
    two.onTold = (index) => two.channel.send(numbered(100 + index));
    for (let index = 0; index < 10; index++) one.channel.send(numbered(index));
    await one.until(10);
    assertEquals(one.messages, Array.from({ length: 10 }, (_, index) => numbered(100 + index)));
    one.channel.close();
    two.channel.close();
  });
});

Deno.test("new Channel() leaves a descriptor that can't be watched to its owner", async () => {
  using temp = new TempDir();
  await leavesNothingOpen(() => {
    const file = openFile(temp.file("file"));
    const { poller } = new Recorder(socketPairEnd());
    const options = { fd: file, poller, sender: ANYBODY };
    const handlers = { onMessage() {}, onUnknown() {}, onClose() {} };
    const error = assertThrows(() => new Channel(options, handlers), SysError);
    assertEquals(error.code, "EPERM");
    assertEquals(targetOf(file), temp.file("file"));
    closeFd(file);
  });
});

/** One end of a pair whose other end is closed: it ends by itself. */
function socketPairEnd(): number {
  const [one, two] = socketPair();
  closeFd(two);
  return one;
}
