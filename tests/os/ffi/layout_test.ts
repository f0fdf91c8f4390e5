import { assertEquals, assertThrows } from "@std/assert";
import {
  decodeAddress,
  encodeEpollEvent,
  encodeInetAddress,
  encodeUnixAddress,
  EPOLL_EVENT_BYTES,
  EpollEvents,
  MAX_FDS_PER_MESSAGE,
  SocketMessage,
} from "../../../src/os/ffi/layout.ts";

Deno.test("encodeInetAddress() lays an IPv4 address out as sockaddr_in", () => {
  assertEquals(
    [...encodeInetAddress(new Uint8Array([127, 0, 0, 1]), 8080)],
    [2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
  );
});

Deno.test("encodeInetAddress() lays an IPv6 address out as sockaddr_in6, flow and scope 0", () => {
  const address = Uint8Array.from({ length: 16 }, (_, index) => index + 1);
  const bytes = encodeInetAddress(address, 65_535);
  assertEquals([...bytes.subarray(0, 8)], [10, 0, 0xff, 0xff, 0, 0, 0, 0]);
  assertEquals([...bytes.subarray(8, 24)], [...address]);
  assertEquals([...bytes.subarray(24)], [0, 0, 0, 0]);
});

Deno.test("decodeAddress() reads back what encodeInetAddress() made", () => {
  for (const length of [4, 16]) {
    const address = Uint8Array.from({ length }, (_, index) => 255 - index);
    for (const port of [0, 1, 255, 256, 65_535]) {
      assertEquals(decodeAddress(encodeInetAddress(address, port)), {
        family: "inet",
        address,
        port,
      });
    }
  }
});

Deno.test("decodeAddress() reads bytes that begin anywhere in their buffer", () => {
  const around = new Uint8Array(64);
  around.set(encodeInetAddress(new Uint8Array([10, 0, 0, 9]), 25), 7);
  assertEquals(decodeAddress(around.subarray(7, 23)), {
    family: "inet",
    address: new Uint8Array([10, 0, 0, 9]),
    port: 25,
  });
});

Deno.test("encodeUnixAddress() closes a path with NUL", () => {
  assertEquals([...encodeUnixAddress("/a")], [1, 0, 0x2f, 0x61, 0]);
});

Deno.test("encodeUnixAddress() adds no NUL to an abstract name", () => {
  assertEquals([...encodeUnixAddress("\0a")], [1, 0, 0, 0x61]);
});

Deno.test("encodeUnixAddress() takes 107 bytes and refuses 108, counted in UTF-8", () => {
  assertEquals(encodeUnixAddress("x".repeat(107)).length, 2 + 107 + 1);
  assertThrows(
    () => encodeUnixAddress("x".repeat(108)),
    RangeError,
    "108 bytes, expected at most 107",
  );
  // 36 characters of three bytes.
  assertThrows(() => encodeUnixAddress("あ".repeat(36)), RangeError, "108 bytes");
});

Deno.test("decodeAddress() reads back paths and abstract names", () => {
  for (const path of ["/run/a.sock", "a b", "ü", "x".repeat(107), "\0name", "\0with\0nul"]) {
    assertEquals(decodeAddress(encodeUnixAddress(path)), { family: "unix", path });
  }
});

Deno.test("decodeAddress() takes a unix address without a path for the empty path", () => {
  assertEquals(decodeAddress(new Uint8Array([1, 0])), { family: "unix", path: "" });
});

Deno.test("decodeAddress() ends a path at its NUL, and reads one that fills the structure", () => {
  const bytes = new Uint8Array(2 + 108);
  bytes.set([1, 0, 0x2f, 0x61, 0, 0x62]);
  assertEquals(decodeAddress(bytes), { family: "unix", path: "/a" });
  bytes.fill(0x7a, 2);
  assertEquals(decodeAddress(bytes), { family: "unix", path: "z".repeat(108) });
});

Deno.test("decodeAddress() names a family that it does not know, and none", () => {
  assertEquals(decodeAddress(new Uint8Array([16, 0, 1, 2])), { family: "other", number: 16 });
  assertEquals(decodeAddress(new Uint8Array()), { family: "other", number: 0 });
});

/** A message whose buffers have made-up addresses, and those buffers by their addresses. */
function messageWithFakeAddresses() {
  const buffers: BufferSource[] = [];
  const message = new SocketMessage((bytes) => {
    const known = buffers.indexOf(bytes);
    return BigInt(known >= 0 ? known : buffers.push(bytes) - 1) + 1000n;
  });
  const header = new DataView(message.header.buffer);
  const at = (offset: number) => buffers[Number(header.getBigUint64(offset, true) - 1000n)];
  return { message, header, at };
}

Deno.test("SocketMessage points msghdr at one buffer and at no name", () => {
  const { message, header, at } = messageWithFakeAddresses();
  const data = new Uint8Array([1, 2, 3]);
  message.prepare(data, []);
  assertEquals(message.header.length, 56);
  assertEquals(header.getBigUint64(0, true), 0n, "msg_name");
  assertEquals(header.getBigUint64(8, true), 0n, "msg_namelen");
  assertEquals(header.getBigUint64(24, true), 1n, "msg_iovlen");
  assertEquals(at(16), new BigUint64Array([1001n, 3n]), "msg_iov");
});

Deno.test("SocketMessage.prepare() has no control space without descriptors", () => {
  const { message, header } = messageWithFakeAddresses();
  message.prepare(new Uint8Array(1), [5]);
  message.prepare(new Uint8Array(1), []);
  assertEquals(header.getBigUint64(32, true), 0n, "msg_control");
  assertEquals(header.getBigUint64(40, true), 0n, "msg_controllen");
});

Deno.test("SocketMessage.prepare() lays descriptors out as one SCM_RIGHTS message", () => {
  for (const count of [1, 2, 252, MAX_FDS_PER_MESSAGE]) {
    const { message, header, at } = messageWithFakeAddresses();
    const fds = Array.from({ length: count }, (_, index) => index * 3);
    message.prepare(new Uint8Array(1), fds);

    const control = at(32) as Uint8Array<ArrayBuffer>;
    const view = new DataView(control.buffer);
    assertEquals(header.getBigUint64(40, true), BigInt(16 + Math.ceil(count / 2) * 8), "space");
    assertEquals(view.getBigUint64(0, true), BigInt(16 + count * 4), "cmsg_len");
    assertEquals([view.getInt32(8, true), view.getInt32(12, true)], [1, 1], "level and type");
    assertEquals([...new Int32Array(control.buffer, 16, count)], fds);
    assertEquals(message.receivedFds(), fds);
  }
});

Deno.test("SocketMessage.prepare() leaves room for 253 descriptors when receiving", () => {
  const { message, header, at } = messageWithFakeAddresses();
  message.prepare(new Uint8Array(1));
  assertEquals(header.getBigUint64(40, true), 16n + 1016n);
  assertEquals((at(32) as Uint8Array).length, 16 + 1016);
});

/** Puts control messages where the kernel would. */
function receiving(...messages: { level: number; type: number; fds: number[] }[]): SocketMessage {
  const { message, header, at } = messageWithFakeAddresses();
  message.prepare(new Uint8Array(1));
  const view = new DataView((at(32) as Uint8Array<ArrayBuffer>).buffer);
  let length = 0;
  for (const { level, type, fds } of messages) {
    view.setBigUint64(length, BigInt(16 + fds.length * 4), true);
    view.setInt32(length + 8, level, true);
    view.setInt32(length + 12, type, true);
    fds.forEach((fd, index) => view.setInt32(length + 16 + index * 4, fd, true));
    length += 16 + Math.ceil(fds.length / 2) * 8;
  }
  header.setBigUint64(40, BigInt(length), true);
  return message;
}

Deno.test("SocketMessage.receivedFds() collects over several control messages, and skips others", () => {
  const rights = { level: 1, type: 1 }, credentials = { level: 1, type: 2 };
  assertEquals(receiving().receivedFds(), []);
  assertEquals(
    receiving(
      { ...rights, fds: [7] },
      { ...credentials, fds: [1, 2, 3] },
      { ...rights, fds: [8, 9] },
    ).receivedFds(),
    [7, 8, 9],
  );
});

Deno.test("SocketMessage.receivedFds() ends at a control message without a length", () => {
  const message = receiving({ level: 1, type: 1, fds: [3] });
  new DataView(message.header.buffer).setBigUint64(40, 64n, true);
  assertEquals(message.receivedFds(), [3]);
});

Deno.test("SocketMessage.prepare() clears the flags of the call before", () => {
  const { message, header } = messageWithFakeAddresses();
  header.setInt32(48, 8, true);
  assertEquals(message.flags, 8);
  message.prepare(new Uint8Array(1));
  assertEquals(message.flags, 0);
});

Deno.test("encodeEpollEvent() is packed on x86-64 only", () => {
  const bytes = encodeEpollEvent(0x80000001, 0x0102030405060708n);
  const padding = Deno.build.arch === "x86_64" ? [] : [0, 0, 0, 0];
  assertEquals([...bytes], [1, 0, 0, 0x80, ...padding, 8, 7, 6, 5, 4, 3, 2, 1]);
});

Deno.test("EpollEvents has the mask and the halves of the word of each event", () => {
  const events = [
    { mask: 0x1, low: 0, high: 0 },
    { mask: 0xffffffff, low: 0xffffffff, high: 0xffffffff },
    { mask: 0x14, low: 42, high: 7 },
  ];
  const array = new EpollEvents(events.length);
  const bytes = new Uint8Array(array.room.buffer);
  events.forEach(({ mask, low, high }, index) =>
    bytes.set(
      encodeEpollEvent(mask, BigInt(high) << 32n | BigInt(low)),
      index * EPOLL_EVENT_BYTES,
    )
  );
  const read = events.map((_, index) => ({
    mask: array.mask(index),
    low: array.low(index),
    high: array.high(index),
  }));
  assertEquals(read, events);
});

Deno.test("EpollEvents.set() fills in the first event", () => {
  const { buffer } = new EpollEvents(1).set(0x80000001, 0x05060708, 0x01020304);
  assertEquals(new Uint8Array(buffer), encodeEpollEvent(0x80000001, 0x0102030405060708n));
});
