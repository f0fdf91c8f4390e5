import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { openListener } from "../../../src/os/net/open_listener.ts";
import { socketPair } from "../../../src/os/net/socket.ts";
import { makeNativeBackend } from "../../../src/server/backend/native.ts";
import { serverLifecycle } from "../../../src/server/lifecycle/lifecycle.ts";
import {
  openServiceListener,
  ServiceListener,
} from "../../../src/server/listen/service_listener.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { leaveOut } from "../../support/left_out.ts";
import { startFunction, withOpenFileLimit } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";
import { eventually, within } from "../../support/wait.ts";
import { closeIfOpen, tcpPair } from "../conn_pairs.ts";
import { connectRaw } from "../raw_client.ts";
import {
  connectTo,
  inetSocket,
  LISTENER_KINDS,
  testListener,
  unixSocket,
  warmUpNodeNet,
} from "../service_sockets.ts";

await warmUpNodeNet();

const hasIpv6 = (() => {
  try {
    closeFd(inetSocket("::1").fd);
    return true;
  } catch {
    return false;
  }
})();

for (const kind of LISTENER_KINDS) {
  const title = (text: string) => `ServiceListener (${kind}) ${text}`;

  Deno.test(
    title("knows its address, and takes ownership of the descriptor"),
    () =>
      leavesNothingOpen(() => {
        using open = testListener(kind);
        assertEquals(open.listener.addr, open.socket.addr);
      }),
  );

  Deno.test(
    title("ends a loop when it is closed, and accepts no more"),
    () =>
      leavesNothingOpen(async () => {
        using open = testListener(kind);
        const connected = connectTo(open.socket);
        let count = 0;
        const loop = (async () => {
          for await (const conn of open.listener) {
            conn.close();
            if (++count === 1) setTimeout(() => open.listener.close(), 0);
          }
        })();
        await within(loop, { what: "the end of the loop" });
        assertEquals(count, 1);
        (await connected).close();
        await assertRejects(() => open.listener.accept(), Deno.errors.BadResource);
        for await (const _ of open.listener) throw new Error("unreachable");
      }),
  );

  // Without a system call the runtime's next turn has to come first.
  if (kind.startsWith("inet") && kind !== "inet by node:net") {
    Deno.test(
      title("gives its address up within close()"),
      () =>
        leavesNothingOpen(async () => {
          using open = testListener(kind);
          const connected = connectTo(open.socket);
          (await open.listener.accept()).close();
          (await connected).close();
          const accepting = assertRejects(() => open.listener.accept());
          open.listener.close();
          const { hostname, port } = open.socket.addr as Deno.NetAddr;
          // In the same turn of the event loop.
          closeFd(openListener({ kind: "inet", hostname, port }).fd);
          await accepting;
        }),
    );
  }

  Deno.test(
    title("is closed by leaving a loop, as that of the runtime"),
    () =>
      leavesNothingOpen(async () => {
        using open = testListener(kind);
        const connected = connectTo(open.socket);
        for await (const conn of open.listener) {
          conn.close();
          break;
        }
        (await connected).close();
        await assertRejects(() => open.listener.accept(), Deno.errors.BadResource);
      }),
  );

  Deno.test(
    title("rejects an accept under way when it is closed"),
    () =>
      leavesNothingOpen(async () => {
        using open = testListener(kind);
        const accepting = open.listener.accept();
        const rejected = assertRejects(() => accepting, Deno.errors.BadResource);
        await turn();
        open.listener.close();
        open.listener.close();
        await within(rejected, { what: "the end of the accept" });
      }),
  );

  Deno.test(
    title("refuses a second accept at the same time, and goes on with the first"),
    () =>
      leavesNothingOpen(async () => {
        using open = testListener(kind);
        const accepting = open.listener.accept();
        await assertRejects(() => open.listener.accept(), Deno.errors.Busy);
        const connected = connectTo(open.socket);
        (await within(accepting, { what: "a connection" })).close();
        (await connected).close();
      }),
  );

  Deno.test(
    title("gives connections that waited before it was there, in their order"),
    () =>
      leavesNothingOpen(async () => {
        using open = testListener(kind);
        const clients = [];
        for (let i = 0; i < 50; i++) {
          const client = await connectTo(open.socket);
          await client.write(new Uint8Array([i]));
          clients.push(client);
        }
        for (let i = 0; i < 50; i++) {
          using conn = await within(open.listener.accept(), { what: "a connection" });
          const room = new Uint8Array(1);
          await conn.read(room);
          assertEquals(room[0], i);
        }
        clients.forEach(closeIfOpen);
      }),
  );
}

for (const kind of ["inet", "inet by node:net", "inet by descriptor"] as const) {
  Deno.test(`ServiceListener (${kind}) survives connections that are reset while they wait`, () =>
    leavesNothingOpen(async () => {
      using open = testListener(kind);
      assert("port" in open.socket.addr);
      const { port } = open.socket.addr;
      // No accept runs between these calls, which do not go through the event loop.
      for (let i = 0; i < 300; i++) connectRaw(port).reset();
      using client = await connectTo(open.socket);
      await client.write(new Uint8Array(1));
      for (let count: number | null = null; count === null;) {
        using conn = await within(open.listener.accept(), { what: "a living connection" });
        // Some of the dead may get this far.
        count = await conn.read(new Uint8Array(1)).catch(() => null);
      }
    }));
}

Deno.test("ServiceListener knows an IPv6 address", async (t) => {
  if (!hasIpv6) return leaveOut(t, "this system has no IPv6");
  await leavesNothingOpen(async () => {
    const socket = inetSocket("::1");
    using listener = openServiceListener(socket.fd, "inet");
    assertEquals(listener.addr, socket.addr);
    const connected = connectTo(socket);
    using conn = await listener.accept();
    assertEquals(conn.localAddr, socket.addr);
    assertEquals(conn.remoteAddr, (await connected).localAddr);
    (await connected).close();
  });
});

Deno.test("openServiceListener() refuses a descriptor that is no listening socket, and leaves it open", () =>
  leavesNothingOpen(() => {
    const [one, two] = socketPair();
    assertThrows(() => openServiceListener(one, "fifo"), TypeError, "a fifo, expected");
    assertThrows(() => openServiceListener(one, "inet"), TypeError, "expected a listening");
    closeFd(one);
    closeFd(two);
  }));

Deno.test("openServiceListener() takes the type from the socket and not from its argument", () =>
  leavesNothingOpen(async () => {
    using dir = new TempDir();
    const socket = unixSocket(dir.file("socket"));
    using listener = openServiceListener(socket.fd, "inet");
    assertEquals(listener.addr, socket.addr);
    const connected = connectTo(socket);
    (await listener.accept()).close();
    (await connected).close();
  }));

Deno.test("openServiceListener() passes on an error that is none of adopting", () =>
  leavesNothingOpen(() => {
    const { fd } = inetSocket();
    const via = makeNativeBackend({
      listener() {
        throw new Error("a fault");
      },
    });
    assertThrows(() => openServiceListener(fd, "inet", { via }), Error, "a fault");
    closeFd(fd);
  }));

Deno.test("openServiceListener() falls back to node:net, with a line in the log", async () => {
  await using child = startFunction(import.meta, async () => {
    const { openServiceListener } = await import("../../../src/server/listen/service_listener.ts");
    const { AdoptError } = await import("../../../src/os/adopt/listener.ts");
    const { makeNativeBackend } = await import("../../../src/server/backend/native.ts");
    const { connectTo, inetSocket } = await import("../service_sockets.ts");
    const socket = inetSocket();
    using listener = openServiceListener(socket.fd, "inet", {
      via: makeNativeBackend({
        listener() {
          throw new AdoptError("Cannot adopt a listener: a test");
        },
      }),
    });
    const connected = connectTo(socket);
    using conn = await listener.accept();
    await conn.write(new TextEncoder().encode("served"));
    using client = await connected;
    const room = new Uint8Array(10);
    console.log(new TextDecoder().decode(room.subarray(0, await client.read(room) ?? 0)));
  });
  const { code, stdout, stderr } = await child.ended();
  assertEquals([code, stdout], [0, "served\n"], stderr);
  assert(
    /^warning: Cannot adopt a listener: a test; descriptor \d+ is served through node:net/.test(
      stderr,
    ),
    stderr,
  );
});

/** Runs what waits for nothing, and lets what came in meanwhile be seen. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

Deno.test("ServiceListener has something under way while a connection is on its way, whenever it is closed", async () => {
  const addr = { transport: "tcp", hostname: "127.0.0.1", port: 1 } as const;
  const { activity } = serverLifecycle, before = activity.count;
  for (let turns = 0; turns < 10; turns++) {
    const { promise, resolve } = Promise.withResolvers<Deno.Conn>();
    const inner = { addr, accept: () => promise, close() {} } as unknown as Deno.Listener;
    const listener = new ServiceListener(inner, addr);
    let served = false;
    const loop = listener.next().then(() => served = true);
    resolve({} as Deno.Conn);
    // The word to stop can come between any two steps on the way.
    for (let turn = 0; turn < turns; turn++) await undefined;
    listener.close();
    for (; !served; await undefined) assertGreater(activity.count, before, `after ${turns} turns`);
    await loop;
    await eventually(() => activity.count === before, { what: "the end of it" });
  }
});

Deno.test("ServiceListener serves a connection that was accepted when the server was told to stop", async () => {
  await using child = startFunction(import.meta, async () => {
    const { serverLifecycle } = await import("../../../src/server/lifecycle/lifecycle.ts");
    const { ServiceListener } = await import("../../../src/server/listen/service_listener.ts");
    const { tcpPair } = await import("../conn_pairs.ts");
    const { conn, peer } = await tcpPair();
    const accepting = Promise.withResolvers<Deno.Conn>();
    let accepts = 0;
    const inner = {
      accept() {
        if (++accepts === 1) return accepting.promise;
        return Promise.reject(new Deno.errors.BadResource("Listener has been closed"));
      },
      close() {},
    } as unknown as Deno.Listener;
    const addr: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
    serverLifecycle.own({
      softstopSeconds: undefined,
      drainSeconds: 30,
      onDraining() {},
      onDetach() {},
      onError: (error) => console.log("error", error),
    });
    const loop = (async () => {
      for await (const conn of new ServiceListener(inner, addr)) {
        console.log("accepted");
        (async () => {
          await conn.read(new Uint8Array(1));
          console.log("served");
          conn.close();
        })();
      }
      console.log("the loop has ended");
    })();
    serverLifecycle.stopped.then(() => console.log("stopped"));
    await new Promise((resolve) => setTimeout(resolve, 0));
    // Both in one turn of the event loop, as it happens when they come at the same time.
    accepting.resolve(conn);
    serverLifecycle.softstop();
    await loop;
    await peer.write(new Uint8Array(1));
    await serverLifecycle.stopped;
    peer.close();
  });
  assertEquals(
    await child.succeeds(),
    ["accepted", "the loop has ended", "served", "stopped", ""].join("\n"),
  );
});

for (const kind of LISTENER_KINDS) {
  Deno.test(`ServiceListener (${kind}) that is made after the stop is closed at once`, async () => {
    await using child = startFunction(import.meta, async (kind) => {
      const { serverLifecycle } = await import("../../../src/server/lifecycle/lifecycle.ts");
      const { testListener } = await import("../service_sockets.ts");
      serverLifecycle.stopNotify(0);
      using open = testListener(kind);
      for await (const _ of open.listener) throw new Error("unreachable");
      console.log("ended");
    }, { arg: kind });
    assertEquals(await child.succeeds(), "ended\n");
  });
}

Deno.test("ServiceListener survives a lack of descriptors, with a line a second and without haste", async () => {
  await using child = startFunction(import.meta, async () => {
    const { openServiceListener } = await import("../../../src/server/listen/service_listener.ts");
    const { inetSocket } = await import("../service_sockets.ts");
    const { fd, port } = inetSocket();
    const listener = openServiceListener(fd, "inet");
    // As in every server. The runtime needs descriptors for the first one, and panics without.
    Deno.addSignalListener("SIGTERM", () => {});
    console.log(port);
    for await (const conn of listener) {
      conn.write(new TextEncoder().encode("hello")).catch(() => {});
      // Held until the client goes.
      conn.read(new Uint8Array(1)).catch(() => {}).finally(() => conn.close());
    }
  }, { prefix: withOpenFileLimit(60) });
  const addr = { hostname: "127.0.0.1", port: Number(await child.nextLine()) };
  const line = /Too many open files.*accepting goes on after a pause/;
  const since = performance.now(), complained = child.complains(line);
  const clients = await Promise.all(Array.from({ length: 80 }, () => Deno.connect(addr)));
  await complained;
  const cpuMs = cpuMsOf(child.pid);
  await child.complains(line);
  assertGreater(performance.now() - since, 1_000, "two lines in less than a second");
  assertLess(cpuMsOf(child.pid) - cpuMs, 500, "it is busy while it can do nothing");

  clients.forEach((client) => client.close());
  await eventually(() => descriptorCount(child.pid) < 40, { what: "descriptors to be free" });
  // At full speed: without the pauses of 100 ms that it made before. Some clients wait for the processor.
  const tookMs: number[] = [];
  for (let i = 0; i < 50; i++) {
    const begin = performance.now();
    using client = await Deno.connect(addr);
    await within(client.read(new Uint8Array(5)), { what: "an answer" });
    tookMs.push(performance.now() - begin);
  }
  assertLess(tookMs.toSorted((a, b) => a - b)[5], 50);
});

/** How much time of a processor a process has used. */
function cpuMsOf(pid: number): number {
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function descriptorCount(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

Deno.test("ServiceListener goes on after every error of accept(2)", async () => {
  const { conn, peer, ...pair } = await tcpPair();
  using _ = { ...pair };
  const codes = ["ENOTCONN", "ECONNABORTED", "EPERM", "EPROTO", "ENETUNREACH", "EMFILE", "ENOBUFS"];
  const failing = codes.map((code) => Object.assign(new Error(code), { code }));
  let closed = false;
  const inner = {
    accept: () => {
      const error = failing.shift();
      return error ? Promise.reject(error) : Promise.resolve(conn);
    },
    close: () => closed = true,
  } as unknown as Deno.Listener;
  const addr: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
  using listener = new ServiceListener(inner, addr);
  assert(await within(listener.accept(), { what: "a connection" }) === conn);
  assertEquals([failing.length, closed], [0, false]);
  conn.close();
  peer.close();
});
