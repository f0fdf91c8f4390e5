/**
 * A listener over an inherited descriptor whose connections stay descriptors: it accepts by itself, without the
 * runtime, and calls back for each connection.
 *
 * @module
 */
import { isAnyAddress } from "../../config/address.ts";
import { closeFd, setNonblocking } from "../../os/fd/descriptor.ts";
import { EPOLLIN, type Watch } from "../../os/fd/poller.ts";
import { boundAddress, type FdType, type ListenAddress } from "../../os/net/socket.ts";
import { StreamAcceptor } from "../../os/net/stream.ts";
import type { ConnEnds } from "../backend/fd_conn.ts";
import { backend } from "../backend/chosen.ts";
import { UNNAMED_PEER } from "../backend/streamed_conn.ts";
import { prepareForConnections, serverPoller } from "../lifecycle/poller.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import { serverUsage } from "../lifecycle/usage.ts";
import { AcceptRules } from "./accept_loop.ts";
import { closeServed } from "./drain_queue.ts";
import { isShared, refuseFifo, runtimeAddr } from "./service_listener.ts";

/** The most connections to accept before others get their turn. */
const MOST_IN_ONE_GO = 64;

/** Receives the connections of a {@linkcode DirectListener}: descriptors, owned by the function, with their ends. */
export type ServeDirectly = (fd: number, ends: ConnEnds) => void;

/** Accepts until it is closed, at the soft stop at the latest. */
export class DirectListener {
  readonly #fd: number;
  readonly #serve: ServeDirectly;
  readonly #acceptor: StreamAcceptor;
  readonly #rules: AcceptRules;
  /** Missing after a hang-up, until the rest is over. */
  #watch: Watch | undefined;
  readonly #addr: Deno.Addr;
  /** This end of every connection, where it is the same for all. */
  readonly #localAddr: Deno.Addr | undefined;
  readonly #forget: () => void = () => {};
  #isResting = false;
  #closed = false;

  /**
   * @param fd The descriptor, owned by the listener.
   * @param fdType The type that `serviceRegister` received.
   * @param serve Receives the connections; must not throw.
   * @throws {TypeError} For a fifo, or when `fd` is no listening socket.
   */
  constructor(fd: number, fdType: FdType, serve: ServeDirectly) {
    refuseFifo(fd, fdType);
    const address = backend().addressOf(fd);
    setNonblocking(fd);
    this.#fd = fd;
    this.#serve = serve;
    this.#addr = runtimeAddr(address);
    if (!isAnyAddress(address)) this.#localAddr = this.#addr;
    this.#acceptor = new StreamAcceptor(fd);
    this.#rules = new AcceptRules({ address, fd, shared: isShared(address) });
    // While it rests, the descriptors are opened that are needed later, when none may be free.
    this.#watch = this.#watchQueue();
    this.#rest(prepareForConnections());
    // After a stop this closes the listener at once.
    const forget = serverLifecycle.onStopAccepting(
      (last) => closeServed(() => this.close(), { last, fd }),
      fd,
    );
    if (!this.#closed) this.#forget = forget;
  }

  #watchQueue(): Watch {
    return serverPoller.watch(this.#fd, EPOLLIN, () => {
      if (!this.#isResting) return this.#accept();
      // A hang-up, which would come again and again. The watch is not stopped otherwise: a poller without any
      // watch closes its descriptors, and the system may have no other watch left later.
      this.#watch?.stop();
      this.#watch = undefined;
    });
  }

  #accept(): void {
    for (let inOneGo = 0; inOneGo < MOST_IN_ONE_GO && !this.#closed; inOneGo++) {
      const pause = this.#rules.pause();
      if (pause !== undefined) return void this.#rest(pause);
      let fd: number | undefined;
      try {
        fd = this.#acceptor.accept();
      } catch (error) {
        const pause = this.#rules.failed(error as Error);
        if (pause !== undefined) return void this.#rest(pause);
        continue;
      }
      if (fd === undefined) return;
      this.#rules.accepted();
      serverPoller.isLoaded = true;
      const ends = this.#endsOf(fd);
      serverUsage.accepted();
      this.#serve(fd, ends);
    }
  }

  /** Accepts nothing for a while. */
  async #rest(pause: Promise<void>): Promise<void> {
    this.#isResting = true;
    this.#watch?.modify(0);
    await pause;
    this.#isResting = false;
    if (this.#closed) return;
    if (this.#watch === undefined) this.#watch = this.#watchQueue();
    else this.#watch.modify(EPOLLIN);
  }

  #endsOf(fd: number): ConnEnds {
    const { peer } = this.#acceptor;
    const hasName = peer !== undefined && (peer.kind === "inet" || peer.path !== "");
    const remoteAddr = hasName ? runtimeAddr(peer) : UNNAMED_PEER;
    return { localAddr: this.#localAddr ?? addrOf(boundAddress(fd)) ?? this.#addr, remoteAddr };
  }

  /** Stops listening. A second call does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch?.stop();
    this.#rules.stop();
    closeFd(this.#fd);
    this.#forget();
  }
}

function addrOf(address: ListenAddress | undefined): Deno.Addr | undefined {
  return address && runtimeAddr(address);
}
