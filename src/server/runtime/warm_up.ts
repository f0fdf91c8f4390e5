/**
 * The warm-up of a standby: before its first client it serves itself once, on loopback, for some
 * milliseconds. The runtime compiles code at the first call, and loads some of its own code as late; that
 * takes three times as long as the rest of the way to the first response.
 *
 * @module
 */
import { zdebug } from "../../log/log.ts";
import { adoptInto, adoptListener } from "../../os/adopt/listener.ts";
import { systemClock } from "../../os/clock/clock.ts";
import { closeFd } from "../../os/fd/descriptor.ts";
import { runtimeFunctions } from "../../os/net/runtime_functions.ts";
import { boundAddress, describeListener } from "../../os/net/socket.ts";
import { listenInet } from "../../os/net/open_listener.ts";

const LOOPBACK = "127.0.0.1";

/** The time limit of a warm-up: where a filter drops packets on loopback, it would never end. */
const LONGEST_MS = 1_000;

const REQUEST = `GET / HTTP/1.1\r\nHost: ${LOOPBACK}\r\nConnection: close\r\n\r\n`;

/**
 * Adopts a listening socket, accepts a connection and exchanges some bytes, then does the same with the
 * runtime's HTTP server. Never rejects: without the permission to listen or to connect it does less. Takes
 * a second at most; a connection that is not established by then is left to the kernel.
 */
export async function warmUp(): Promise<void> {
  const late = new AbortController(), over = Promise.withResolvers<void>();
  late.signal.addEventListener("abort", () => over.resolve());
  const timer = systemClock.setTimer(LONGEST_MS, () => late.abort());
  await Promise.race([warmUpAll(late.signal), over.promise]);
  timer.cancel();
}

/** A part of the warm-up over a listening socket; the signal ends it. */
type Part = (
  socket: { readonly fd: number; readonly port: number },
  end: AbortSignal,
) => Promise<void>;

async function warmUpAll(end: AbortSignal): Promise<void> {
  for (const part of [warmUpConnection, warmUpHttp]) {
    if (end.aborted) return;
    try {
      await withListener(part, end);
    } catch (error) {
      zdebug("no warm-up:", error);
    }
  }
}

/** Runs a part with its own listening socket. */
async function withListener(part: Part, end: AbortSignal): Promise<void> {
  const fd = listenInet({ hostname: LOOPBACK, port: 0 });
  try {
    const address = boundAddress(fd);
    if (address?.kind === "inet") await part({ fd, port: address.port }, end);
  } finally {
    closeFd(fd);
  }
}

/** Closes `what` when the signal is aborted, which ends every wait on it. */
function closedBy<T extends Disposable>(end: AbortSignal, what: T): T {
  if (end.aborted) what[Symbol.dispose]();
  else end.addEventListener("abort", () => what[Symbol.dispose](), { once: true });
  return what;
}

const warmUpConnection: Part = async ({ fd, port }, end) => {
  describeListener(fd);
  using listener = closedBy(end, adoptListener(fd));
  using client = closedBy(end, await Deno.connect({ hostname: LOOPBACK, port }));
  using conn = closedBy(end, await acceptFrom(listener, client.localAddr as Deno.NetAddr));
  await conn.write(new Uint8Array(1));
  await client.read(new Uint8Array(1));
};

/** Accepts the own client and closes any other connection to the port. */
async function acceptFrom(listener: Deno.Listener, { port }: Deno.NetAddr): Promise<Deno.Conn> {
  for (;;) {
    const conn = await listener.accept();
    if ((conn.remoteAddr as Deno.NetAddr).port === port) return conn;
    conn.close();
  }
}

const warmUpHttp: Part = async ({ fd, port }, end) => {
  const server = adoptInto(fd, () =>
    runtimeFunctions.serve({
      hostname: LOOPBACK,
      port: 0,
      onListen: () => {
        // The outcome does not matter.
      },
    }, () => new Response("warmed up")));
  try {
    using client = closedBy(end, await Deno.connect({ hostname: LOOPBACK, port }));
    await client.write(new TextEncoder().encode(REQUEST));
    const room = new Uint8Array(1024);
    while (await client.read(room) !== null);
  } finally {
    await server.shutdown();
  }
};
