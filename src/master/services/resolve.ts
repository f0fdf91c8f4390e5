/**
 * What the settings of a service mean on this machine: its program, its user, its arguments. All is
 * looked up once, when the settings are read; problems that would otherwise appear only when the first
 * process is started are found here.
 *
 * @module
 */
import { cannot, type Problem, problemAt, refusal, warningAt } from "../../config/errors.ts";
import { nearName } from "../../config/lint_cf.ts";
import { originOf, type ServiceCheck, type ServiceConfig } from "../../config/service.ts";
import {
  MASTER_CHROOT,
  RUN_CHROOT,
  RUN_USER,
  SERVER_CHROOT,
  SERVER_DRAIN_TIMEOUT,
  SERVER_IDLE_EXIT,
  SERVER_MAX_CONNECTIONS,
  SERVER_MAX_MEMORY,
  SERVER_STANDBY_COUNT,
  SERVER_START_USER,
  SERVER_WATCHDOG,
  type Setting,
  settingOf,
} from "../../config/settings.ts";
import { BYTE_LIMIT } from "../../config/values.ts";
import { UNCHANGED_HINT } from "../policy/readiness.ts";
import type { ResolvedService } from "../policy/resolved_service.ts";
import { certificateStamp } from "./certificates.ts";
import { locate, type Located } from "./command.ts";
import { commandFiles, stampOf } from "./command_files.ts";
import { requireTrustedCommand } from "./file_permissions.ts";
import { scriptRunOf } from "./module_versions.ts";
import {
  requireChroot,
  requireDirectory,
  requireGroup,
  requireNoCaches,
  requirePermissions,
  requireRoot,
  requireUser,
  startRights,
} from "./privileges.ts";
import { requireOutputFile } from "./output_file_check.ts";
import type { ProgramPlace } from "./program_lookup.ts";
import { requireProtocol } from "./protocol_choice.ts";
import { serverArguments, settingArguments } from "./server_argv.ts";
import { requireSocketOwner } from "./socket_owner.ts";
import { sizeProblems } from "./start_size.ts";
import { requireSockets } from "./unchanged_program.ts";

/** Where to look for programs, and the directory of the settings files. */
export interface ResolverPlace extends ProgramPlace {
  readonly configPath?: string;
}

/** What was found out about a service. */
interface Found {
  readonly located: Located;
  /** The arguments of a server; none for a program of systemd's protocol. */
  readonly argv: readonly string[];
  /** The files of its command. */
  readonly files: readonly string[];
  readonly rights: ReturnType<typeof startRights>;
}

/** Checks and resolves the services of one configuration. */
export class ServiceResolver {
  readonly #place: ResolverPlace;
  /** By id; a configuration with the same id twice is refused. */
  readonly #found = new Map<string, Found>();

  /** @param place Where to look. */
  constructor(place: ResolverPlace) {
    this.#place = place;
  }

  /** Finds the program of a service, and the problems that would prevent the start of a process. */
  readonly check: ServiceCheck = (service) => {
    const place = this.#place;
    const at = (problem: { readonly key: string; readonly message: string }) =>
      // A shared setting is not in the service's own file.
      problemAt(originOf(service, problem.key), problem);
    const check = (key: string, attempt: () => unknown): Problem[] => {
      try {
        attempt();
        return [];
      } catch (error) {
        return [at({ key, message: refusal(error) })];
      }
    };
    let located: Located | undefined, argv: readonly string[] | undefined;
    const missing = check("server-command", () => located = locate(service, place));
    const outside = check("master-chroot", () => {
      // The only protocol without arguments.
      argv = service.protocol === "systemd" ? [] : serverArguments(service, place);
    });
    const files = located ? commandFiles(located) : [];
    const problems = [
      ...missing,
      ...check("server-output-file", () => requireOutputFile(service, place)),
      ...check("server-socket-owner", () => requireSocketOwner(service, place)),
      ...check("master-chroot", () => requireRoot(service, place)),
      ...outside,
      ...check("master-chdir", () => requireDirectory(service, place)),
      // These checks depend on the kind of program.
      ...(located
        ? PROGRAM_CHECKS.flatMap(([key, demand]) => check(key, () => demand(located!, files)))
        : []),
      ...(located && argv ? sizeProblems(located, argv).map(at) : []),
    ];
    if (problems.length > 0 || !located || !argv) return problems;
    const found = { located, argv, files };
    return check("server-user", () => {
      this.#found.set(service.id, { ...found, rights: startRights(found.located) });
    });
  };

  /** A service of the configuration with its program; it has passed {@linkcode check}. */
  located(service: ServiceConfig): Located {
    return { ...this.#found.get(service.id)!.located, service };
  }

  /** Looks up what a start of the service's processes needs. */
  resolve(located: Located): ResolvedService {
    const { service, program, protocol, view, script, self, unchanged, addressCall } = located;
    const { argv, files, rights } = this.#found.get(service.id)!;
    const scriptRun = scriptRunOf(located);
    const settings = protocol === "libzc" ? settingArguments(service) : [];
    return {
      ...service,
      // Running processes of other protocols can't receive descriptors.
      ...(protocol !== "control" && { supervision: { ...service.supervision, standbyCount: 0 } }),
      fingerprint: JSON.stringify([
        service.fingerprint,
        stampOf(files, view),
        certificateStamp(located),
      ]),
      protocol,
      program,
      argv: [...argv, ...settings],
      ...(!view.changesRoot && view.denoPath && { denoPath: view.denoPath }),
      ...(self?.kind === "binary" && { selfBinary: self.path }),
      ...(script !== undefined && { script }),
      ...(unchanged && { unchanged }),
      ...(addressCall !== undefined && { addressCall }),
      ...rights,
      ...(scriptRun && { scriptRun }),
    };
  }
}

/** The checks of a service whose program was found, with the settings that they are about. */
const PROGRAM_CHECKS: readonly (readonly [
  key: string,
  demand: (located: Located, files: readonly string[]) => void,
])[] = [
  ["server-command", requireProtocol],
  ["server-service", requireSockets],
  ["server-command", requireTrustedCommand],
  ["server-command", requireNoCaches],
  ["server-permissions", requirePermissions],
  ["server-user", requireUser],
  ["server-group", requireGroup],
  ["server-chroot", requireChroot],
];

/** The warnings about settings that the program of a service can't follow. */
export function protocolWarnings(located: Located): Problem[] {
  return [
    ...opensAddress(located),
    ...unsupportedSettings(located),
    ...unreadSettings(located),
    ...tinyMemory(located),
    ...confinedAsRoot(located),
  ];
}

/** Warns of a program that opens its addresses itself, and never takes the sockets of its service. */
function opensAddress({ service, addressCall }: Located): Problem[] {
  if (addressCall === undefined) return [];
  const key = "server-command";
  const message = cannot("take for a server of @zc/master", service.command.join(" "), {
    found: `${addressCall}, and no name of @zc/master`,
    expected: UNCHANGED_HINT,
  });
  return [warningAt(originOf(service, key), { key, message })];
}

/** Warns of settings that need a server of this framework, or one with FFI. */
function unsupportedSettings({ service, protocol }: Located): Problem[] {
  if (protocol === "control") return [];
  const isForeign = protocol !== "inherit";
  const isGiven = ({ name }: Setting<unknown>) =>
    service.settings.has(name) || service.shared.has(name);
  const { watchdogMs, maxConnections, idleExitMs, standbyCount } = service.supervision;
  const given = [
    ...(isForeign && watchdogMs > 0 ? [SERVER_WATCHDOG] : []),
    ...(isForeign && maxConnections !== undefined ? [SERVER_MAX_CONNECTIONS] : []),
    ...(isForeign && idleExitMs > 0 ? [SERVER_IDLE_EXIT] : []),
    ...(standbyCount > 0 ? [SERVER_STANDBY_COUNT] : []),
    ...(service.startUser === "master" ? [SERVER_START_USER] : []),
    ...(protocol === "libzc" && isGiven(SERVER_DRAIN_TIMEOUT) ? [SERVER_DRAIN_TIMEOUT] : []),
  ];
  const expected = isForeign ? "a server of this framework" : "a server with --allow-ffi";
  return given.map(({ name: key }) => {
    const found = `a program with the ${protocol} protocol, which can't heed it`;
    const message = cannot("use", key, { found, expected });
    return warningAt(originOf(service, key), { key, message });
  });
}

/** What the runtime uses at least, with most of its memory shared; what any program does. */
const LEAST_OF_DENO = "16m", LEAST_OF_ANY = "64k";

/** Warns of a limit below what a process uses from its start on, such as a number without its unit. */
function tinyMemory(located: Located): Problem[] {
  const { service, script, self, denoArgs } = located, { maxMemoryBytes } = service.supervision;
  const isDeno = [script, self, denoArgs].some((one) => one !== undefined);
  const least = isDeno ? LEAST_OF_DENO : LEAST_OF_ANY;
  if (maxMemoryBytes === 0 || maxMemoryBytes >= BYTE_LIMIT.parse(least)) return [];
  const { name: key } = SERVER_MAX_MEMORY;
  const text = service.settings.get(key) ?? service.shared.get(key)!;
  const message = cannot("keep within", text, {
    found: "each process uses more and would be replaced after 10 s, again and again",
    expected: `${least} or more${/^[0-9]+$/.test(text) ? `, such as ${text}m` : ""}`,
  });
  return [warningAt(originOf(service, key), { key, message })];
}

/** Warns of names that nothing reads: an unchanged program has no settings of its own. */
function unreadSettings({ service, unchanged }: Located): Problem[] {
  if (unchanged === undefined) return [];
  // A name that is nearly a known one has its warning.
  const isUnread = (key: string) => settingOf(key) === undefined && nearName(key) === undefined;
  return [...service.settings.keys()].filter(isUnread).map((key) => {
    const message = cannot("use", key, {
      found: "no setting has this name, and an unchanged program reads none",
      expected: "a name that docs/settings.md lists",
    });
    return warningAt(originOf(service, key), { key, message });
  });
}

/** Warns of a changed root for a server that remains root. */
function confinedAsRoot({ service, place: { lookup } }: Located): Problem[] {
  const { settings, shared, user, chroot, masterChroot } = service;
  const ownWord = ({ name }: Setting<unknown>) => settings.get(name) || shared.get(name);
  // In another root the name means another user.
  const isRoot = user === undefined
    ? lookup.mayChangeRoot()
    : masterChroot === undefined && lookup.credentialsOf(service).uid === 0;
  if (!isRoot || ownWord(RUN_USER)) return [];
  const roots = [
    [MASTER_CHROOT.name, masterChroot],
    [SERVER_CHROOT.name, chroot],
    [RUN_CHROOT.name, ownWord(RUN_CHROOT)],
  ] as const;
  return roots.flatMap(([key, value]) => {
    if (!value) return [];
    const found = "a server that stays root's, and root can leave any root directory";
    const message = cannot("confine to", value, { found, expected: "server-user beside it" });
    return [problemAt(originOf(service, key), { key, message })];
  });
}
