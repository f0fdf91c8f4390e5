/** Services for the tests of the master, made as those of a hook or of a file are. */
import { Config } from "../../src/config/config.ts";
import { parseServiceConfig, type ServiceConfig } from "../../src/config/service.ts";

/** What a test wants to differ from the defaults. */
interface ServiceOptions {
  /** Its `server-service`; the default is an address made of the id. */
  readonly addresses?: string;
  /** Its `server-proc-count`. */
  readonly procCount?: number;
  /** Its `server-command`. */
  readonly command?: string;
  /** The file that it is from; without one it is a hook's. */
  readonly file?: string;
  /** Settings of its own. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Makes a service; fails where its settings are wrong. */
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
