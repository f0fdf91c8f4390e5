/**
 * A relay between a client and a server that makes the client look slow: what the client sends arrives late.
 *
 * @module
 */

/** A relay. It closes its connections when it is closed. */
export interface LateRelay extends Disposable {
  readonly port: number;
}

/**
 * Starts a relay to a server.
 *
 * @param target The port of the server, or the path of its unix socket.
 * @param everyMs The client's bytes are passed on only so often, all that have come since the last time.
 */
export function startLateRelay(target: number | string, everyMs: number): LateRelay {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open: Deno.Conn[] = [], timers: ReturnType<typeof setInterval>[] = [];
  const relay = async () => {
    for await (const client of listener) {
      const server: Deno.Conn = typeof target === "number"
        ? await Deno.connect({ hostname: "127.0.0.1", port: target })
        : await Deno.connect({ transport: "unix", path: target });
      open.push(client, server);
      server.readable.pipeTo(client.writable).catch(() => {});
      const kept: Uint8Array<ArrayBuffer>[] = [];
      client.readable.pipeTo(new WritableStream({ write: (part) => void kept.push(part) }))
        .catch(() => {});
      const writer = server.writable.getWriter();
      timers.push(setInterval(async () => {
        const bytes = await new Blob(kept.splice(0)).bytes();
        if (bytes.length > 0) await writer.write(bytes).catch(() => {});
      }, everyMs));
    }
  };
  relay().catch(() => {});
  return {
    port: listener.addr.port,
    [Symbol.dispose]() {
      timers.forEach(clearInterval);
      listener.close();
      for (const conn of open) {
        try {
          conn.close();
        } catch {
          // Its stream has closed it.
        }
      }
    },
  };
}
