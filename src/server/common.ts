/**
 * What authors of servers use in both modes: re-exports only.
 *
 * @module
 */
export { Config, defaultConfig } from "../config/config.ts";
export type { Origin } from "../config/errors.ts";
export type { CfEntry } from "../config/cf.ts";
export { zdebug, zfatal, zinfo } from "../log/log.ts";
export { AdoptError } from "../os/adopt.ts";
export type { FdType } from "../os/socket.ts";
export { type HttpHandler, serveHttp, type ServeHttpOptions } from "./http_service.ts";
export { serveNode } from "./node_server.ts";
export type { ServerHooks } from "./runtime.ts";
export { type OpenWork, type Softstop, softstopSignal } from "./softstop.ts";
export { TlsContext, type TlsOptions } from "./tls.ts";
export type { TlsIdentity } from "../os/adopt_tls.ts";
export { HandshakeError, type HandshakeFailure } from "./tls_errors.ts";
