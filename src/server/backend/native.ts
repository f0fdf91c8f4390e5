/**
 * The backend that makes system calls: inherited sockets become sockets of the runtime.
 *
 * Where this version of the runtime can't adopt a socket, it is served by node:net. This file alone decides
 * that.
 *
 * @module
 */
import { Channel } from "../../ipc/channel.ts";
import { MASTER } from "../../ipc/protocol.ts";
import { requireTrustedPeer } from "../../ipc/trusted_peer.ts";
import { configureLog, zwarn } from "../../log/log.ts";
import {
  adoptedDescriptor,
  AdoptError,
  adoptInto,
  adoptListener,
  releaseAdopted,
} from "../../os/adopt/listener.ts";
import { type Certificate, listenThrowaway, TlsAdopter } from "../../os/adopt/tls.ts";
import { closeFd, keepDescriptorsFromChildren, setCloseOnExec } from "../../os/fd/descriptor.ts";
import { delay } from "../../os/clock/clock.ts";
import { queueEmpties } from "../../os/net/accept_queue.ts";
import { OpenConnections, sendAtOnce } from "../../os/net/connections.ts";
import { describeListener } from "../../os/net/socket.ts";
import { keepInspectorClosed } from "../../os/process/inspector_signal.ts";
import { requestParentDeathSignal } from "../../os/process/process.ts";
import { logSlowWay } from "../lifecycle/missing_permission.ts";
import { serverPoller } from "../lifecycle/poller.ts";
import type { Backend, OpenedSocket } from "./backend.ts";
import { FdAcceptor } from "./fd_accept.ts";
import { cutSoon } from "./leftovers.ts";
import { SystemPipe } from "./system_pipe.ts";

/** The functions that adopt a socket, each of which throws `AdoptError` where it can't. */
export interface Adopters {
  /** Makes a listener over a borrowed descriptor. */
  readonly listener: (fd: number) => Deno.Listener;
  /** The same with TLS. */
  readonly tlsListener: (fd: number, certificate: Certificate) => Deno.Listener;
}

const ADOPTERS: Adopters = {
  listener: adoptListener,
  tlsListener(fd, certificate) {
    sendAtOnce(fd);
    return adoptInto(fd, () => listenThrowaway(certificate));
  },
};

/**
 * Makes the native backend.
 *
 * @param adopters The replaceable parts.
 */
export function makeNativeBackend(adopters: Partial<Adopters> = {}): Backend {
  const { listener, tlsListener } = { ...ADOPTERS, ...adopters };
  const tlsAdopters = new WeakMap<Certificate, TlsAdopter>();
  let hasToldTls = false;
  const adopterOf = (certificate: Certificate) => {
    const known = tlsAdopters.get(certificate);
    if (known !== undefined) return known;
    const made = new TlsAdopter(certificate);
    tlsAdopters.set(certificate, made);
    return made;
  };

  return {
    makesSystemCalls: true,
    addressOf: describeListener,
    async learnAddresses() {},
    listen(fd, addr) {
      try {
        return adopted(listener(fd), fd);
      } catch (error) {
        logSlowWay(fd, asRefusal(error));
        return {
          source: import("./node_conn.ts").then(({ acceptedConn }) =>
            new FdAcceptor(fd, (accepted) => acceptedConn(accepted, addr))
          ),
          fd,
        };
      }
    },
    listenTls(fd, certificate) {
      // The runtime's own TLS listeners are for TCP only.
      if (describeListener(fd).kind !== "inet") return undefined;
      try {
        return adopted(tlsListener(fd, certificate), fd);
      } catch (error) {
        const { message, cause } = asRefusal(error);
        // What is missing is told where one without TLS is not permitted either.
        if (!(cause instanceof Deno.errors.NotCapable)) {
          zwarn(`${message}; TLS is put on the connections of descriptor ${fd} one by one`);
        }
        return undefined;
      }
    },
    async startTls(conn, certificate) {
      try {
        return await adopterOf(certificate).adopt(conn);
      } catch (error) {
        const { message, cause } = asRefusal(error);
        // Its listener has told what is not permitted. All else is a limit of unix sockets or of this runtime,
        // which never changes.
        if (!(cause instanceof Deno.errors.NotCapable) && !hasToldTls) {
          hasToldTls = true;
          zwarn(`${message}; it is done by node:tls, which is slower`);
        }
        const { nodeServerTls } = await import("./node_tls.ts");
        return nodeServerTls(conn, certificate);
      }
    },
    endSoon: cutSoon,
    serveHttp(fd, { native, node }) {
      try {
        return native();
      } catch (error) {
        logSlowWay(fd, asRefusal(error));
        return node();
      }
    },
    serveNode: ({ native, node }) => native() ?? node(),
    sendAtOnce,
    openFifo: (fd, path) => new SystemPipe(fd, path),
    async queueEmpties(fd, limits) {
      if (fd === undefined) await delay(limits.settleMs);
      else await queueEmpties(fd, limits);
    },
    openConnections: () => OpenConnections.find(),
    openWorkerSocket(fd, handlers) {
      setCloseOnExec(fd, true);
      requireTrustedPeer(fd);
      return new Channel({ fd, poller: serverPoller, sender: MASTER }, handlers);
    },
    takeInherited: (fd) => fd,
    discard: closeFd,
    openLog: configureLog,
    keepInspectorClosed,
    keepDescriptorsFromChildren,
    canStartAgain: true,
    watchParent: () => requestParentDeathSignal("SIGHUP"),
  };
}

/** The opened socket of a listener that has adopted `fd`, which is closed. */
function adopted(listener: Deno.Listener, fd: number): OpenedSocket {
  closeFd(fd);
  const source = {
    accept: () => listener.accept(),
    close() {
      // First, since another listener may wait for the address.
      releaseAdopted(listener);
      listener.close();
    },
    ref: () => listener.ref(),
    unref: () => listener.unref(),
  };
  return { source, fd: adoptedDescriptor(listener) };
}

/** Returns why the runtime can't adopt a socket; throws any other error on. */
function asRefusal(error: unknown): AdoptError {
  if (error instanceof AdoptError) return error;
  throw error;
}

/** The backend of servers with FFI. */
export const nativeBackend: Backend = makeNativeBackend();
