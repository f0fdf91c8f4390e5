import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { FrameReader } from "../../src/ipc/frame_reader.ts";
import type { Message } from "../../src/ipc/messages.ts";
import {
  encodeFrame,
  HEADER_BYTES,
  MASTER,
  MAX_PAYLOAD_BYTES,
  MAX_SMALL_PAYLOAD_BYTES,
  NEW_MASTER,
  OLD_MASTER,
  ProtocolError,
  type Sender,
  SERVER,
} from "../../src/ipc/protocol.ts";
import { sendWithFds } from "../../src/os/net/fd_passing.ts";
import { countedDescriptors, leavesNothingOpen } from "../support/descriptors.ts";
import { eventually } from "../support/wait.ts";
import { ANY_FD, Connection, frameOf, join, numbered } from "./channel_support.ts";

const UNKNOWN_TYPES: ReadonlyMap<Sender, number> = new Map([
  [MASTER, 64],
  [SERVER, 128],
  [OLD_MASTER, 192],
  [NEW_MASTER, 255],
]);

/** The header of a frame that need not follow. */
function header(
  { type, bytes = 0, fds = 0 }: { type: number; bytes?: number; fds?: number },
): Uint8Array<ArrayBuffer> {
  const frame = encodeFrame(undefined, fds);
  frame[3] = type;
  new DataView(frame.buffer).setUint32(4, bytes);
  return frame;
}

function refusal(
  sender: Sender,
  bytes: Uint8Array<ArrayBuffer>,
  fds: readonly number[] = [],
): string {
  const reader = new FrameReader(sender);
  reader.push(bytes, fds);
  return assertThrows(() => reader.next(), ProtocolError).message;
}

/** Each row of the table of bounds in docs/protocol.md that concerns a payload. */
const PAYLOADS: readonly (readonly [what: string, from: Sender, type: number, bytes: number])[] = [
  ["descriptors of a master", MASTER, 0, 0],
  ["start", MASTER, 1, MAX_PAYLOAD_BYTES.start],
  ["softstop", MASTER, 2, MAX_PAYLOAD_BYTES.softstop],
  ["watchdog", MASTER, 3, MAX_SMALL_PAYLOAD_BYTES],
  ["limits", MASTER, 4, MAX_SMALL_PAYLOAD_BYTES],
  ["standby", MASTER, 5, MAX_PAYLOAD_BYTES.standby],
  ["unknown type of a master", MASTER, 64, 1 << 20],
  ...[65, 66, 67, 68, 69, 70, 71, 128].map((type) =>
    [`type ${type} of a server`, SERVER, type, MAX_SMALL_PAYLOAD_BYTES] as const
  ),
  ["start of a server", SERVER, 1, MAX_SMALL_PAYLOAD_BYTES],
  ["inherit", OLD_MASTER, 129, MAX_PAYLOAD_BYTES.inherit],
  ["takeover", OLD_MASTER, 130, MAX_SMALL_PAYLOAD_BYTES],
  ["taken", NEW_MASTER, 194, MAX_PAYLOAD_BYTES.taken],
  ["proven", NEW_MASTER, 193, MAX_SMALL_PAYLOAD_BYTES],
  ["unknown type of a new master", NEW_MASTER, 255, MAX_SMALL_PAYLOAD_BYTES],
];

Deno.test("FrameReader takes a payload of each type up to its bound, and refuses a longer one by its header", () => {
  for (const [what, from, type, bytes] of PAYLOADS) {
    const reader = new FrameReader(from);
    reader.push(header({ type, bytes }));
    if (bytes > 0) assertEquals([reader.next(), reader.isCut], [undefined, true], what);
    assertEquals(
      refusal(from, header({ type, bytes: bytes + 1 })),
      `Cannot read a frame of type ${type}: ${bytes + 1} bytes, expected at most ${bytes}`,
      what,
    );
  }
});

Deno.test("FrameReader takes descriptors of a master alone, and at most 253 with a frame", () => {
  for (const from of [SERVER, NEW_MASTER]) {
    assertStringIncludes(
      refusal(from, header({ type: from.types.first, fds: 1 })),
      "1 descriptors, expected at most 0",
    );
    assertStringIncludes(refusal(from, header({ type: 0, fds: 1 })), "expected at most 0");
  }
  for (const from of [MASTER, OLD_MASTER]) {
    assertStringIncludes(refusal(from, header({ type: 0, fds: 254 })), "expected at most 253");
  }
});

Deno.test("FrameReader keeps no more descriptors for a frame than it names, finished or not", () => {
  const beginning = header({ type: 1, bytes: 100, fds: 2 });
  const reader = new FrameReader(MASTER);
  reader.push(beginning, [11, 12]);
  assertEquals(reader.next(), undefined);
  reader.push(new Uint8Array(1), [13]);
  assertThrows(() => reader.next(), ProtocolError, "1 descriptors more came than it names");
  assertEquals(reader.takeFds(), [11, 12, 13], "the owner closes them");
  assertEquals(reader.takeFds(), []);
});

Deno.test("FrameReader keeps descriptors of one frame at most while its header is not complete", () => {
  const reader = new FrameReader(MASTER);
  const half = header({ type: 1, bytes: 100, fds: 253 });
  reader.push(half.subarray(0, 5), Array(253).fill(9));
  assertEquals(reader.next(), undefined);
  reader.push(half.subarray(5, 6), [9]);
  assertThrows(() => reader.next(), ProtocolError, "1 descriptors more came than it names");
});

Deno.test("FrameReader bounds the descriptors that are ahead of one message", () => {
  const reader = new FrameReader({ ...MASTER, descriptors: 500 });
  const ahead = header({ type: 0, fds: 250 });
  for (let count = 0; count < 2; count++) reader.push(ahead, Array(250).fill(9));
  assertEquals(reader.next(), undefined);
  reader.push(ahead, Array(250).fill(9));
  assertThrows(
    () => reader.next(),
    ProtocolError,
    "750 descriptors for one message, expected at most 500",
  );
  assertEquals(reader.takeFds().length, 750);
});

Deno.test("FrameReader tells the first message of an unknown type, and passes over all", () => {
  for (const [sender, type] of UNKNOWN_TYPES) {
    const reader = new FrameReader(sender);
    // The start of a server is as unknown as any type of a later version.
    const wrongWay = sender === SERVER ? 1 : 65;
    for (let round = 0; round < 3; round++) {
      reader.push(header({ type }));
      reader.push(header({ type: wrongWay }));
    }
    const unknown = Array.from({ length: 6 }, () => reader.next()?.unknown);
    assertEquals(unknown, [type, ...Array(5).fill(undefined)]);
    assertEquals([reader.next(), reader.isCut], [undefined, false]);
  }
});

Deno.test("FrameReader reads on after a long frame, whatever its pieces were", () => {
  const long: Message = {
    type: "taken",
    dropped: Array.from({ length: 20_000 }, (_, index) => `inet:127.0.0.1:${index}`),
  };
  const bytes = new Uint8Array([...encodeFrame(long, 0), ...encodeFrame({ type: "proven" }, 0)]);
  for (const size of [7_000, 65_536, bytes.length]) {
    const reader = new FrameReader(NEW_MASTER);
    const messages: (Message | undefined)[] = [];
    for (let at = 0; at < bytes.length; at += size) {
      reader.push(bytes.slice(at, at + size));
      for (let next; (next = reader.next()) !== undefined;) messages.push(next.message);
    }
    assertEquals(messages, [long, { type: "proven" }]);
    assertEquals(reader.isCut, false);
  }
});

for (const [name, sender] of Object.entries({ SERVER, NEW_MASTER })) {
  Deno.test(`Channel of a ${name} ends with the first descriptor, of which none is made`, async () => {
    await leavesNothingOpen(async () => {
      const connection = new Connection(sender);
      const frame = header({ type: sender.types.first, bytes: 1_000 });
      // What came before is delivered.
      if (sender === SERVER) connection.write(frameOf(numbered(1)));
      connection.write(frame);
      await connection.settle();
      const before = countedDescriptors().size;
      const most: number[] = [];
      for (let count = 0; count < 4; count++) {
        try {
          sendWithFds(connection.peer, new Uint8Array(1), Array(250).fill(ANY_FD));
        } catch {
          break; // The channel is closed.
        }
        await connection.settle();
        most.push(countedDescriptors().size);
      }
      assert(Math.max(...most) <= before, `${most} descriptors, before ${before}`);
      await eventually(() => !connection.recorder.channel.isOpen, { what: "the end" });
      const last = connection.recorder.told.at(-1)!;
      assert("closed" in last);
      assertInstanceOf(last.closed, RangeError);
      assertEquals(
        last.closed.message,
        "Cannot receive a message: descriptors came with it, expected none",
      );
      assertEquals(connection.recorder.told.length, sender === SERVER ? 2 : 1);
      connection.close();
    });
  });
}

Deno.test("Channel of a server tells one of a thousand unknown messages", async () => {
  await leavesNothingOpen(async () => {
    const connection = new Connection(SERVER);
    const frame = header({ type: 120 });
    connection.write(join(...Array.from({ length: 1_000 }, () => frame), frameOf(numbered(1))));
    await connection.recorder.until(2);
    assertEquals(connection.recorder.told[0], { unknown: 120 });
    assertEquals(connection.recorder.messages, [numbered(1)]);
    assertEquals(frame.length, HEADER_BYTES);
    connection.close();
  });
});

Deno.test("Channel of a master keeps no descriptors of a frame that is not finished beyond its own", async () => {
  await leavesNothingOpen(async () => {
    const connection = new Connection(MASTER);
    connection.write(header({ type: 1, bytes: 1_000, fds: 1 }), [ANY_FD]);
    await connection.settle();
    connection.write(new Uint8Array(1), Array(250).fill(ANY_FD));
    await connection.recorder.until(1);
    const [told] = connection.recorder.told;
    assert("closed" in told && told.closed instanceof ProtocolError);
    assertStringIncludes(told.closed.message, "250 descriptors more came than it names");
    connection.close();
  });
});

Deno.test("encodeFrame() keeps to the bounds of each type", () => {
  const settings = { shared: [["key", "x".repeat(MAX_PAYLOAD_BYTES.standby)]] } as const;
  assertThrows(
    () => encodeFrame({ type: "standby", generation: 1, settings }, 0),
    ProtocolError,
    `expected at most ${MAX_PAYLOAD_BYTES.standby}`,
  );
  const dropped = Array.from({ length: 60_000 }, (_, index) => `inet:127.0.0.1:${index}`);
  assert(encodeFrame({ type: "taken", dropped }, 0).length > MAX_PAYLOAD_BYTES.start);
});
