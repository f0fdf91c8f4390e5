/**
 * A rehearsal: a server that has time before its first client does once what it will do then. The
 * runtime compiles code when it is called for the first time, and loads some of its own as late; that
 * takes three times as long as the rest of the way to the first answer.
 *
 * Nothing of it is seen outside: it serves itself, on loopback, for some milliseconds.
 *
 * @module
 */
import { zdebug } from "../log/log.ts";
import { adoptInto, adoptListener } from "../os/adopt.ts";
import { systemClock } from "../os/clock.ts";
import { closeFd } from "../os/descriptor.ts";
import { boundAddress, describeListener, listenInet } from "../os/socket.ts";

const LOOPBACK = "127.0.0.1";

/** No spare waits any longer for it; where a filter drops what is sent on loopback, it never ends. */
const LONGEST_MS = 1_000;

const REQUEST = `GET / HTTP/1.1\r\nHost: ${LOOPBACK}\r\nConnection: close\r\n\r\n`;

/**
 * Adopts a listening socket, accepts a connection and exchanges some bytes, and does so once more with
 * the runtime's HTTP server. Never rejects: without the permission to listen or to connect there is
 * less to gain. Takes a second at most.
 */
export async function rehearse(): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = systemClock.setTimer(LONGEST_MS, late.resolve);
  await Promise.race([rehearseAll(), late.promise]);
  timer.cancel();
}

async function rehearseAll(): Promise<void> {
  for (const part of [rehearseConnection, rehearseHttp]) {
    try {
      await withListener(part);
    } catch (error) {
      zdebug("no rehearsal:", error);
    }
  }
}

/** Gives a part its own listening socket. */
async function withListener(part: (fd: number, port: number) => Promise<void>): Promise<void> {
  const fd = listenInet({ hostname: LOOPBACK, port: 0 });
  try {
    const address = boundAddress(fd);
    if (address?.kind === "inet") await part(fd, address.port);
  } finally {
    closeFd(fd);
  }
}

async function rehearseConnection(fd: number, port: number): Promise<void> {
  describeListener(fd);
  using listener = adoptListener(fd);
  using client = await Deno.connect({ hostname: LOOPBACK, port });
  using conn = await acceptFrom(listener, client.localAddr as Deno.NetAddr);
  await conn.write(new Uint8Array(1));
  await client.read(new Uint8Array(1));
}

/** Accepts a client, and turns away whoever else has found the port. */
async function acceptFrom(listener: Deno.Listener, { port }: Deno.NetAddr): Promise<Deno.Conn> {
  for (;;) {
    const conn = await listener.accept();
    if ((conn.remoteAddr as Deno.NetAddr).port === port) return conn;
    conn.close();
  }
}

async function rehearseHttp(fd: number, port: number): Promise<void> {
  const server = adoptInto(fd, () =>
    Deno.serve({
      hostname: LOOPBACK,
      port: 0,
      onListen: () => {
        // Nobody wants to know.
      },
    }, () => new Response("rehearsed")));
  try {
    using client = await Deno.connect({ hostname: LOOPBACK, port });
    await client.write(new TextEncoder().encode(REQUEST));
    const room = new Uint8Array(1024);
    while (await client.read(room) !== null);
  } finally {
    await server.shutdown();
  }
}
