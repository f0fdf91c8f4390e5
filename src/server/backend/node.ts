/**
 * The backend without system calls: node:net needs no permission for an inherited descriptor.
 *
 * @module
 */
import { parseAddress } from "../../config/address.ts";
import { StreamChannel } from "../../ipc/stream_channel.ts";
import { configureLog, logLine } from "../../log/log.ts";
import { delay } from "../../os/clock/clock.ts";
import { closeInherited, replaceByCloseOnExec } from "../../os/fd/close_on_exec.ts";
import type { ListenAddress } from "../../os/net/socket.ts";
import type { Backend } from "./backend.ts";
import { NodePipe } from "./node_pipe.ts";

/** The addresses that came with services. */
const addresses = new Map<number, ListenAddress>();

const nothing = (): void => {};

/** The backend of servers without FFI. */
export const nodeBackend: Backend = {
  makesSystemCalls: false,
  addressOf(fd) {
    const address = addresses.get(fd);
    if (address !== undefined) return address;
    throw new TypeError(`Cannot serve descriptor ${fd}: unknown, expected one of serviceRegister`);
  },
  async learnAddresses(services) {
    for (const { fd, address } of await services()) {
      if (address !== undefined) addresses.set(fd, parseAddress(address, { cwd: Deno.cwd() }));
    }
  },
  listen: (fd, addr) => ({
    source: import("./node_net.ts").then(({ listenNode }) => listenNode(fd, addr)),
  }),
  listenTls: () => undefined,
  async startTls(conn, certificate) {
    const { nodeServerTls } = await import("./node_tls.ts");
    return nodeServerTls(conn, certificate);
  },
  // node:tls ends every connection by itself.
  endSoon: nothing,
  serveHttp: (_fd, { node }) => node(),
  serveNode: ({ node }) => node(),
  sendAtOnce: nothing,
  openFifo: (fd) => new NodePipe(fd),
  queueEmpties: (_fd, { settleMs }) => delay(settleMs),
  openWorkerSocket: (fd, handlers) => new StreamChannel(replaceByCloseOnExec(fd), handlers),
  takeInherited: replaceByCloseOnExec,
  discard: closeInherited,
  openLog({ target, isServing, ...options }) {
    const isOutput = target === undefined || target.kind === "stdout";
    configureLog({ ...options, ...(isOutput && { target }) });
    if (isServing) logLine("info", whatIsLost({ isOutput }));
  },
  // This server was started in a way that keeps the signal from it.
  keepInspectorClosed: nothing,
  keepDescriptorsFromChildren: nothing,
  canStartAgain: false,
  watchParent: nothing,
};

function whatIsLost({ isOutput }: { readonly isOutput: boolean }): string {
  const lost = [
    "node:net serves its sockets",
    "HTTP is without WebSockets",
    ...(isOutput ? [] : ["its log goes to stderr"]),
  ];
  return `without --allow-ffi: ${lost.join(", ")}`;
}
