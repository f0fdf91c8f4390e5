/**
 * Connections for tests that need both ends: over real sockets, accepted by the runtime.
 *
 * @module
 */
import { TempDir } from "../support/temp.ts";

/** Both ends of a connection. Declare it with `using`. */
export interface ConnPair extends Disposable {
  /** The accepted end. */
  readonly conn: Deno.Conn;
  /** The end that has connected. */
  readonly peer: Deno.Conn;
}

/** Makes a connection over loopback. */
export async function tcpPair(): Promise<ConnPair> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const peer = Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  return pairOf(await listener.accept(), await peer);
}

/** Makes a connection over a unix socket. */
export async function unixPair(): Promise<ConnPair> {
  using dir = new TempDir();
  const path = dir.file("socket");
  using listener = Deno.listen({ transport: "unix", path });
  const peer = Deno.connect({ transport: "unix", path });
  return pairOf(await listener.accept(), await peer);
}

function pairOf(conn: Deno.Conn, peer: Deno.Conn): ConnPair {
  return {
    conn,
    peer,
    [Symbol.dispose]() {
      closeIfOpen(conn);
      closeIfOpen(peer);
    },
  };
}

/** Closes a connection that may be closed already. */
export function closeIfOpen(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}
