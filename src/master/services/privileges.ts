/**
 * The privileges of a service's processes: permissions, user and groups, root. Settings that can't
 * be granted are found before any process is started.
 *
 * A program is started as its final user. A server that speaks the control protocol, and needs the
 * master's privileges at first, drops them itself once it has its resources.
 *
 * @module
 */
import { resolvePath } from "../../config/address.ts";
import { cannot } from "../../config/errors.ts";
import { areAllPermissions, grantsFfi } from "../../config/permissions.ts";
import type { ServiceConfig } from "../../config/service.ts";
import { RUN_CHROOT, RUN_USER } from "../../config/settings.ts";
import { type Credentials, UnknownAccountError } from "../../os/user/accounts.ts";
import {
  envStepsOf,
  isRestricted,
  isScript,
  type Program,
  programOf,
  type ProgramPlace,
  protocolOf,
  viewFrom,
} from "./command.ts";
import type { EnvironmentChange } from "../../os/process/environment.ts";

/** The rights with which a program is started. */
export interface StartRights {
  /** The user and the groups that it runs with, if not those of the master. */
  readonly credentials?: Credentials;
  /** Whether it runs with no_new_privs; always so with credentials. */
  readonly gainsNothing?: boolean;
  /** The changes to the master's environment; `{pid}` stands for the pid of the program. */
  readonly env?: EnvironmentChange;
}

const ROOT_MASTER = { found: "not permitted", expected: "a master that runs as root" };

/**
 * Finds the program of a service, and the rights with which it is started.
 *
 * @param service The service.
 * @param place Where to look.
 * @returns The program; without credentials where it starts with the master's user and groups.
 * @throws {TypeError} When there is no such program, user or group.
 */
export function programToStart(service: ServiceConfig, place: ProgramPlace): Program & StartRights {
  const program = programOf(service, place), credentials = startCredentials(service, place);
  const losesLater = losesPrivileges(service, place);
  return {
    ...program,
    ...(runsWithoutCaches(service, place) && { env: environment(service, program, place) }),
    ...(losesLater && { gainsNothing: true }),
    ...(credentials && { credentials }),
  };
}

/** Whether its processes have more privileges at their start than later. */
function losesPrivileges(service: ServiceConfig, place: ProgramPlace): boolean {
  return changesItself(service, place) &&
    (service.chroot !== undefined || changesAtOnce(service) ||
      isForOthers(service) && !startsAsUser(service, place));
}

/**
 * A program that drops privileges later, or is restricted by permissions, must not have files open
 * that other programs execute.
 */
function runsWithoutCaches(service: ServiceConfig, place: ProgramPlace): boolean {
  return losesPrivileges(service, place) || isRestricted(service, place);
}

/**
 * The environment of a program without caches. A restricted script of the master's own user could write
 * to the translated modules of the master, so it gets a directory of its own for them.
 */
function environment(
  service: ServiceConfig,
  { root }: Program,
  place: ProgramPlace,
): EnvironmentChange {
  const isWriter = isRestricted(service, place) && otherCredentials(service, place) === undefined;
  return place.lookup.withoutCaches({
    root,
    ...(isWriter && { owner: resolvePath(place.cwd, service.file ?? service.id) }),
  });
}

/**
 * Checks that a command does not set up caches for a Deno program that must run without them.
 *
 * @param service The service.
 * @param place Where to look.
 * @throws {TypeError} When it does.
 */
export function requireNoCaches(service: ServiceConfig, place: ProgramPlace): void {
  const step = envStepsOf(service).find(({ variable, clearsAll }) =>
    clearsAll || variable === "DENO_DIR"
  );
  if (step === undefined || !runsWithoutCaches(service, place)) return;
  throw new TypeError(cannot("run", service.command.join(" "), {
    found: `"${step.words.join(" ")}", by which it would open caches that other programs run`,
    expected: "a server-command that leaves DENO_DIR to the master",
  }));
}

/**
 * The user with which a service's program is started.
 *
 * @param service The service.
 * @param place Where to look.
 * @returns The user and the groups; undefined where they are the master's.
 * @throws {TypeError} When there is no such user or group.
 */
export function startCredentials(
  service: ServiceConfig,
  place: ProgramPlace,
): Credentials | undefined {
  return startsAsUser(service, place) ? otherCredentials(service, place) : undefined;
}

/**
 * The final user of a service's processes.
 *
 * @param service The service.
 * @param place Where to look.
 * @returns The user and the groups; undefined where they are the master's.
 * @throws {TypeError} When there is no such user or group.
 */
export function otherCredentials(
  service: ServiceConfig,
  { lookup }: ProgramPlace,
): Credentials | undefined {
  if (!isForOthers(service)) return undefined;
  const credentials = lookup.credentialsOf(service);
  return lookup.hasCredentials(credentials) ? undefined : credentials;
}

/**
 * Checks that a service's processes can have the permissions of its settings.
 *
 * @throws {TypeError} When they can't.
 */
export function requirePermissions(service: ServiceConfig): void {
  const { permissions, protocol } = service;
  if (areAllPermissions(permissions)) return;
  const text = permissions.slice(1).join(" ") || "none";
  if (!isScript(service)) {
    throw new TypeError(cannot("grant", text, {
      found: "a server-command that is no script",
      expected: "all, or a script such as server.ts",
    }));
  }
  if (protocol === "control" && !grantsFfi(permissions)) {
    throw new TypeError(cannot("grant", text, {
      found: "server-protocol is control, which needs --allow-ffi",
      expected: "server-protocol = inherit or auto",
    }));
  }
}

/**
 * Checks that a service's processes can become the user of its settings.
 *
 * @throws {TypeError} When they can't.
 */
export function requireUser(service: ServiceConfig, place: ProgramPlace): void {
  if (service.user !== undefined) requireAccount("user", { service, place });
}

/**
 * Checks that a service's processes can become the group of its settings. With a user, a missing
 * privilege is reported for the user.
 *
 * @throws {TypeError} When they can't.
 */
export function requireGroup(service: ServiceConfig, place: ProgramPlace): void {
  if (service.group !== undefined) requireAccount("group", { service, place });
}

function requireAccount(
  key: "user" | "group",
  { service, place }: { readonly service: ServiceConfig; readonly place: ProgramPlace },
): void {
  const { user, group, masterChroot } = service, { lookup } = place;
  let isPermitted = lookup.mayChangeUser() || key === "group" && user !== undefined;
  // In another root the names mean other users.
  if (masterChroot === undefined || startsAsUser(service, place)) {
    try {
      const credentials = lookup.credentialsOf(key === "group" ? { group } : { user, group });
      isPermitted ||= lookup.hasCredentials(credentials);
    } catch (error) {
      if (!(error instanceof UnknownAccountError)) throw error;
      // The problem of the other setting is reported separately.
      if (error.which !== key) return;
      const about = { found: error.found, expected: `a ${key} of this system` };
      throw new TypeError(cannot("run as", service[key]!, about));
    }
  }
  if (!isPermitted) throw new TypeError(cannot("run as", service[key]!, ROOT_MASTER));
}

/**
 * Checks that a service's processes can change to the root directory of its settings.
 *
 * @throws {TypeError} When they can't.
 */
export function requireChroot(service: ServiceConfig, place: ProgramPlace): void {
  const { chroot } = service;
  if (chroot === undefined) return;
  const refuse = (about: { found: string; expected: string }): never => {
    throw new TypeError(cannot("change the root to", chroot, about));
  };
  if (!changesItself(service, place)) {
    const expected = "a server with --allow-ffi, or master-chroot";
    refuse({ found: "a program that can't do that itself", expected });
  }
  if (!viewFrom(service, place).isDirectory(chroot)) {
    refuse({ found: "no such directory", expected: "a directory" });
  }
  if (!place.lookup.mayChangeRoot()) refuse(ROOT_MASTER);
}

/** Whether a service's processes can drop privileges themselves. */
export function changesItself(service: ServiceConfig, place: ProgramPlace): boolean {
  return protocolOf(service, place) === "control";
}

/** Whether a service names a user or a group. */
function isForOthers({ user, group }: ServiceConfig): boolean {
  return user !== undefined || group !== undefined;
}

/** Whether they start as their final user: only root could change the root directory later. */
function startsAsUser(service: ServiceConfig, place: ProgramPlace): boolean {
  return !changesItself(service, place) ||
    service.startUser === "server-user" && service.chroot === undefined;
}

/** Whether they drop privileges at their start, by settings that the master does not apply. */
function changesAtOnce({ settings, shared }: ServiceConfig): boolean {
  return [RUN_USER, RUN_CHROOT].some(({ name }) => settings.has(name) || shared.has(name));
}
