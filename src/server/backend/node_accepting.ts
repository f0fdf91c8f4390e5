/**
 * Restarts the accepting of a node:net server after FD exhaustion, without system calls. The runtime ends
 * a server's accepting for good, without an error, when no descriptor is free. Its handles can duplicate
 * their descriptor without a permission, and a new handle over the duplicate accepts again. If no
 * descriptor is free for the duplicate, none is free for a connection either.
 *
 * @module
 */
import type { Server, Socket } from "node:net";
import { setRepeated, systemClock, type Timer } from "../../os/clock/clock.ts";

/** The longest wait of pending connections once descriptors are free again. */
const AGAIN_MS = 1000;

/** The delay after the close of a connection, whose descriptor is free by then. */
const SOON_MS = 20;

/** Ignored by the runtime: the descriptor listens already, and its backlog stays. */
const BACKLOG = 65_535;

/** Node's constant for a listening handle. */
const LISTENS = 1;

/** A handle of the runtime: its methods return 0 or a negative error. */
interface Handle {
  onconnection?: unknown;
  /** Takes over the next connection. */
  accept(client: unknown): number;
  open(fd: number): number;
  listen(backlog: number): number;
  close(): void;
  unref(): void;
  /** Returns a duplicate of the descriptor, or a negative error; missing in other versions. */
  readonly fdForIpc?: () => number;
}

/** A placeholder for a handle, which listens to nothing. */
const NOTHING: Handle = {
  accept: () => -1,
  open: () => -1,
  listen: () => 0,
  close() {},
  unref() {},
};

/** The internal fields of a server, checked before use. */
interface Inner {
  _handle?: Handle | null;
  readonly _unref?: boolean;
}

/**
 * Watches a server's accepting.
 *
 * @param server A server that listens or is about to.
 * @param onLack Called on FD exhaustion, at most once a second.
 * @returns Ends the accepting without closing the server, which keeps its connections.
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

/** The accepting of one server, over a succession of handles. */
class Accepting {
  readonly #server: Inner;
  /** The first handle, from which node's callback takes each connection. */
  #front?: Handle;
  #stopped = false;

  constructor(server: Inner) {
    this.#server = server;
  }

  stop(): void {
    this.#stopped = true;
    const handle = this.#server._handle;
    if (!handle) return;
    // Node treats a server without a handle as closed, and closes each connection after its response.
    this.#server._handle = NOTHING;
    handle.close();
  }

  /** Restarts the accepting, ended or not; returns false when no descriptor is free. */
  again(): boolean {
    const handle = this.#server._handle;
    if (!handle || this.#stopped) return true;
    // On a TCP socket this is enough, in any version.
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
