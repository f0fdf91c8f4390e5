/**
 * `check`: looks for problems in the configuration, without a change.
 *
 * @module
 */
import {
  cannot,
  ConfigError,
  counted,
  distinct,
  formatProblem,
  type Problem,
  problemAt,
  quoteJson,
} from "../config/errors.ts";
import type { ServiceConfig } from "../config/service.ts";
import { settingOfAddress } from "../config/endpoints.ts";
import { CONFIG_DIR } from "../config/settings.ts";
import { ControlRequestError } from "../control/client.ts";
import type { Commands } from "../control/messages.ts";
import { refusalOf } from "../master/listeners/open_error.ts";
import { tryAddress } from "../os/net/open_listener.ts";
import { UsageError } from "./call.ts";
import type { CommandCall } from "./command.ts";
import {
  directoryOf,
  type MasterPlace,
  namesServices,
  readConfiguration,
} from "./configuration.ts";
import { connect, EXIT, isLost, NoMasterError } from "./connect.ts";
import { complain } from "./output.ts";

/** What was found. */
interface Findings {
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
  /** The services without problems. */
  readonly services: readonly ServiceConfig[];
}

/** Runs the command. */
export async function run(call: CommandCall): Promise<number> {
  const { options } = call;
  const { problems, warnings, services } = await look(call);
  const isWrong = problems.length > 0 || (options.strict === true && warnings.length > 0);
  if (options.json) {
    console.log(
      quoteJson({ problems, warnings, services: services.map(({ id }) => id) }, 2),
    );
  } else {
    for (const one of problems) complain("error", formatProblem(one));
    for (const one of warnings) complain("warning", formatProblem(one));
    console.log([
      counted(services.length, "service"),
      counted(problems.length, "error"),
      counted(warnings.length, "warning"),
    ].join(", "));
  }
  return isWrong ? EXIT.failed : EXIT.ok;
}

/**
 * Reads and resolves everything as a start would, and tries the addresses.
 *
 * @throws {UsageError} When neither the call nor a running master says where the settings are.
 */
export async function look(call: CommandCall): Promise<Findings> {
  let found: Findings;
  try {
    const place = namesServices(call) ? undefined : await placeOfMaster(call.settings);
    found = (await readConfiguration(call, place)).loaded;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { problems: error.problems, warnings: [], services: [] };
  }
  const { problems, warnings, services } = found;
  const all = [...problems, ...addressProblems(services, await heldAddresses(call.settings))];
  return { problems: new ConfigError(all).problems, warnings: distinct(warnings), services };
}

/** The addresses that the running master holds, as its status has them; without one, all must be free. */
async function heldAddresses(settings: CommandCall["settings"]): Promise<ReadonlySet<string>> {
  const { listeners } = await askMaster(settings, "status") ?? { listeners: [] };
  return new Set(listeners.map(({ kind, address }) => `${kind}:${address}`));
}

/** Where the running master is, whose directory is checked without another one. */
async function placeOfMaster(settings: CommandCall["settings"]): Promise<MasterPlace> {
  const { pid, configDirectory } = await askMaster(settings, "hello") ?? { configDirectory: null };
  if (configDirectory !== null) return { directory: configDirectory, cwd: directoryOf(pid) };
  const name = `-${CONFIG_DIR.name}`, expected = `${name} DIR, or -config FILE.ini`;
  const found = "it is missing, and no master runs here that has one";
  throw new UsageError(cannot("read argument", name, { found, expected }));
}

/** The answer of the running master; undefined if none runs, or it does not answer. */
async function askMaster<Name extends "status" | "hello">(
  settings: CommandCall["settings"],
  command: Name,
): Promise<Commands[Name]["result"] | undefined> {
  try {
    using master = await connect(settings);
    return await master.request(command);
  } catch (error) {
    const isGone = error instanceof NoMasterError || isLost(error);
    if (!isGone && !(error instanceof ControlRequestError)) throw error;
  }
}

/** A problem for each address that no listener could be opened at. */
function addressProblems(
  services: readonly ServiceConfig[],
  held: ReadonlySet<string>,
): Problem[] {
  return services.flatMap(({ endpoints }) => endpoints).flatMap((endpoint) => {
    if (held.has(endpoint.key)) return [];
    try {
      tryAddress(endpoint);
      return [];
    } catch (error) {
      const { message } = refusalOf(endpoint, error as Error, held);
      return problemAt(endpoint.origin, { key: settingOfAddress(endpoint), message });
    }
  });
}
