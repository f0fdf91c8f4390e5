import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { bindDatagram } from "../../src/os/net/bound_datagram.ts";
import { DatagramSender } from "../../src/os/net/datagram.ts";
import { closeFd } from "../../src/os/fd/descriptor.ts";
import { SysError } from "../../src/os/ffi/errors.ts";
import { leavesNothingOpen } from "../support/descriptors.ts";
import { TempDir } from "../support/temp.ts";
import { within } from "../support/wait.ts";
import { LogReceiver } from "./log_receiver.ts";

const encoder = new TextEncoder();

function datagrams(count: number, size = 0): Uint8Array<ArrayBuffer>[] {
  return Array.from({ length: count }, (_, index) => encoder.encode(`${index}`.padEnd(size, "x")));
}

/** Fills the receiver's queue and returns how many that takes. */
function fill(sender: DatagramSender): number {
  let count = 0;
  while (sender.send(encoder.encode("fill")) !== undefined) count++;
  return count;
}

for (const [count, size] of [[1, 0], [600, 5], [100, 10_000], [3, 90_000]] as const) {
  Deno.test(`DatagramSender.sendWaiting() sends ${count} datagrams of ${size} bytes in order`, async () => {
    await leavesNothingOpen(async () => {
      using dir = new TempDir();
      using receiver = new LogReceiver(dir.file("log"));
      const sender = DatagramSender.connect(dir.file("log"));
      const filled = fill(sender);
      let left = datagrams(count, size);
      const sent = (async () => {
        while (left.length > 0) left = left.slice(await sender.sendWaiting(left));
      })();
      const texts = await receiver.takeUntil((texts) => texts.length === filled + count);
      await sent;
      sender.close();
      const wanted = datagrams(count, size).map((bytes) =>
        new TextDecoder().decode(bytes.subarray(0, 20_000))
      );
      assertEquals(texts.slice(filled), wanted);
    });
  });
}

Deno.test("DatagramSender.sendWaiting() copies what it sends", async () => {
  using dir = new TempDir();
  using receiver = new LogReceiver(dir.file("log"));
  const sender = DatagramSender.connect(dir.file("log"));
  const filled = fill(sender);
  const data = encoder.encode("right");
  const sent = sender.sendWaiting([data]);
  data.fill(0x21);
  const texts = await receiver.takeUntil((texts) => texts.length > filled);
  assertEquals([texts.at(-1), await sent], ["right", 1]);
  sender.close();
});

Deno.test("DatagramSender.sendWaiting() does one thing at a time", async () => {
  using dir = new TempDir();
  using receiver = new LogReceiver(dir.file("log"));
  const sender = DatagramSender.connect(dir.file("log"));
  const sent = sender.sendWaiting(datagrams(1));
  assertThrows(() => sender.sendWaiting(datagrams(1)), Error, "Cannot send from a thread");
  assertEquals(await sent, 1);
  sender.close();
  assertEquals(receiver.take(), ["0"]);
});

Deno.test("DatagramSender.sendWaiting() comes back when nobody reads, and keeps to its socket", async () => {
  await leavesNothingOpen(async () => {
    using dir = new TempDir();
    using receiver = new LogReceiver(dir.file("log"));
    const sender = DatagramSender.connect(dir.file("log"));
    const filled = fill(sender);
    const sent = sender.sendWaiting(datagrams(5));
    assertEquals(sender.finish(10), { sent: 0, isOver: false });
    sender.close();
    // Were it closed by now, this would get its number, and the thread would send there.
    const other = bindDatagram(dir.file("other"));
    assertEquals(await within(sent, { what: "the thread" }), 0);
    closeFd(other.fd);
    assertEquals(receiver.take().length, filled);
  });
});

Deno.test("DatagramSender.sendWaiting() comes back when the receiver goes away", async () => {
  await leavesNothingOpen(async () => {
    using dir = new TempDir();
    const receiver = new LogReceiver(dir.file("log"));
    const sender = DatagramSender.connect(dir.file("log"));
    fill(sender);
    const sent = sender.sendWaiting(datagrams(5));
    receiver[Symbol.dispose]();
    assertEquals(await within(sent, { what: "the thread" }), 0);
    const error = assertThrows(() => sender.send(encoder.encode("x")), SysError);
    // The thread has had the ECONNREFUSED, with which the kernel takes the connection back.
    assertMatch(error.code, /^(ENOTCONN|ECONNREFUSED)$/);
    sender.close();
  });
});

Deno.test("DatagramSender.finish() waits, blocking, for what the thread still sends", () => {
  using dir = new TempDir();
  using receiver = new LogReceiver(dir.file("log"));
  const sender = DatagramSender.connect(dir.file("log"));
  assertEquals(sender.finish(1_000), { sent: 0, isOver: true });
  sender.sendWaiting(datagrams(3));
  assertEquals(sender.finish(5_000), { sent: 3, isOver: true });
  assertEquals(receiver.take(), ["0", "1", "2"]);
  sender.close();
});

Deno.test("DatagramSender.connect() tells why there is nobody", () => {
  using dir = new TempDir();
  const path = dir.file("nothing");
  const error = assertThrows(() => DatagramSender.connect(path), SysError);
  assertEquals(error.message, `connect "${path}": no such file or directory (ENOENT)`);
  assertThrows(() => DatagramSender.connect(`/${"x".repeat(200)}`), RangeError);
});

Deno.test("bindDatagram() removes an old socket and leaves nothing open when it fails", async () => {
  await leavesNothingOpen(() => {
    using dir = new TempDir();
    const first = bindDatagram(dir.file("log"));
    assertThrows(() => bindDatagram(dir.file("log")), SysError, "EADDRINUSE");
    closeFd(first.fd);
    const second = bindDatagram(dir.file("log"));
    assertEquals(Deno.lstatSync(dir.file("log")).ino, second.socketFile.ino);
    const error = assertThrows(() => bindDatagram(dir.path), TypeError);
    assertMatch(error.message, /^Cannot bind ".*": found a file of another kind/);
    closeFd(second.fd);
  });
});
