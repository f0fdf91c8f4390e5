import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  adoptedDescriptor,
  AdoptError,
  adoptInto,
  adoptListener,
  releaseAdopted,
} from "../../../src/os/adopt/listener.ts";
import { closeFd, openDescriptors, setCloseOnExec } from "../../../src/os/fd/descriptor.ts";
import { encodeInetAddress } from "../../../src/os/ffi/layout.ts";
import { libc, unwrap } from "../../../src/os/ffi/libc.ts";
import {
  describeListener,
  type ListenAddress,
  listeningAt,
  socketPair,
} from "../../../src/os/net/socket.ts";
import { openListener } from "../../../src/os/net/open_listener.ts";
import { flagsOf, leavesNothingOpen } from "../../support/descriptors.ts";
import { startFunction } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";
import { TEST_CERT, TEST_KEY } from "../../support/tls.ts";
import { within } from "../../support/wait.ts";

function openInet(hostname = "127.0.0.1"): { fd: number; port: number } {
  const { fd } = openListener({ kind: "inet", hostname, port: 0 });
  const found = describeListener(fd);
  assert(found.kind === "inet");
  return { fd, port: found.port };
}

function listenThrowaway(): Deno.Listener {
  return Deno.listen({ hostname: "127.0.0.1", port: 0 });
}

function serveThrowaway(): Deno.HttpServer {
  const options = { hostname: "127.0.0.1", port: 0, onListen() {} };
  return Deno.serve(options, () => new Response("hello"));
}

/** Sends a byte through a listener, both ways. */
async function exchange(listener: Deno.Listener, connecting: Promise<Deno.Conn>): Promise<void> {
  const [client, server] = await within(Promise.all([connecting, listener.accept()]), {
    what: "a connection",
  });
  await client.write(new Uint8Array([7]));
  const room = new Uint8Array(8);
  assertEquals(await server.read(room), 1);
  await server.write(room.subarray(0, 1));
  assertEquals(await client.read(room), 1);
  assertEquals(room[0], 7);
  client.close();
  server.close();
}

Deno.test("adoptListener() serves an inherited IPv4 listener", async () => {
  await leavesNothingOpen(async () => {
    const { fd, port } = openInet();
    const listener = adoptListener(fd);
    for (let round = 0; round < 5; round++) await exchange(listener, Deno.connect({ port }));
    listener.close();
    closeFd(fd);
  });
});

Deno.test("adoptListener() serves an inherited IPv6 listener", async () => {
  await leavesNothingOpen(async () => {
    const { fd, port } = openInet("::1");
    const listener = adoptListener(fd);
    await exchange(listener, Deno.connect({ hostname: "::1", port }));
    listener.close();
    closeFd(fd);
  });
});

Deno.test("adoptListener() serves an inherited unix listener, and its close leaves the path", async () => {
  using temp = new TempDir();
  const path = temp.file("s");
  await leavesNothingOpen(async () => {
    const { fd } = openListener({ kind: "unix", path });
    for (let round = 0; round < 3; round++) {
      const listener = adoptListener(fd);
      await exchange(listener, Deno.connect({ transport: "unix", path }));
      listener.close();
      assert(Deno.lstatSync(path).isSocket);
    }
    closeFd(fd);
  });
});

Deno.test("adoptListener() serves who was in the queue before", async () => {
  await leavesNothingOpen(async () => {
    const { fd, port } = openInet();
    const clients = [await Deno.connect({ port }), await Deno.connect({ port })];
    const listener = adoptListener(fd);
    for (const client of clients) await exchange(listener, Promise.resolve(client));
    listener.close();
    closeFd(fd);
  });
});

Deno.test("adoptListener() gives a listener whose close leaves the inherited one open", async () => {
  await leavesNothingOpen(async () => {
    const { fd, port } = openInet();
    const first = adoptListener(fd);
    const pending = assertRejects(() => first.accept());
    first.close();
    await within(pending, { what: "the end of a pending accept" });

    const client = await Deno.connect({ port });
    const second = adoptListener(fd);
    await exchange(second, Promise.resolve(client));
    second.close();
    closeFd(fd);
    await assertRejects(() => Deno.connect({ port }), Deno.errors.ConnectionRefused);
  });
});

Deno.test("adoptListener() gives a listener that goes on when the inherited one is closed", async () => {
  await leavesNothingOpen(async () => {
    const { fd, port } = openInet();
    const listener = adoptListener(fd);
    closeFd(fd);
    await exchange(listener, Deno.connect({ port }));
    listener.close();
  });
});

Deno.test("adoptListener() keeps what it makes from the programs that are started", async () => {
  await leavesNothingOpen(() => {
    const { fd } = openInet();
    setCloseOnExec(fd, false);
    const before = openDescriptors();
    const listener = adoptListener(fd);
    const made = [...openDescriptors().keys()].filter((fd) => !before.has(fd));
    assertEquals(made.map((fd) => flagsOf(fd).closeOnExec), [true]);
    assertEquals(flagsOf(fd).closeOnExec, false);
    listener.close();
    closeFd(fd);
  });
});

Deno.test("adoptListener() makes a listener non-blocking that somebody has made blocking", async () => {
  await leavesNothingOpen(async () => {
    const { fd, port } = openInet();
    const F_SETFL = 4;
    unwrap({ syscall: "fcntl" }, () => libc().fcntl(fd, F_SETFL, 0));
    assertEquals(flagsOf(fd).nonblocking, false);
    const listener = adoptListener(fd);
    assertEquals(flagsOf(fd).nonblocking, true);
    await exchange(listener, Deno.connect({ port }));
    listener.close();
    closeFd(fd);
  });
});

Deno.test("adoptInto() serves HTTP with Deno.serve", async () => {
  await leavesNothingOpen(async () => {
    const { fd, port } = openInet();
    const server = adoptInto(fd, serveThrowaway);
    using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
    for (let round = 0; round < 3; round++) {
      const response = await fetch(`http://127.0.0.1:${port}/`, { client });
      assertEquals(await response.text(), "hello");
    }
    await server.shutdown();
    const later = await Deno.connect({ port });
    later.close();
    closeFd(fd);
  });
});

Deno.test("adoptInto() serves TLS with Deno.listenTls", async () => {
  await leavesNothingOpen(async () => {
    const { fd, port } = openInet();
    const listener = adoptInto(
      fd,
      () => Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert: TEST_CERT, key: TEST_KEY }),
    );
    const options = { hostname: "localhost", port, caCerts: [TEST_CERT] };
    await exchange(listener, Deno.connectTls(options));
    listener.close();
    closeFd(fd);
  });
});

/** Makes a connection and resets it at once: SO_LINGER with no time (socket(7)). */
function connectAndReset(port: number): void {
  const SOL_SOCKET = 1, SO_LINGER = 13, AF_INET = 2, SOCK_STREAM = 1;
  const fd = unwrap({ syscall: "socket" }, () => libc().socket(AF_INET, SOCK_STREAM, 0));
  const address = encodeInetAddress(new Uint8Array([127, 0, 0, 1]), port);
  unwrap({ syscall: "connect" }, () => libc().connect(fd, address, address.length));
  const linger = new Int32Array([1, 0]);
  unwrap(
    { syscall: "setsockopt" },
    () => libc().setsockopt(fd, SOL_SOCKET, SO_LINGER, linger, linger.byteLength),
  );
  closeFd(fd);
}

Deno.test("adoptListener() gives a listener that outlives a reset in its queue", async () => {
  await leavesNothingOpen(async () => {
    const { fd, port } = openInet();
    connectAndReset(port);
    const listener = adoptListener(fd);
    connectAndReset(port);
    const client = await Deno.connect({ port });
    const local = client.localAddr as Deno.NetAddr;
    for (let attempt = 0;; attempt++) {
      const conn = await within(listener.accept().catch((error: Error) => error), {
        what: "a connection or an error",
      });
      if (conn instanceof Error) {
        assert(attempt < 2, `the third in the queue is sound: ${conn}`);
        continue;
      }
      const remote = conn.remoteAddr as Deno.NetAddr;
      conn.close();
      if (remote.port === local.port) break;
    }
    await exchange(listener, Deno.connect({ port }));
    client.close();
    listener.close();
    closeFd(fd);
  });
});

Deno.test("adoptListener() lets two processes accept on one listener", async () => {
  const { fd, port } = openInet();
  const startAcceptor = () =>
    startFunction(import.meta, async (fd) => {
      const { adoptListener } = await import("../../../src/os/adopt/listener.ts");
      const { untilInputCloses } = await import("../../support/processes.ts");
      const listener = adoptListener(fd);
      console.log("adopted");
      const conn = await listener.accept();
      // It accepts no more, but its listener stays open: the other one gets what comes next.
      await conn.write(new TextEncoder().encode(String(Deno.pid)));
      conn.close();
      await untilInputCloses();
    }, { arg: fd });
  setCloseOnExec(fd, false);
  await using one = startAcceptor();
  await using two = startAcceptor();
  setCloseOnExec(fd, true);
  assertEquals([await one.nextLine(), await two.nextLine()], ["adopted", "adopted"]);

  const answers: number[] = [];
  for (let round = 0; round < 2; round++) {
    const conn = await Deno.connect({ port });
    const text = within(new Response(conn.readable).text(), { what: "an answer" });
    answers.push(Number(await text));
  }
  assertEquals(answers.sort(), [one.pid, two.pid].sort());
  for (const acceptor of [one, two]) {
    await acceptor.closeInput();
    await acceptor.succeeds();
  }
  closeFd(fd);
});

/** That an attempt failed without a trace: the descriptor can still be adopted. */
async function isStillAdoptable(fd: number, port: number): Promise<void> {
  const listener = adoptListener(fd);
  await exchange(listener, Deno.connect({ port }));
  listener.close();
}

Deno.test("adoptInto() puts the socket in place as soon as it is told where the listener is", async () => {
  await leavesNothingOpen(async () => {
    const { fd, port } = openInet();
    let connected: Promise<Deno.Conn> | undefined;
    const listener = adoptInto(fd, (adoptAt) => {
      const made = listenThrowaway();
      const { hostname, port: throwaway } = made.addr as Deno.NetAddr;
      adoptAt({ kind: "inet", hostname, port: throwaway });
      // The address has no listener any more.
      connected = Deno.connect({ hostname, port: throwaway });
      return made;
    });
    await assertRejects(() => connected!, Deno.errors.ConnectionRefused);
    await exchange(listener, Deno.connect({ port }));
    listener.close();
    closeFd(fd);
  });
});

Deno.test("adoptInto() that is told of a listener which is none refuses when the function has returned", async () => {
  await leavesNothingOpen(() => {
    const { fd } = openInet();
    const create = (adoptAt: (address: ListenAddress) => void) => {
      adoptAt({ kind: "inet", hostname: "127.0.0.1", port: 1 });
      return listenThrowaway();
    };
    assertThrows(() => adoptInto(fd, create), AdoptError, "no descriptor listens on 127.0.0.1:1");
    closeFd(fd);
  });
});

Deno.test("adoptInto() refuses a listener that no descriptor is found for, and closes it", async () => {
  await leavesNothingOpen(async () => {
    const { fd, port } = openInet();
    const made = listenThrowaway();
    const addr: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
    Object.defineProperty(made, "addr", { value: addr });
    const error = assertThrows(() => adoptInto(fd, () => made), AdoptError);
    assertEquals(
      error.message,
      "Cannot adopt a listener: no descriptor listens on 127.0.0.1:1, expected that of the runtime",
    );
    await assertRejects(() => made.accept(), Deno.errors.BadResource);
    await isStillAdoptable(fd, port);
    closeFd(fd);
  });
});

Deno.test("adoptInto() takes the listener that was returned, whatever else was opened", async () => {
  await leavesNothingOpen(async () => {
    const { fd, port } = openInet();
    let other: Deno.Listener | undefined;
    const listener = adoptInto(fd, () => {
      other = listenThrowaway();
      return listenThrowaway();
    });
    await exchange(listener, Deno.connect({ port }));
    assert(other?.addr.transport === "tcp");
    await exchange(other, Deno.connect({ port: other.addr.port }));
    other.close();
    listener.close();
    closeFd(fd);
  });
});

/** How often all descriptors of this process are looked at meanwhile. */
function countListings(body: () => void): number {
  const readDirSync = Deno.readDirSync;
  let count = 0;
  Deno.readDirSync = (path) => {
    if (path === "/proc/self/fd") count++;
    return readDirSync(path);
  };
  try {
    body();
  } finally {
    Deno.readDirSync = readDirSync;
  }
  return count;
}

Deno.test("adoptListener() does not look at all descriptors for each of many listeners", async () => {
  await leavesNothingOpen(async () => {
    const COUNT = 100;
    const opened = Array.from({ length: COUNT }, () => openInet());
    const listeners: Deno.Listener[] = [];
    const listings = countListings(() => {
      for (const { fd } of opened) listeners.push(adoptListener(fd));
    });
    // Once to find the epoll instance, and for each number that another thread has taken just then.
    assertLess(listings, COUNT / 10);
    for (const [index, { port }] of opened.entries()) {
      await exchange(listeners[index], Deno.connect({ port }));
    }
    listeners.forEach((listener) => listener.close());
    opened.forEach(({ fd }) => closeFd(fd));
  });
});

Deno.test("releaseAdopted() closes the socket at once, and does not look at all descriptors for it", async () => {
  await leavesNothingOpen(async () => {
    const { fd, port } = openInet();
    const listener = adoptListener(fd);
    await exchange(listener, Deno.connect({ port }));
    const accepting = assertRejects(() => listener.accept(), Deno.errors.BadResource);
    const target = adoptedDescriptor(listener)!;
    assertEquals(listeningAt(target), { kind: "inet", hostname: "127.0.0.1", port });
    assertEquals(countListings(() => assert(releaseAdopted(listener))), 0);
    assertEquals(listeningAt(target), undefined);
    assertEquals(adoptedDescriptor(listener), undefined);
    assertEquals(releaseAdopted(listener), false, "closed twice");
    const client = await Deno.connect({ port });
    // The connection stays pending until the socket is adopted again.
    const second = adoptListener(fd);
    await exchange(second, Promise.resolve(client));
    closeFd(fd);
    releaseAdopted(second);
    await assertRejects(() => Deno.connect({ port }), Deno.errors.ConnectionRefused);
    listener.close();
    await accepting;
    second.close();
  });
});

Deno.test("releaseAdopted() closes the socket under Deno.serve, whose connections stay", async () => {
  await leavesNothingOpen(async () => {
    const { fd, port } = openInet();
    const server = adoptInto(fd, serveThrowaway);
    closeFd(fd);
    const client = await Deno.connect({ port });
    const ask = async () => {
      await client.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
      const room = new Uint8Array(1024);
      return new TextDecoder().decode(room.subarray(0, await client.read(room) ?? 0));
    };
    assertMatch(await ask(), /^HTTP\/1\.1 200/);
    assert(releaseAdopted(server));
    await assertRejects(() => Deno.connect({ port }), Deno.errors.ConnectionRefused);
    assertMatch(await ask(), /^HTTP\/1\.1 200/);
    client.close();
    await server.shutdown();
  });
});

Deno.test("releaseAdopted() does not affect a listener that has the number of a closed one", async () => {
  await leavesNothingOpen(async () => {
    const { fd } = openInet();
    const closed = adoptListener(fd);
    closed.close();
    const other = openInet();
    const next = adoptListener(other.fd);
    assertEquals(releaseAdopted(closed), false);
    await exchange(next, Deno.connect({ port: other.port }));
    next.close();
    closeFd(other.fd);
    closeFd(fd);
  });
});

Deno.test("adoptInto() refuses a listener of another kind, and closes it", async () => {
  using temp = new TempDir();
  await leavesNothingOpen(async () => {
    const path = temp.file("s");
    const { fd } = openListener({ kind: "unix", path });
    const error = assertThrows(() => adoptInto(fd, listenThrowaway), AdoptError);
    assertEquals(
      error.message,
      "Cannot adopt a listener: the runtime made one of kind inet, expected unix",
    );
    const listener = adoptListener(fd);
    await exchange(listener, Deno.connect({ transport: "unix", path }));
    listener.close();
    closeFd(fd);
  });
});

Deno.test("adoptInto() refuses a listener that the runtime has not registered", async () => {
  await leavesNothingOpen(async () => {
    const { fd, port } = openInet();
    // A raw listener is in no epoll instance.
    const byHand = openInet();
    const made = listenThrowaway();
    const addr: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: byHand.port };
    Object.defineProperty(made, "addr", { value: addr });
    const create = () => made;
    assertThrows(() => adoptInto(fd, create), AdoptError, "is in no epoll instance");
    await isStillAdoptable(fd, port);
    closeFd(byHand.fd);
    closeFd(fd);
  });
});

Deno.test("adoptInto() passes on what the function throws", async () => {
  await leavesNothingOpen(async () => {
    const { fd, port } = openInet();
    const create = () => {
      throw new RangeError("no");
    };
    assertThrows(() => adoptInto(fd, create), RangeError, "no");
    await isStillAdoptable(fd, port);
    closeFd(fd);
  });
});

Deno.test("adoptListener() refuses what is no listening socket, before it makes anything", async () => {
  using temp = new TempDir();
  await leavesNothingOpen(() => {
    const { fd: pipe } = openListener({ kind: "fifo", path: temp.file("pipe") });
    const [one, two] = socketPair();
    assertThrows(() => adoptListener(pipe), TypeError, "a named pipe, expected a listening socket");
    assertThrows(() => adoptListener(one), TypeError, "expected a listening stream socket");
    assertThrows(() => adoptListener(1_000_000), Deno.errors.NotFound);
    let called = false;
    const create = () => {
      called = true;
      return listenThrowaway();
    };
    assertThrows(() => adoptInto(pipe, create), TypeError);
    assertEquals(called, false);
    [pipe, one, two].forEach(closeFd);
  });
});

Deno.test("adoptInto() is not misled by sockets of other threads", async () => {
  await using child = startFunction(import.meta, async () => {
    const { adoptListener } = await import("../../../src/os/adopt/listener.ts");
    const { closeFd } = await import("../../../src/os/fd/descriptor.ts");
    const { openListener } = await import("../../../src/os/net/open_listener.ts");
    // Listeners and connections that come and go, as fast as it can.
    const busy = `
      postMessage("busy");
      for (;;) {
        const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
        const { port } = listener.addr;
        const [client, server] = await Promise.all([Deno.connect({ port }), listener.accept()]);
        client.close();
        server.close();
        listener.close();
      }`;
    const worker = new Worker(URL.createObjectURL(new Blob([busy])), { type: "module" });
    await new Promise((resolve) => worker.onmessage = resolve);
    for (let round = 0; round < 200; round++) {
      const { fd } = openListener({ kind: "inet", hostname: "127.0.0.1", port: 0 });
      adoptListener(fd).close();
      closeFd(fd);
    }
    console.log("adopted");
    Deno.exit();
  });
  assertEquals(await child.succeeds(), "adopted\n");
});
