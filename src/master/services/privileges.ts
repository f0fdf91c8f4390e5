/**
 * What a service's processes may do: their permissions, their user and groups, their root. What can't
 * be given to them is found before any of them is started.
 *
 * A program is started as whom it is to be. A server that speaks the control protocol, and needs the
 * master's privileges at first, changes itself once it has all that it needs.
 *
 * @module
 */
import { resolvePath } from "../../config/address.ts";
import { cannot } from "../../config/errors.ts";
import { areAllPermissions, grantsFfi } from "../../config/permissions.ts";
import type { ServiceConfig } from "../../config/service.ts";
import { RUN_CHROOT, RUN_USER } from "../../config/settings.ts";
import { type Identity, UnknownIdentityError } from "../../os/user/identity.ts";
import {
  isRestricted,
  isScript,
  prefixOf,
  type Program,
  programOf,
  type ProgramPlace,
  protocolOf,
  viewFrom,
} from "./command.ts";
import type { EnvironmentChange } from "../../os/process/environment.ts";

/** What a program is started with beside its words. */
export interface StartRights {
  /** The user and the groups that it runs with, if not those of the master. */
  readonly identity?: Identity;
  /** Whether it gains nothing by what it executes; so it is with an identity in any case. */
  readonly gainsNothing?: boolean;
  /** What differs from the master's environment; `{pid}` stands for its pid. */
  readonly env?: EnvironmentChange;
}

/** Words of env(1) that set DENO_DIR, or take it away. */
const CHANGES_DENO_DIR = /^(DENO_DIR(=|$)|-uDENO_DIR$|--unset=DENO_DIR$|-i$|-$|--ignore-env)/;

const ROOT_MASTER = { found: "not permitted", expected: "a master that runs as root" };

/**
 * Finds the program of a service, and with which rights it is started.
 *
 * @param service The service.
 * @param place Where to look.
 * @returns The program; without an identity where it is started as the master is.
 * @throws {TypeError} When there is no such program, user or group.
 */
export function programToStart(service: ServiceConfig, place: ProgramPlace): Program & StartRights {
  const program = programOf(service, place), identity = startIdentity(service, place);
  const losesLater = losesPrivileges(service, place);
  return {
    ...program,
    ...(runsWithoutCaches(service, place) && { env: environment(service, program, place) }),
    ...(losesLater && { gainsNothing: true }),
    ...(identity && { identity }),
  };
}

/** Whether its processes have more at their start than later. */
function losesPrivileges(service: ServiceConfig, place: ProgramPlace): boolean {
  return changesItself(service, place) &&
    (service.chroot !== undefined || changesAtOnce(service) ||
      isForOthers(service) && !startsAsUser(service, place));
}

/**
 * What holds more at first, or may do less than its user, must have nothing open that other programs
 * run.
 */
function runsWithoutCaches(service: ServiceConfig, place: ProgramPlace): boolean {
  return losesPrivileges(service, place) || isRestricted(service, place);
}

/**
 * The environment of such a program. One that may write to the translated modules of the master, as
 * its user, translates them for itself: others would run what it puts into their place.
 */
function environment(
  service: ServiceConfig,
  { root }: Program,
  place: ProgramPlace,
): EnvironmentChange {
  const isWriter = isRestricted(service, place) && otherIdentity(service, place) === undefined;
  return place.lookup.withoutCaches({
    root,
    ...(isWriter && { owner: resolvePath(place.cwd, service.file ?? service.id) }),
  });
}

/**
 * Makes sure that a command brings no caches to a program of Deno that is to have none.
 *
 * @param service The service.
 * @param place Where to look.
 * @throws {TypeError} When it does.
 */
export function requireNoCaches(service: ServiceConfig, place: ProgramPlace): void {
  const word = prefixOf(service).find((part) => CHANGES_DENO_DIR.test(part));
  if (word === undefined || !runsWithoutCaches(service, place)) return;
  throw new TypeError(cannot("run", service.command.join(" "), {
    found: `"${word}", by which it would open caches that other programs run`,
    expected: "a server-command that leaves DENO_DIR to the master",
  }));
}

/**
 * As whom a service's program is started.
 *
 * @param service The service.
 * @param place Where to look.
 * @returns The user and the groups; undefined where they are the master's.
 * @throws {TypeError} When there is no such user or group.
 */
export function startIdentity(service: ServiceConfig, place: ProgramPlace): Identity | undefined {
  return startsAsUser(service, place) ? otherIdentity(service, place) : undefined;
}

/**
 * Whom a service's processes are to be.
 *
 * @param service The service.
 * @param place Where to look.
 * @returns The user and the groups; undefined where they are the master's.
 * @throws {TypeError} When there is no such user or group.
 */
export function otherIdentity(
  service: ServiceConfig,
  { lookup }: ProgramPlace,
): Identity | undefined {
  if (!isForOthers(service)) return undefined;
  const identity = lookup.identityOf(service);
  return lookup.isIdentity(identity) ? undefined : identity;
}

/**
 * Makes sure that a service's processes can have the permissions that are asked for.
 *
 * @param service The service.
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
 * Makes sure that a service's processes can become the user that is asked for.
 *
 * @param service The service.
 * @param place Where to look.
 * @throws {TypeError} When they can't.
 */
export function requireUser(service: ServiceConfig, place: ProgramPlace): void {
  if (service.user !== undefined) requireIdentity("user", { service, place });
}

/**
 * Makes sure that a service's processes can become the group that is asked for. With a user, whether
 * that is permitted is told of the user.
 *
 * @param service The service.
 * @param place Where to look.
 * @throws {TypeError} When they can't.
 */
export function requireGroup(service: ServiceConfig, place: ProgramPlace): void {
  if (service.group !== undefined) requireIdentity("group", { service, place });
}

function requireIdentity(
  key: "user" | "group",
  { service, place }: { readonly service: ServiceConfig; readonly place: ProgramPlace },
): void {
  const { user, group, masterChroot } = service, { lookup } = place;
  let isPermitted = lookup.mayChangeUser() || key === "group" && user !== undefined;
  // In another root the names mean other users.
  if (masterChroot === undefined || startsAsUser(service, place)) {
    try {
      const identity = lookup.identityOf(key === "group" ? { group } : { user, group });
      isPermitted ||= lookup.isIdentity(identity);
    } catch (error) {
      if (!(error instanceof UnknownIdentityError)) throw error;
      // The other one is told of by itself.
      if (error.which !== key) return;
      const about = { found: error.found, expected: `a ${key} of this system` };
      throw new TypeError(cannot("run as", service[key]!, about));
    }
  }
  if (!isPermitted) throw new TypeError(cannot("run as", service[key]!, ROOT_MASTER));
}

/**
 * Makes sure that a service's processes can change to the root directory that is asked for.
 *
 * @param service The service.
 * @param place Where to look.
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

/** Whether a service's processes can see to it that they lose privileges once they run. */
export function changesItself(service: ServiceConfig, place: ProgramPlace): boolean {
  return protocolOf(service, place) === "control";
}

/** Whether a service names a user or a group. */
function isForOthers({ user, group }: ServiceConfig): boolean {
  return user !== undefined || group !== undefined;
}

/** Whether they are started as whom they are to be: none but root could change the root later. */
function startsAsUser(service: ServiceConfig, place: ProgramPlace): boolean {
  return !changesItself(service, place) ||
    service.startUser === "server-user" && service.chroot === undefined;
}

/** Whether they lose privileges at their start, by settings that the master has no part in. */
function changesAtOnce({ settings, shared }: ServiceConfig): boolean {
  return [RUN_USER, RUN_CHROOT].some(({ name }) => settings.has(name) || shared.has(name));
}
