/**
 * The exports for authors of servers in both modes.
 *
 * @module
 */
export { Config, defaultConfig } from "../config/config.ts";
export { selfName } from "../config/own_server.ts";
export { zdebug, zerror, zfatal, zinfo, zwarn } from "../log/log.ts";
export type { FdType } from "../os/net/socket.ts";
export { type HttpHandler, serveHttp, type ServeHttpOptions } from "./serve_http.ts";
export { serveNode } from "./http/serve_node.ts";
export type { ServerHooks } from "./runtime/server.ts";
export { type OpenWork, type Softstop, softstopSignal } from "./lifecycle/softstop.ts";
export { TlsContext, type TlsOptions } from "./tls/context.ts";
export { tlsOfSettings } from "./tls/settings.ts";
export { HandshakeError, type HandshakeFailure } from "./tls/errors.ts";
