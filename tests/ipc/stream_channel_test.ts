import { assert, assertEquals, assertMatch } from "@std/assert";
import type { ChannelHandlers } from "../../src/ipc/channel.ts";
import type { Message } from "../../src/ipc/messages.ts";
import { encodeFrame, ProtocolError } from "../../src/ipc/protocol.ts";
import { StreamChannel } from "../../src/ipc/stream_channel.ts";
import { closeFd } from "../../src/os/fd/descriptor.ts";
import { sendWithFds } from "../../src/os/net/fd_passing.ts";
import { socketPair } from "../../src/os/net/socket.ts";
import { leavesNothingOpen, targetOf } from "../support/descriptors.ts";
import { eventually } from "../support/wait.ts";
import { ANY_FD, Recorder } from "./channel_support.ts";

const READY: Message = { type: "ready", pid: 7, generation: 1 };
const SOFTSTOP: Message = { type: "softstop" };

/** One that writes down what it is told. */
class Listener implements ChannelHandlers {
  readonly told: unknown[] = [];
  readonly channel: StreamChannel;

  constructor(fd: number) {
    this.channel = new StreamChannel(fd, this);
  }

  onMessage(message: Message, fds: number[]): void {
    this.told.push([message.type, fds]);
  }

  onUnknown(typeNumber: number): void {
    this.told.push(["unknown", typeNumber]);
  }

  onClose(error?: Error): void {
    this.told.push(["closed", error]);
  }

  async until(count: number): Promise<void> {
    await eventually(() => this.told.length >= count, { what: `${count} things to be told` });
    assertEquals(this.told.length, count);
  }
}

interface Ends {
  readonly listener: Listener;
  /** The other end, a channel of the system's calls. */
  readonly master: Recorder;
}

function test(text: string, body: (ends: Ends) => Promise<void>): void {
  Deno.test(`StreamChannel ${text}`, async () => {
    // What node:net opens for good.
    const first = socketPair();
    for (const fd of first) new Listener(fd).channel.close();
    const isClosed = () => first.every((fd) => targetOf(fd) === undefined);
    await eventually(isClosed, { what: "two sockets to be closed" });
    await leavesNothingOpen(async () => {
      const [fd, other] = socketPair();
      const ends = { listener: new Listener(fd), master: new Recorder(other) };
      try {
        await body(ends);
      } finally {
        ends.listener.channel.close();
        ends.master.channel.close();
      }
    });
  });
}

test("delivers messages whole and in order, however many come at once", async ({ listener, master }) => {
  const services = [{ name: "x".repeat(100_000), type: "inet", address: "0:1", fd: 9 }] as const;
  const start = { type: "start", generation: 1, services, settings: { shared: [] } } as const;
  for (const message of [start, SOFTSTOP, SOFTSTOP]) master.channel.send(message);
  await listener.until(3);
  assertEquals(listener.told, [["start", []], ["softstop", []], ["softstop", []]]);
});

test("sends messages, the last one before it closes included", async ({ listener, master }) => {
  listener.channel.send(READY);
  listener.channel.send(READY);
  listener.channel.close();
  listener.channel.send(READY);
  await master.until(3);
  assertEquals(master.told, [
    { message: READY, fds: [] },
    { message: READY, fds: [] },
    { closed: undefined },
  ]);
});

test("tells a clean end of file, once, and nothing after its own close", async ({ listener, master }) => {
  master.channel.close();
  await listener.until(1);
  listener.channel.close();
  assertEquals(listener.told, [["closed", undefined]]);
});

test("says what is needed to receive descriptors", async ({ listener, master }) => {
  master.channel.send(SOFTSTOP, [ANY_FD, ANY_FD]);
  await listener.until(1);
  const [[, error]] = listener.told as [string, Error][];
  assert(error instanceof ProtocolError);
  assertMatch(
    error.message,
    /: 2 descriptors, expected to inherit them .*, since a server without --allow-ffi receives none$/,
  );
});

for (
  const [what, bytes, message] of [
    ["garbage", new Uint8Array(12).fill(1), /magic 0x101/],
    ["half a frame", encodeFrame(READY, 0).subarray(0, 20), /end of file in the middle of it/],
  ] as const
) {
  Deno.test(`StreamChannel refuses ${what}`, async () => {
    const [fd, other] = socketPair();
    const listener = new Listener(fd);
    sendWithFds(other, bytes);
    closeFd(other);
    await listener.until(1);
    const [[, error]] = listener.told as [string, Error][];
    assertMatch(error.message, message);
  });
}

Deno.test("StreamChannel passes over a message of a type that it does not know", async () => {
  const [fd, other] = socketPair();
  const listener = new Listener(fd);
  const unknown = encodeFrame(SOFTSTOP, 0);
  unknown[3] = 200;
  for (const frame of [unknown, encodeFrame(SOFTSTOP, 0)]) sendWithFds(other, frame);
  await listener.until(2);
  assertEquals(listener.told, [["unknown", 200], ["softstop", []]]);
  listener.channel.close();
  closeFd(other);
});
