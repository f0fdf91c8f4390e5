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
import type { ResolvedService } from "../policy/resolved_service.ts";
import type { Located } from "./command.ts";
import { type ProgramPlace, viewFrom } from "./program_lookup.ts";

const ROOT_MASTER = { found: "not permitted", expected: "a master that runs as root" };

/** Whether its processes have more privileges at their start than later. */
function losesPrivileges(located: Located): boolean {
  const { service } = located;
  return changesItself(located) &&
    (service.chroot !== undefined || changesAtOnce(service) ||
      isForOthers(service) && !startsAsUser(located));
}

/**
 * A program that drops privileges later, or is restricted by permissions, must not have files open
 * that other programs execute.
 */
function runsWithoutCaches(located: Located): boolean {
  return losesPrivileges(located) || located.isRestricted;
}

/**
 * The rights with which a service's program is started.
 *
 * A restricted script of the master's own user could write to the translated modules of the master, so
 * it gets a directory of its own for them.
 *
 * @throws {TypeError} When there is no such user or group.
 */
export function startRights(
  located: Located,
): Pick<ResolvedService, "credentials" | "gainsNothing" | "cacheless"> {
  const { service, place } = located, credentials = startCredentials(located);
  const isWriter = located.isRestricted && otherCredentials(located) === undefined;
  const owner = resolvePath(place.cwd, service.file ?? service.id);
  return {
    gainsNothing: losesPrivileges(located),
    ...(credentials && { credentials }),
    ...(runsWithoutCaches(located) && { cacheless: isWriter ? { owner } : {} }),
  };
}

/**
 * Checks that a command does not set up caches for a Deno program that must run without them.
 *
 * @throws {TypeError} When it does.
 */
export function requireNoCaches(located: Located): void {
  const step = located.steps.find(({ variable, clearsAll }) =>
    clearsAll || variable === "DENO_DIR"
  );
  if (step === undefined || !runsWithoutCaches(located)) return;
  throw new TypeError(cannot("run", located.service.command.join(" "), {
    found: `"${step.words.join(" ")}", by which it would open caches that other programs run`,
    expected: "a server-command that leaves DENO_DIR to the master",
  }));
}

/**
 * Checks that the variables of a service do not set up caches for a Deno program that must run
 * without them.
 *
 * @param located The service, with its complete variables.
 * @throws {TypeError} When they do.
 */
export function requireNoCacheVariable(located: Located): void {
  if (!located.service.environment.has("DENO_DIR") || !runsWithoutCaches(located)) return;
  throw new TypeError(cannot("set variable", "DENO_DIR", {
    found: "a server with fewer rights later or by its permissions, which would open caches there",
    expected: "DENO_DIR in the environment of the master",
  }));
}

/**
 * The user with which a service's program is started.
 *
 * @returns The user and the groups; undefined where they are the master's.
 * @throws {TypeError} When there is no such user or group.
 */
export function startCredentials(located: Located): Credentials | undefined {
  return startsAsUser(located) ? otherCredentials(located) : undefined;
}

/**
 * The final user of a service's processes.
 *
 * @returns The user and the groups; undefined where they are the master's.
 * @throws {TypeError} When there is no such user or group.
 */
export function otherCredentials({ service, place: { lookup } }: Located): Credentials | undefined {
  if (!isForOthers(service)) return undefined;
  const credentials = lookup.credentialsOf(service);
  return lookup.hasCredentials(credentials) ? undefined : credentials;
}

/**
 * Checks that a service's processes can have the permissions of its settings.
 *
 * @throws {TypeError} When they can't.
 */
export function requirePermissions({ service, script, self }: Located): void {
  const { permissions, protocol } = service;
  if (areAllPermissions(permissions)) return;
  const text = permissions.slice(1).join(" ") || "none";
  if (self?.kind === "binary") {
    throw new TypeError(cannot("grant", text, {
      found: "a compiled program, whose permissions are those of deno compile",
      expected: "server-permissions = all",
    }));
  }
  if (script === undefined && self === undefined) {
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
export function requireUser(located: Located): void {
  if (located.service.user !== undefined) requireAccount("user", located);
}

/**
 * Checks that a service's processes can become the group of its settings. With a user, a missing
 * privilege is reported for the user.
 *
 * @throws {TypeError} When they can't.
 */
export function requireGroup(located: Located): void {
  if (located.service.group !== undefined) requireAccount("group", located);
}

function requireAccount(key: "user" | "group", located: Located): void {
  const { service, place: { lookup } } = located, { user, group, masterChroot } = service;
  let isPermitted = lookup.mayChangeUser() || key === "group" && user !== undefined;
  // In another root the names mean other users.
  if (masterChroot === undefined || startsAsUser(located)) {
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
export function requireChroot(located: Located): void {
  const { service: { chroot }, view } = located;
  if (chroot === undefined) return;
  const refuse = (about: { found: string; expected: string }): never => {
    throw new TypeError(cannot("change the root to", chroot, about));
  };
  if (!changesItself(located)) {
    const expected = "a server with --allow-ffi, or master-chroot";
    refuse({ found: "a program that can't do that itself", expected });
  }
  if (!view.isDirectory(chroot)) {
    refuse({ found: "no such directory", expected: "a directory" });
  }
  if (!view.mayChangeRoot()) refuse(ROOT_MASTER);
}

/**
 * Checks that a service's processes can change to the root directory that the settings name.
 *
 * @throws {TypeError} When they can't.
 */
export function requireRoot({ masterChroot }: ServiceConfig, { lookup, cwd }: ProgramPlace): void {
  if (masterChroot === undefined) return;
  if (!lookup.isDirectory(resolvePath(cwd, masterChroot))) {
    const about = { found: "no such directory", expected: "a directory" };
    throw new TypeError(cannot("change the root to", masterChroot, about));
  }
  if (!lookup.mayChangeRoot()) {
    throw new TypeError(cannot("change the root to", masterChroot, ROOT_MASTER));
  }
}

/**
 * Checks that a service's processes can change to the working directory that the settings name.
 *
 * @throws {TypeError} When they can't.
 */
export function requireDirectory(service: ServiceConfig, place: ProgramPlace): void {
  const { masterChdir, masterChroot } = service;
  if (masterChdir === undefined || viewFrom(service, place).isDirectory(".")) return;
  const seen = masterChroot === undefined ? "" : ", seen from the new root";
  const about = { found: "no such directory", expected: `a directory${seen}` };
  throw new TypeError(cannot("change the directory to", masterChdir, about));
}

/** Whether a service's processes can drop privileges themselves. */
export function changesItself({ protocol }: Located): boolean {
  return protocol === "control";
}

/** Whether a service names a user or a group. */
function isForOthers({ user, group }: ServiceConfig): boolean {
  return user !== undefined || group !== undefined;
}

/** Whether they start as their final user: only root could change the root directory later. */
function startsAsUser(located: Located): boolean {
  const { startUser, chroot } = located.service;
  return !changesItself(located) || startUser === "server-user" && chroot === undefined;
}

/** Whether they drop privileges at their start, by settings that the master does not apply. */
function changesAtOnce({ settings, shared }: ServiceConfig): boolean {
  return [RUN_USER, RUN_CHROOT].some(({ name }) => settings.has(name) || shared.has(name));
}
