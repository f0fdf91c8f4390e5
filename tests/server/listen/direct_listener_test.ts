import { assert, assertEquals, assertThrows } from "@std/assert";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { pipe, shutdownSocket } from "../../../src/os/net/socket.ts";
import { receiveNow, sendNow } from "../../../src/os/net/stream.ts";
import type { ConnEnds } from "../../../src/server/backend/fd_conn.ts";
import { acceptStatistics } from "../../../src/server/listen/accept_counts.ts";
import { DirectListener } from "../../../src/server/listen/direct_listener.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { TempDir } from "../../support/temp.ts";
import { eventually, within } from "../../support/wait.ts";
import { connectTo, inetSocket, type ServiceSocket, unixSocket } from "../service_sockets.ts";
import { connectRaw } from "../raw_client.ts";

interface Accepted extends ConnEnds {
  readonly fd: number;
}

/** A listener whose connections are kept. Declare it with `using`. */
function listenDirectly({ fd, fdType }: ServiceSocket) {
  const accepted: Accepted[] = [];
  const listener = new DirectListener(fd, fdType, (fd, ends) => accepted.push({ fd, ...ends }));
  return {
    listener,
    accepted,
    [Symbol.dispose]() {
      listener.close();
      for (const { fd } of accepted) closeFd(fd);
    },
  };
}

Deno.test("DirectListener tells both ends of its connections, as the runtime does", () =>
  leavesNothingOpen(async () => {
    for (const hostname of ["127.0.0.1", "::1", "0.0.0.0"]) {
      const socket = inetSocket(hostname);
      using open = listenDirectly(socket);
      const at = hostname === "0.0.0.0" ? "127.0.0.1" : hostname;
      using client = await Deno.connect({ hostname: at, port: socket.port });
      await eventually(() => open.accepted.length === 1, { what: "a connection" });
      const { localAddr, remoteAddr, fd } = open.accepted[0]!;
      assertEquals([localAddr, remoteAddr], [client.remoteAddr, client.localAddr]);
      assertEquals(sendNow(fd, new Uint8Array([1])), 1);
      assertEquals(await client.read(new Uint8Array(9)), 1);
    }
    using dir = new TempDir();
    const socket = unixSocket(dir.file("socket"));
    using open = listenDirectly(socket);
    using _client = await connectTo(socket);
    await eventually(() => open.accepted.length === 1, { what: "a connection" });
    const { localAddr, remoteAddr } = open.accepted[0]!;
    assertEquals(localAddr, socket.addr);
    assertEquals(remoteAddr.transport, "unix");
  }));

Deno.test("DirectListener accepts all that come at once, and counts them", () =>
  leavesNothingOpen(async () => {
    const socket = inetSocket();
    using open = listenDirectly(socket);
    const clients = Array.from({ length: 300 }, () => connectRaw(socket.port));
    await eventually(() => open.accepted.length === 300, { what: "all connections" });
    const found = acceptStatistics().findLast(({ address }) => address.endsWith(`:${socket.port}`));
    assertEquals([found?.accepted, found?.open], [300, 300]);
    clients.forEach((client) => client.reset());
  }));

Deno.test("DirectListener may be closed by what it serves, and accepts nothing more then", () =>
  leavesNothingOpen(async () => {
    const socket = inetSocket();
    const clients = Array.from({ length: 3 }, () => connectRaw(socket.port));
    const served = Promise.withResolvers<void>();
    let count = 0;
    const listener = { close: () => {} };
    const open = new DirectListener(socket.fd, "inet", (fd) => {
      count++;
      closeFd(fd);
      listener.close();
      listener.close();
      served.resolve();
    });
    listener.close = () => open.close();
    await within(served.promise, { what: "a connection" });
    await new Promise((resolve) => setTimeout(resolve, 20));
    assertEquals(count, 1);
    clients.forEach((client) => client.reset());
  }));

Deno.test("DirectListener can be closed at once, before it has begun", () =>
  leavesNothingOpen(async () => {
    const socket = inetSocket();
    new DirectListener(socket.fd, "inet", () => assert(false, "called")).close();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }));

Deno.test("DirectListener survives that its socket is shut down by another process", async () => {
  const socket = inetSocket();
  using open = listenDirectly(socket);
  const client = connectRaw(socket.port);
  await eventually(() => open.accepted.length === 1, { what: "a connection" });
  shutdownSocket(socket.fd);
  // Its errors lead to pauses, in which the hang-up is not told again and again.
  const errors = () =>
    acceptStatistics().findLast(({ address }) => address.endsWith(`:${socket.port}`))?.errors ?? 0;
  await eventually(() => errors() >= 2, { what: "errors of accept" });
  client.reset();
  await eventually(() => receiveNow(open.accepted[0]!.fd, new Uint8Array(1)) !== -11, {
    what: "the end of the other connection",
  });
});

Deno.test("DirectListener refuses what is no listening socket", () =>
  leavesNothingOpen(() => {
    const [read, write] = pipe();
    assertThrows(() => new DirectListener(read, "fifo", () => {}), TypeError, "a fifo");
    assertThrows(() => new DirectListener(read, "inet", () => {}), TypeError, "listening");
    [read, write].forEach(closeFd);
  }));
