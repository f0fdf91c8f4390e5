/** A connection is the same for its user, whichever way the listener came to it: as the runtime's own. */
import { assertEquals } from "@std/assert";
import { closeIfOpen } from "../conn_pairs.ts";
import { within } from "../../support/wait.ts";
import { connectRaw } from "../raw_client.ts";
import { connectTo, LISTENER_KINDS, testListener, warmUpNodeNet } from "../service_sockets.ts";

interface Ends {
  readonly conn: Deno.Conn;
  readonly peer: Deno.Conn;
  /** Ends the connection by a reset, once the peer has something unread. */
  reset(): void;
}

/** What becomes of a call: what it gives, or its error. */
type Look = (act: () => unknown) => Promise<string>;

const encoder = new TextEncoder(), decoder = new TextDecoder();
const bytes = (length = 8) => new Uint8Array(length);

/** What an error is known by. */
function textOf(error: unknown): string {
  const { name, code, message } = error as Error & { code?: string };
  const isOwn = error instanceof (Deno.errors as unknown as Record<string, typeof Error>)[name];
  return `${isOwn ? "Deno.errors." : ""}${name} ${code} ${message}`;
}

const look: Look = async (act) => {
  try {
    const given = await within(Promise.resolve().then(act), { what: "a result" });
    // The runtime gives null where its types have nothing.
    return JSON.stringify(given ?? null);
  } catch (error) {
    return textOf(error);
  }
};

/** Writes until it fails: a peer that is gone shows at the first write or at a later one. */
async function writeOn(conn: Deno.Conn): Promise<string> {
  for (;;) {
    const found = await look(() => conn.write(bytes()));
    if (found !== "8") return found;
  }
}

const SCENES: Readonly<Record<string, (ends: Ends) => Promise<unknown[]>>> = {
  async "its addresses"({ conn }) {
    const { localAddr, remoteAddr } = conn;
    const ends = [localAddr, remoteAddr].map((addr) => ({ ...addr, port: 0, path: undefined }));
    return await Promise.resolve([ends, "path" in remoteAddr && remoteAddr.path]);
  },
  async "calls after its close"({ conn }) {
    const calls = [
      () => conn.close(),
      () => conn.read(bytes()),
      () => conn.read(bytes(0)),
      () => conn.write(bytes()),
      () => conn.write(bytes(0)),
      () => conn.closeWrite(),
      () => conn.close(),
      () => conn[Symbol.dispose](),
      () => conn.ref(),
      () => conn.unref(),
      () => conn.remoteAddr.transport,
    ];
    const results = [];
    for (const call of calls) results.push(await look(call));
    return results;
  },
  async "a read under way at its close"({ conn }) {
    const reading = look(() => conn.read(bytes()));
    await Promise.resolve();
    conn.close();
    return [await reading];
  },
  async "a read under way at its disposal"({ conn }) {
    const reading = look(() => conn.read(bytes()));
    await Promise.resolve();
    conn[Symbol.dispose]();
    return [await reading, await look(() => conn.close())];
  },
  async "two reads at once"({ conn, peer }) {
    const [first, second] = [bytes(3), bytes(8)];
    const reading = [look(() => conn.read(first)), look(() => conn.read(second))];
    await Promise.resolve();
    await peer.write(encoder.encode("abcdef"));
    return [...await Promise.all(reading), decoder.decode(first), decoder.decode(second)];
  },
  async "two reads at the end"({ conn, peer }) {
    const reading = [look(() => conn.read(bytes())), look(() => conn.read(bytes()))];
    await Promise.resolve();
    await peer.closeWrite();
    return await Promise.all(reading);
  },
  async "two writes at once"({ conn, peer }) {
    const writing = ["ab", "cd"].map((text) => look(() => conn.write(encoder.encode(text))));
    await Promise.all(writing);
    await conn.closeWrite();
    return [await new Response(peer.readable).text()];
  },
  async "a peer that has gone"({ conn, peer }) {
    peer.close();
    const results = [await look(() => conn.read(bytes())), await look(() => conn.read(bytes()))];
    results.push(await writeOn(conn), await writeOn(conn), await look(() => conn.read(bytes())));
    return [...results, await look(() => conn.closeWrite()), await look(() => conn.close())];
  },
  async "a reset"({ conn, reset }) {
    await conn.write(bytes());
    const reading = look(() => conn.read(bytes()));
    await Promise.resolve();
    reset();
    const results = [await reading, await look(() => conn.read(bytes()))];
    results.push(await writeOn(conn), await writeOn(conn), await look(() => conn.read(bytes())));
    return [...results, await look(() => conn.closeWrite()), await look(() => conn.close())];
  },
  async "an output that has ended"({ conn, peer }) {
    const results = [await look(() => conn.closeWrite()), await look(() => conn.closeWrite())];
    results.push(await writeOn(conn), await look(() => conn.write(bytes(0))));
    return [...results, await look(() => peer.read(bytes())), await look(() => conn.close())];
  },
  async "nothing to read and to write"({ conn, peer }) {
    const results = [await look(() => conn.read(bytes(0))), await look(() => conn.write(bytes(0)))];
    peer.close();
    return [
      ...results,
      await look(() => conn.read(bytes())),
      await look(() => conn.read(bytes(0))),
    ];
  },
  async "what is said before a close with something unread"({ conn, peer }) {
    await peer.write(bytes());
    await conn.read(bytes(1));
    await conn.write(bytes(3));
    conn.close();
    return [await look(() => peer.read(bytes()))];
  },
  async "its options"({ conn }) {
    const { setNoDelay, setKeepAlive } = conn as Deno.TcpConn;
    if (setNoDelay === undefined) return [setKeepAlive];
    const results = [];
    for (const set of [setNoDelay, setKeepAlive]) {
      for (const args of [[], [true], [false]]) {
        results.push(await look(() => set.apply(conn as Deno.TcpConn, args as [boolean])));
      }
    }
    conn.close();
    return [...results, await look(() => (conn as Deno.TcpConn).setNoDelay())];
  },
  async "the same streams each time"({ conn }) {
    return await Promise.resolve([
      conn.readable === conn.readable,
      conn.writable === conn.writable,
    ]);
  },
  async "the end of what can be read as a stream"({ conn, peer }) {
    await peer.write(bytes());
    await peer.closeWrite();
    const text = await new Response(conn.readable).bytes();
    return [text.length, await look(() => conn.read(bytes())), await look(() => conn.close())];
  },
  async "a reader that brings its own buffer"({ conn, peer }) {
    await peer.write(encoder.encode("abcdef"));
    const reader = conn.readable.getReader({ mode: "byob" });
    const { value } = await reader.read(bytes(4));
    return [decoder.decode(value), decoder.decode((await reader.read(bytes(4))).value)];
  },
  async "streams that echo"({ conn, peer }) {
    const echo = conn.readable.pipeTo(conn.writable);
    await peer.write(bytes(1000));
    await peer.closeWrite();
    const { length } = await new Response(peer.readable).bytes();
    return [length, await look(() => echo), await look(() => conn.close())];
  },
  async "a stream to read that is cancelled"({ conn }) {
    const cancelled = await look(() => conn.readable.cancel());
    return [cancelled, await look(() => conn.read(bytes())), await look(() => conn.close())];
  },
  async "a stream to write that is closed"({ conn, peer }) {
    const results = [await look(() => conn.writable.close()), await look(() => peer.read(bytes()))];
    return [...results, await look(() => conn.read(bytes())), await look(() => conn.close())];
  },
  async "a stream to write that is aborted"({ conn }) {
    const aborted = await look(() => conn.writable.abort());
    return [aborted, await look(() => conn.write(bytes())), await look(() => conn.close())];
  },
  async "its close with a stream to read"({ conn }) {
    const reader = conn.readable.getReader();
    const reading = look(() => reader.read());
    await Promise.resolve();
    conn.close();
    return [await reading, await look(() => reader.read())];
  },
  async "a reset with a stream to read"({ conn, reset }) {
    await conn.write(bytes());
    const reader = conn.readable.getReader();
    const reading = look(() => reader.read());
    await Promise.resolve();
    reset();
    return [await reading, await look(() => reader.read()), await look(() => conn.close())];
  },
  async "a peer that has gone with a stream to write"({ conn, peer }) {
    peer.close();
    await conn.read(bytes());
    const writer = conn.writable.getWriter();
    let found;
    do found = await look(() => writer.write(bytes())); while (found === "null");
    return [found, await look(() => writer.write(bytes())), await look(() => conn.close())];
  },
};

await warmUpNodeNet();

/** Plays a scene. */
async function play(kind: typeof LISTENER_KINDS[number], name: string): Promise<unknown[]> {
  using open = testListener(kind);
  const { addr } = open.socket;
  // On a unix socket the kernel sends a reset when input was not read.
  const raw = name.includes("reset") && "port" in addr ? connectRaw(addr.port) : undefined;
  const peer = raw === undefined ? await connectTo(open.socket) : undefined;
  const conn = await within(open.listener.accept(), { what: "a connection" });
  try {
    const reset = () => raw === undefined ? peer?.close() : raw.reset();
    return await SCENES[name]({ conn, peer: peer!, reset });
  } finally {
    closeIfOpen(conn);
    if (peer !== undefined) closeIfOpen(peer);
  }
}

for (const kind of LISTENER_KINDS) {
  const [fdType, fallback] = kind.split(" by ");
  if (fallback === undefined) continue;
  Deno.test(`a connection (${kind}) is as the runtime's own`, async (test) => {
    for (const name of Object.keys(SCENES)) {
      await test.step(name, async () => {
        assertEquals(await play(kind, name), await play(fdType as "inet" | "unix", name));
      });
    }
  });
}
