/**
 * A whole server program in one call.
 *
 * @module
 */
import { requireOptions } from "../config/check_options.ts";
import { cannot, ConfigError } from "../config/errors.ts";
import { nearest } from "../config/nearest.ts";
import { splitOwnServer } from "../config/own_server.ts";
import { ownArguments } from "../os/ffi/proc_self.ts";
import type { FdType, HttpHandler, ServerHooks } from "../server/common.ts";
import { trackServed } from "../server/lifecycle/served.ts";
import { runServer } from "../server/runtime/runtime.ts";
import { type FetchApplication, http } from "./http.ts";
import { nameOf, Service } from "./service.ts";
import { checkDeclaredSettings } from "./settings.ts";

/** What serves a service: an HTTP handler, an application with `fetch`, or a {@linkcode Service}. */
export type Served = HttpHandler | FetchApplication | Service;

/** The options of {@linkcode serve}. */
export interface ServeOptions extends Pick<ServerHooks, "beforeService" | "beforeSoftstop"> {
  /**
   * The addresses, as in `server-service`, of a start by hand without arguments: `web://127.0.0.1:8000`. Under a
   * master it does not count.
   *
   * @default None: a start by hand then needs `alone -server-service LIST`.
   */
  readonly listen?: string;
  /** Called once, when the server has ended: closes a database, for example. */
  readonly afterService?: () => void | Promise<void>;
}

/**
 * Serves until the server is told to stop, and drains then. It is the whole main program of a server.
 *
 * The addresses are those of `server-service`, each with the name of a service before it: `web://0:80`. An address
 * without a name belongs to the only service of the program.
 *
 * Needs what `coroutineServerMain` needs. The process ends with the server, so nothing behind this call is reached.
 *
 * @param services What serves each service, by its name.
 * @param options Hooks, and the addresses of a start by hand.
 * @returns Never fulfilled.
 *
 * @example
 * ```ts
 * import { connections, serve } from "@zc/master/serve";
 *
 * if (import.meta.main) {
 *   await serve({
 *     web: (request) => new Response(`you asked for ${request.url}\n`),
 *     echo: connections((conn) => conn.readable.pipeTo(conn.writable)),
 *   }, { listen: "web://127.0.0.1:8000, echo://127.0.0.1:8007" });
 * }
 * ```
 */
export async function serve(
  services: Readonly<Record<string, Served>>,
  options: ServeOptions = {},
): Promise<never> {
  requireOptions("serve", options, {
    listen: true,
    beforeService: true,
    beforeSoftstop: true,
    afterService: true,
  });
  const { listen, beforeService, beforeSoftstop, afterService } = options;
  const all = servicesOf(services);
  const { args: given } = splitOwnServer(ownArguments());
  const isBare = given.length === 0 && listen !== undefined;
  const code = await runServer({
    serviceRegister: (name, fd, fdType: FdType) => find(all, name).serve(name, fd, fdType),
    beforeService: async () => {
      checkDeclaredSettings();
      // The only service of a program needs no track.
      if (all.size > 1) await trackServed();
      for (const service of all.values()) service.prepare();
      await beforeService?.();
    },
    ...(beforeSoftstop && { beforeSoftstop }),
  }, isBare ? ["alone", "-server-service", listen] : given);
  await afterService?.();
  Deno.exit(code);
}

function servicesOf(services: Readonly<Record<string, unknown>>): Map<string, Service> {
  const all = new Map(Object.entries(services).map(([name, one]) => [name, serviceOf(name, one)]));
  if (all.size > 0) return all;
  const found = typeof services === "function" || services instanceof Service
    ? "what serves a service, without a name"
    : "no service";
  const expected = "each service by its name, as in serve({ web: handler })";
  throw new TypeError(cannot("serve", "services", { found, expected }));
}

function serviceOf(name: string, served: unknown): Service {
  if (served instanceof Service) return served;
  const isApplication = typeof served === "object" && served !== null && "fetch" in served &&
    typeof served.fetch === "function";
  if (typeof served === "function" || isApplication) {
    return http(served as HttpHandler | FetchApplication);
  }
  throw new TypeError(cannot("serve", name, {
    found: served === null ? "null" : `a value of the type ${typeof served}`,
    expected: "a function, an object with fetch, or what connections(), lines(), fifo(), http() " +
      "or nodeServer() returns",
  }));
}

/** The service of an address. */
function find(all: ReadonlyMap<string, Service>, name: string): Service {
  const names = [...all.keys()];
  const found = all.get(name) ?? (name === "" && all.size === 1 ? all.get(names[0]) : undefined);
  if (found !== undefined) return found;
  const meant = nearest(name, names);
  throw new ConfigError([{
    key: "server-service",
    message: cannot("serve", nameOf(name), {
      found: "the program has no such service",
      expected: meant ?? `one of ${names.join(" ")} before the address, as in ${names[0]}://0:80`,
    }),
  }]);
}
