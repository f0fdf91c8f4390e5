/** Services for the tests of the master, created as from a hook or from a file. */
import { Config, setFrom } from "../../src/config/config.ts";
import { parseServiceConfig, type ServiceConfig } from "../../src/config/service.ts";
import type { ResolvedService } from "../../src/master/policy/resolved_service.ts";
import { type ResolverPlace, ServiceResolver } from "../../src/master/services/resolve.ts";

/** The differences from the defaults. */
interface ServiceOptions {
  /** Its `server-service`; by default an address that contains the id. */
  readonly addresses?: string;
  /** Its `server-proc-count`. */
  readonly procCount?: number;
  /** Its `server-command`. */
  readonly command?: string;
  /** Its file; without one it comes from a hook. */
  readonly file?: string;
  /** Its own settings. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Creates a service of which nothing is looked up: its command is its program, of control protocol. */
export function serviceOf(id: string, options: ServiceOptions = {}): ResolvedService {
  const service = configOf(id, options), { protocol, command: [path, ...args] } = service;
  return {
    ...service,
    protocol: protocol === "auto" || protocol === "deno" ? "control" : protocol,
    program: { path, args },
    argv: [],
    gainsNothing: false,
  };
}

/** Looks a service up as the master does; fails if anything is wrong with it. */
export function resolved(service: ServiceConfig, place: ResolverPlace): ResolvedService {
  const resolver = new ServiceResolver(place), problems = resolver.check(service);
  if (problems.length > 0) throw new TypeError(problems.map(({ message }) => message).join("\n"));
  return resolver.resolve(resolver.located(service));
}

/** Creates the settings of a service; fails if they are wrong. */
export function configOf(id: string, options: ServiceOptions = {}): ServiceConfig {
  const { addresses = `local:/run/${id}`, procCount = 1, command = "bin/server" } = options;
  const { file, settings = {} } = options;
  const all = {
    "server-command": command,
    "server-service": addresses,
    "server-proc-count": String(procCount),
    ...settings,
  };
  const config = new Config();
  for (const [index, [key, value]] of Object.entries(all).entries()) {
    setFrom(config, key, value, file === undefined ? undefined : { file, line: index + 1 });
  }
  const { service, problems } = parseServiceConfig(config, { id, file, cwd: "/srv" });
  if (service === undefined) throw new Error(problems.map(({ message }) => message).join("\n"));
  return service;
}
