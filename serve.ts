/**
 * A server in one call: HTTP handlers, applications with `fetch`, connections, lines and named pipes by the names of
 * their services.
 *
 * @example
 * ```ts
 * import { serve } from "@zc/master/serve";
 *
 * if (import.meta.main) await serve({ web: () => new Response("hello\n") });
 * ```
 *
 * @module
 */
export {
  type ClientHandler,
  type ConnectionOptions,
  connections,
} from "./src/serve/connections.ts";
export { fifo, type FifoHandler } from "./src/serve/fifo.ts";
export { type FetchApplication, http, type HttpOptions, nodeServer } from "./src/serve/http.ts";
export {
  LineClient,
  type LineHandler,
  type LineOptions,
  lines,
  LineTooLongError,
} from "./src/serve/lines.ts";
export { serve, type Served, type ServeOptions } from "./src/serve/serve.ts";
export type { ServiceTls } from "./src/serve/certificate.ts";
export { Service, type ServiceContext } from "./src/serve/service.ts";
export {
  boolean,
  choice,
  duration,
  int,
  list,
  optional,
  secret,
  type SettingKind,
  settings,
  type SettingValues,
  size,
  string,
} from "./src/serve/settings.ts";
export { selfName } from "./src/config/own_server.ts";
export { TlsContext, type TlsOptions } from "./src/server/tls/context.ts";
export {
  type FdType,
  type HttpHandler,
  type ServeHttpOptions,
  type Softstop,
  softstopSignal,
} from "./src/server/common.ts";
export { zdebug, zerror, zfatal, zinfo, zwarn } from "./src/log/log.ts";
