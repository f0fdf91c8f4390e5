/**
 * The built-in service that shows the status of its master (`metrics`).
 *
 * @module
 */
import { resolvePath, UNIX_PATH_MAX } from "../../config/address.ts";
import { quoteWord } from "../../config/command.ts";
import { Config, setFrom, settingOrigin } from "../../config/config.ts";
import { statusPath } from "../../config/control_path.ts";
import { readSetting } from "../../config/setting.ts";
import { cannot, type Place, type Problem, problemAt, warningAt } from "../../config/errors.ts";
import { METRICS_SERVER, SELF } from "../../config/own_server.ts";
import {
  parseServiceConfig,
  type ServiceConfig,
  type ServiceOptions,
  type ServiceResult,
} from "../../config/service.ts";
import {
  LOG_FORMAT,
  LOG_LEVEL,
  MASTER_STATUS,
  METRICS,
  RUN_USER,
  SERVER_COMMAND,
  SERVER_GROUP,
  SERVER_LOG,
  SERVER_OUTPUT,
  SERVER_OUTPUT_FILE,
  SERVER_OUTPUT_KEEP,
  SERVER_OUTPUT_ROTATE,
  SERVER_OUTPUT_TOTAL,
  SERVER_SERVICE,
  SERVER_SOCKET_MODE,
  SERVER_SOCKET_OWNER,
  SERVER_USER,
} from "../../config/settings.ts";
import { encodeText } from "../../os/ffi/byte_text.ts";
import { pathOfUrl } from "../../os/process/program_lookup.ts";
import type { ProgramLookup } from "./program_lookup.ts";

/** Its id; a service of a file has another one, with the end of its name. */
export const METRICS_ID = "metrics";

/** Its program, which is no part of the master: nothing is formatted there. */
const PROGRAM = import.meta.resolve("../../metrics/main.ts");

/**
 * The shared settings that hold for it as well: as whom it runs, where its output goes, who may connect. All others
 * are meant for the programs of services, and could keep it from showing the status.
 */
const SHARED: ReadonlySet<string> = new Set([
  ...[SERVER_USER, SERVER_GROUP, SERVER_SOCKET_MODE, SERVER_SOCKET_OWNER],
  ...[SERVER_OUTPUT, SERVER_OUTPUT_FILE, SERVER_OUTPUT_ROTATE],
  ...[SERVER_OUTPUT_KEEP, SERVER_OUTPUT_TOTAL],
  ...[SERVER_LOG, LOG_LEVEL, LOG_FORMAT],
].map(({ name }) => name));

/** What the service is made of. */
export interface MetricsOptions extends Pick<ServiceOptions, "cwd" | "globals" | "check"> {
  /** The settings of the master. */
  readonly settings: Config;
  /** The services of files, sections and hooks. */
  readonly others: readonly ServiceConfig[];
  readonly lookup: ProgramLookup;
}

/** The user of the service among others, if it runs as another user than the master. */
export function metricsUser(
  services: readonly ServiceConfig[],
  { credentialsOf }: Pick<ProgramLookup, "credentialsOf">,
): number | undefined {
  const { user } = services.find(({ id }) => id === METRICS_ID) ?? {};
  return user === undefined ? undefined : credentialsOf({ user }).uid;
}

/** The service that the setting `metrics` asks for; undefined without it. */
export function metricsService(options: MetricsOptions): ServiceResult | undefined {
  const { settings, others, cwd } = options;
  const read = readSetting(settings, METRICS), origin = settingOrigin(settings, METRICS.name);
  // A wrong value is told with the other settings of the master.
  if (!read.ok || read.value === undefined) return undefined;
  const place: Place = origin === undefined || origin === "argument"
    ? { file: METRICS_ID }
    : origin;
  const rival = others.find(({ id }) => id === METRICS_ID);
  if (rival !== undefined) {
    const found = `the setting ${METRICS.name} makes a service of this name`;
    const message = cannot("use as a service", rival.id, { found, expected: "another name" });
    return { endpoints: [], problems: [{ ...rival.place, message }], warnings: [] };
  }
  const config = new Config(), socket = resolvePath(cwd, statusPath(settings)!);
  const found = faultOf(socket);
  if (found !== undefined) {
    const expected = `${MASTER_STATUS.name} = PATH, with another path of the status socket`;
    const message = cannot("show the status of", socket, { found, expected });
    return {
      endpoints: [],
      problems: [problemAt(origin, { key: METRICS.name, message })],
      warnings: [],
    };
  }
  const { command, permissions } = runOf(socket);
  const own = {
    [SERVER_COMMAND.name]: command.map(quoteWord).join(" "),
    [SERVER_SERVICE.name]: `http://${read.value}`,
    "server-proc-count": "1",
    "server-reload": "changed",
    ...(permissions && { "server-permissions": permissions.map(quoteWord).join(" ") }),
  };
  for (const [key, value] of Object.entries(own)) setFrom(config, key, value, origin ?? place);
  const globals = sharedOf(options.globals);
  const addressSetting = METRICS.name;
  const made = parseServiceConfig(config, {
    ...options,
    ...{ globals, id: METRICS_ID, place, addressSetting },
  });
  return { ...made, warnings: [...made.warnings, ...warningsOfRoot(made.service, options)] };
}

/** Warns of a service for everybody on the network that would run as root. */
function warningsOfRoot(
  service: ServiceConfig | undefined,
  { settings, lookup }: MetricsOptions,
): Problem[] {
  if (service === undefined || service.user !== undefined || settings.get(RUN_USER.name)) return [];
  if (!lookup.mayChangeUser()) return [];
  const found = `no ${SERVER_USER.name}, so the service ${METRICS_ID} runs as root`;
  const expected = `${SERVER_USER.name} = USER in a .gcf file or in the head of an INI file`;
  const message = cannot("confine", METRICS_ID, { found, expected });
  return [warningAt(settingOrigin(settings, METRICS.name), { key: METRICS.name, message })];
}

function sharedOf(globals: Config | undefined): Config {
  const shared = new Config();
  for (const key of globals?.keys() ?? []) {
    if (SHARED.has(key)) setFrom(shared, key, globals!.getRaw(key)!, settingOrigin(globals!, key));
  }
  return shared;
}

/** Why the service could not use a status socket at this path. */
function faultOf(path: string): string | undefined {
  const { length } = encodeText(path);
  if (length > UNIX_PATH_MAX) return `a path of ${length} bytes, more than ${UNIX_PATH_MAX}`;
  // Permissions of the runtime are lists with commas, which nothing can escape.
  return path.includes(",")
    ? "a path with a comma, which no permission of Deno can have"
    : undefined;
}

/** How the program is run with access to the status socket, and to nothing else. */
function runOf(
  socket: string,
): { readonly command: readonly string[]; readonly permissions?: readonly string[] } {
  // The permissions of a compiled program are compiled in.
  if (Deno.build.standalone) return { command: [SELF, METRICS_SERVER, socket] };
  const permissions = [
    `--allow-read=${socket}`,
    `--allow-write=${socket}`,
    `--allow-net=unix:${socket}`,
  ];
  const file = pathOfUrl(PROGRAM);
  if (file !== undefined) return { command: [file, socket], permissions };
  return { command: ["deno", "run", "--no-prompt", ...permissions, PROGRAM, socket] };
}
