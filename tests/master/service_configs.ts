/** Services for the tests of the master, created as from a hook or from a file. */
import { Config } from "../../src/config/config.ts";
import { parseServiceConfig, type ServiceConfig } from "../../src/config/service.ts";

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

/** Creates a service; fails if its settings are wrong. */
export function serviceOf(id: string, options: ServiceOptions = {}): ServiceConfig {
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
    config.set(key, value, file === undefined ? undefined : { file, line: index + 1 });
  }
  const { service, problems } = parseServiceConfig(config, { id, file, cwd: "/srv" });
  if (service === undefined) throw new Error(problems.map(({ message }) => message).join("\n"));
  return service;
}
