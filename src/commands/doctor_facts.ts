/**
 * Gathers what `doctor` looks at: from the master's control socket, its settings files, and /proc.
 *
 * @module
 */
import { resolvePath } from "../config/address.ts";
import { Config } from "../config/config.ts";
import { sharedFor } from "../config/effective.ts";
import { readSetting, type Setting } from "../config/setting.ts";
import {
  CORE_FILE_SIZE,
  MAX_MEMORY,
  RUN_CHROOT,
  RUN_USER,
  SERVER_LOG,
} from "../config/settings.ts";
import type { ServiceStatus, Status } from "../control/status.ts";
import type { ResolvedService } from "../master/policy/resolved_service.ts";
import { outdatedCertificates } from "../master/services/certificates.ts";
import { locate } from "../master/services/command.ts";
import type { ProgramPlace } from "../master/services/program_lookup.ts";
import { ifThere } from "../os/fs/path.ts";
import { isClockSynchronized } from "../os/clock/synchronized.ts";
import { type ProcessFacts, processFacts } from "../os/process/process_facts.ts";
import { readProc } from "../os/process/processes.ts";
import type { CommandCall } from "./command.ts";
import { directoryOf, readConfiguration } from "./configuration.ts";
import { changedFiles } from "./doctor_files.ts";
import type { DoctorFacts, GivenToService, MachineFacts, RunsAs } from "./doctor_checks.ts";

/** How long before its end a certificate is named: longer than before the warning at a start. */
const CERTIFICATE_SOON_MS = 30 * 24 * 60 * 60 * 1000;

/**
 * Gathers everything.
 *
 * @param call The call of the command.
 * @param status The status of the master.
 * @throws {ConfigError} When a settings file of the master can't be read.
 */
export async function gatherFacts(call: CommandCall, status: Status): Promise<DoctorFacts> {
  const { pid, configDirectory } = status.master, master = processFacts(pid);
  if (master === undefined) {
    throw new Deno.errors.UnexpectedEof(`Cannot look at process ${pid}: it has ended`);
  }
  const found = directoryOf(pid);
  const inCwd = (cwd: string) =>
    configDirectory === null ? undefined : resolvePath(cwd, configDirectory);
  const { loaded, place } = await readConfiguration(
    call,
    found === undefined ? undefined : { directory: inCwd(found), cwd: found },
  );
  const { cwd } = place;
  const changed = changedFiles(loaded.services, {
    directory: inCwd(cwd),
    configFiles: call.settings.configFiles.map((path) => resolvePath(Deno.cwd(), path)),
    cwd,
  }, status);
  const services = loaded.problems.length > 0
    ? []
    : loaded.services.filter(({ id }) => changed.isInForce(id));
  const masterLog = readSetting(loaded.settings, SERVER_LOG);
  const syslogUsers = loaded.services.filter((one) => valueOf(one, SERVER_LOG)?.kind === "syslog")
    .map(({ id }) => id);
  if (masterLog.ok && masterLog.value?.kind === "syslog") syslogUsers.unshift("master");
  return {
    master,
    processes: status.services.flatMap(({ id, processes }) =>
      processes.filter(({ state }) => state === "ready").flatMap((one) => {
        const facts = processFacts(one.pid);
        return facts === undefined ? [] : [{ service: id, facts }];
      })
    ),
    failing: status.services.filter(isFailing),
    restarted: status.services.flatMap((one) =>
      isFailing(one) || one.lastExit === null ? [] : { ...one, lastExit: one.lastExit }
    ),
    nowMs: Date.now(),
    services: services.map((one) => givenTo(one, { place, master })),
    listeners: status.listeners,
    changedFiles: changed.paths,
    problems: loaded.problems.length,
    certificates: outdatedCertificates(
      loaded.services.map((one) => locate(one, place)),
      CERTIFICATE_SOON_MS,
    ),
    syslogUsers,
    machine: machineFacts(),
  };
}

function isFailing({ state }: Pick<ServiceStatus, "state">): boolean {
  return state === "failed" || state === "degraded";
}

/** What a service's settings give to its processes. */
function givenTo(
  service: ResolvedService,
  { place, master }: { readonly place: ProgramPlace; readonly master: ProcessFacts },
): GivenToService {
  const { id, masterChroot, permissions, script, credentials, gainsNothing } = service;
  const runsAs = runsAsOf(service, { place, master });
  return {
    id,
    // In another root the names mean other users.
    ...(masterChroot === undefined && { runsAs }),
    root: rootOf(service, { place, master }),
    // The user of this command may be another one than the master's.
    gainsNothing: gainsNothing || credentials !== undefined && !isOf(master, runsAs),
    ...(script !== undefined && { permissions }),
    // Programs of other kinds do not read these.
    ...(service.protocol === "control" && {
      coreFile: valueOf(service, CORE_FILE_SIZE),
      data: valueOf(service, MAX_MEMORY),
    }),
  };
}

/**
 * The root directory that a service's processes are to have, as this process sees it; undefined if it
 * can't be told.
 */
function rootOf(
  service: ResolvedService,
  { place: { cwd }, master }: { readonly place: ProgramPlace; readonly master: ProcessFacts },
): string | undefined {
  const { masterChroot, masterChdir, chroot } = service;
  const run = service.protocol === "control" ? valueOf(service, RUN_CHROOT) : undefined;
  if (master.root !== "/" || (chroot !== undefined && run !== undefined)) return undefined;
  const outer = masterChroot === undefined ? "/" : resolvePath(cwd, masterChroot);
  const inner = chroot ?? run;
  const start = masterChroot === undefined ? cwd : "/";
  const path = inner === undefined
    ? outer
    : `${outer}${resolvePath(resolvePath(start, masterChdir ?? "."), inner)}`;
  return ifThere(() => Deno.realPathSync(path));
}

/** Whether a process runs with a user and groups. */
function isOf({ uids, gids, groups }: ProcessFacts, runsAs: RunsAs): boolean {
  const { uid, gid } = runsAs, all = new Set([...groups, gid]);
  return uids.every((one) => one === uid) && gids.every((one) => one === gid) &&
    all.symmetricDifference(new Set([...runsAs.groups, gid])).size === 0;
}

function runsAsOf(
  service: ResolvedService,
  { place, master }: { readonly place: ProgramPlace; readonly master: ProcessFacts },
): RunsAs {
  const { user, group } = service, { lookup } = place;
  const runUser = service.protocol === "control" ? valueOf(service, RUN_USER) : undefined;
  const names = user === undefined && group === undefined ? { user: runUser } : { user, group };
  const [uid] = master.uids, [gid] = master.gids;
  if (names.user === undefined && names.group === undefined) {
    return { uid, gid, groups: master.groups };
  }
  return { uid, ...lookup.credentialsOf(names) };
}

/** A setting that a server reads itself; undefined where it is not set. */
function valueOf<T>({ settings, shared }: ResolvedService, setting: Setting<T>): T | undefined {
  const config = new Config();
  for (const [key, value] of shared) config.set(key, value);
  sharedFor(config, "server");
  for (const [key, value] of settings) config.set(key, value);
  const result = readSetting(config, setting);
  return result.ok ? result.value : undefined;
}

function machineFacts(): MachineFacts {
  const number = (path: string) => {
    const text = readProc(`sys/${path}`).trim();
    return text === "" ? undefined : Number(text);
  };
  const [used, , most] = readProc("sys/fs/file-nr").split(/\s+/).map(Number);
  const resets = number("net/ipv4/tcp_abort_on_overflow");
  return {
    queueLimit: number("net/core/somaxconn"),
    ...(resets !== undefined && { resetsOnOverflow: resets !== 0 }),
    ...(most > 0 && { openFiles: { used, most } }),
    hasSyslog: isSocket("/dev/log"),
    isClockSynchronized: isClockSynchronized(),
  };
}

function isSocket(path: string): boolean {
  try {
    return Deno.statSync(path).isSocket === true;
  } catch {
    return false;
  }
}
