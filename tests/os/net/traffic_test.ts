import { assertEquals, assertGreater, assertNotEquals } from "@std/assert";
import { endReceiving, OpenConnections, untakenBytes } from "../../../src/os/net/connections.ts";
import { pauseReading } from "../../../src/os/adopt/pause_reading.ts";
import { listenAddressOf } from "../../../src/os/net/socket.ts";
import { socketId, startCounting, type Traffic, trafficOf } from "../../../src/os/net/traffic.ts";
import { tcpPair, unixPair } from "../../server/conn_pairs.ts";
import { eventually, within } from "../../support/wait.ts";

/** The descriptor of the accepted end of a connection. */
function acceptedFd(conn: Deno.Conn): number {
  const address = listenAddressOf(conn.localAddr);
  const peer = conn.remoteAddr as Deno.NetAddr;
  const all = new OpenConnections().at(address);
  const found = address.kind === "unix"
    ? all[0]
    : all.find((one) => one.peer.endsWith(`:${peer.port}`));
  return found!.fd;
}

const counts = ({ received, sent, unread }: Traffic) => ({ received, sent, unread });

for (const kind of ["inet", "unix"] as const) {
  Deno.test(`trafficOf() counts the received and the unread bytes of a connection (${kind})`, async () => {
    using pair = await (kind === "inet" ? tcpPair() : unixPair());
    const { conn, peer } = pair, fd = acceptedFd(conn);
    startCounting(fd, kind);
    const sent = kind === "inet" ? 0 : undefined;
    assertEquals(counts(trafficOf(fd, kind)!), { received: 0, sent, unread: 0 });
    await peer.write(new Uint8Array(10));
    await eventually(() => trafficOf(fd, kind)!.unread === 10, { what: "10 bytes" });
    assertEquals(counts(trafficOf(fd, kind)!), { received: 10, sent, unread: 10 });
    assertEquals(await conn.read(new Uint8Array(4)), 4);
    assertEquals(counts(trafficOf(fd, kind)!), { received: 10, sent, unread: 6 });
    assertEquals(await conn.read(new Uint8Array(40)), 6);
    await peer.write(new Uint8Array(5));
    assertEquals(await conn.read(new Uint8Array(40)), 5);
    assertEquals(counts(trafficOf(fd, kind)!), { received: 15, sent, unread: 0 });
    await conn.write(new Uint8Array(7));
    if (kind === "unix") assertGreater(untakenBytes(fd), 0);
    assertEquals(await peer.read(new Uint8Array(40)), 7);
    await eventually(() => untakenBytes(fd) === 0, { what: "the answer to be taken" });
    if (kind === "inet") assertEquals(trafficOf(fd, kind)!.sent, 7);
  });

  Deno.test(`endReceiving() lets the owner write on, and read to the end of the received data (${kind})`, async () => {
    using pair = await (kind === "inet" ? tcpPair() : unixPair());
    const { conn, peer } = pair, fd = acceptedFd(conn);
    await peer.write(new Uint8Array(3));
    await eventually(() => trafficOf(fd, "inet")?.unread !== 0, { what: "3 bytes" });
    endReceiving(fd);
    assertEquals(await conn.read(new Uint8Array(8)), 3);
    assertEquals(await conn.read(new Uint8Array(8)), null);
    await conn.write(new Uint8Array(2));
    assertEquals(await peer.read(new Uint8Array(8)), 2);
  });

  Deno.test(`pauseReading() hides arriving data from the runtime until reading continues (${kind})`, async () => {
    using pair = await (kind === "inet" ? tcpPair() : unixPair());
    const { conn, peer } = pair, fd = acceptedFd(conn);
    // As a server does: it waits before anything comes.
    let count: number | null | undefined;
    const reading = conn.read(new Uint8Array(8)).then((read) => count = read);
    const readOn = pauseReading(fd)!;
    startCounting(fd, kind);
    await peer.write(new Uint8Array(3));
    await eventually(() => trafficOf(fd, kind)!.unread === 3, { what: "3 bytes" });
    await conn.write(new Uint8Array(2));
    assertEquals(await peer.read(new Uint8Array(8)), 2);
    assertEquals(count, undefined);
    readOn();
    assertEquals(await within(reading, { what: "the bytes" }), 3);
  });
}

Deno.test("trafficOf() returns the direction of the last data, and undefined for a closed connection", async () => {
  using pair = await tcpPair();
  const { conn, peer } = pair, fd = acceptedFd(conn);
  await peer.write(new Uint8Array(1));
  await conn.read(new Uint8Array(1));
  assertEquals(trafficOf(fd, "inet")!.last, "received");
  // More than one tick of the kernel later.
  await eventually(() => trafficOf(fd, "inet")!.quietMs! > 20, { what: "a tick" });
  await conn.write(new Uint8Array(1));
  assertEquals(trafficOf(fd, "inet")!.last, "sent");
  const id = socketId(fd);
  conn.close();
  assertNotEquals(socketId(fd), id);
});
