/**
 * Keeps a server of node:net accepting where no system call can be made. At the first lack of
 * descriptors the runtime ends its accepting for good, without a word. But its handles can be asked for
 * a second descriptor of what they have, and need no permission for it: another handle over that one
 * begins anew. When there is no descriptor free for it, there is none for a connection either.
 *
 * @module
 */
import type { Server, Socket } from "node:net";
import { setRepeated, systemClock, type Timer } from "../../os/clock/clock.ts";

/** How long connections wait in the queue at most, once there are descriptors again. */
const AGAIN_MS = 1000;

/** How long after the end of a connection, whose descriptor is free by then. */
const SOON_MS = 20;

/** The runtime listens on the descriptor that it was given already, and changes nothing of its queue. */
const BACKLOG = 65_535;

/** What node calls a handle that listens. */
const LISTENS = 1;

/** A handle of the runtime: its methods return 0, or a negative error. */
interface Handle {
  onconnection?: unknown;
  /** Takes over the next connection. */
  accept(client: unknown): number;
  open(fd: number): number;
  listen(backlog: number): number;
  close(): void;
  unref(): void;
  /** Another descriptor of the same, or a negative error; missing in other versions. */
  readonly fdForIpc?: () => number;
}

/** In the place of a handle: it listens to nothing. */
const NOTHING: Handle = {
  accept: () => -1,
  open: () => -1,
  listen: () => 0,
  close() {},
  unref() {},
};

/** What a server keeps to itself: checked before it is used. */
interface Inner {
  _handle?: Handle | null;
  readonly _unref?: boolean;
}

/**
 * Looks after a server.
 *
 * @param server One that listens, or is about to.
 * @param onLack Told of a lack of descriptors, at most once a second.
 * @returns Ends the accepting; the server is not closed by it, and knows its connections.
 */
export function keepAccepting(server: Server, onLack: (error: Error) => void): () => void {
  const accepting = new Accepting(server as Server & Inner);
  const timer = setRepeated(systemClock, {
    everyMs: AGAIN_MS,
    callback() {
      if (!accepting.again()) onLack(outOfDescriptors());
    },
  });
  let soon: Timer | undefined;
  const onClose = () => {
    soon ??= systemClock.setTimer(SOON_MS, () => {
      soon = undefined;
      accepting.again();
    });
  };
  const onConnection = (socket: Socket) => socket.once("close", onClose);
  server.on("connection", onConnection);
  return () => {
    timer.cancel();
    soon?.cancel();
    server.off("connection", onConnection);
    if (server.listening) accepting.stop();
    else server.once("listening", () => accepting.stop());
  };
}

/** The accepting of one server, which may have one handle after the other. */
class Accepting {
  readonly #server: Inner;
  /** The first one: what node calls for a connection takes it from there. */
  #front?: Handle;
  #stopped = false;

  constructor(server: Inner) {
    this.#server = server;
  }

  stop(): void {
    this.#stopped = true;
    const handle = this.#server._handle;
    if (!handle) return;
    // A server without one is taken for closed, and closes each connection behind any answer.
    this.#server._handle = NOTHING;
    handle.close();
  }

  /** Begins anew, whether it has ended or not; returns false when there is no descriptor for it. */
  again(): boolean {
    const handle = this.#server._handle;
    if (!handle || this.#stopped) return true;
    // On a socket of TCP that is enough, in any version.
    if (handle.fdForIpc === undefined) {
      handle.listen(BACKLOG);
      return true;
    }
    const fd = handle.fdForIpc();
    if (!(fd >= 0)) return false;
    this.#replace(handle, fd);
    return true;
  }

  #replace(old: Handle, fd: number): void {
    const front = this.#front ??= old;
    const HandleClass = old.constructor as new (kind: number) => Handle;
    const next = new HandleClass(LISTENS);
    next.onconnection = front.onconnection;
    if (next.open(fd) !== 0 || next.listen(BACKLOG) !== 0) return next.close();
    front.accept = (client) => next.accept(client);
    if (this.#server._unref) next.unref();
    this.#server._handle = next;
    old.close();
  }
}

function outOfDescriptors(): Error {
  const message = "accept: Too many open files (EMFILE)";
  return Object.assign(new Error(message), { code: "EMFILE" });
}
