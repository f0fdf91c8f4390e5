/**
 * What a service's processes may do: their permissions, their user and groups, their root. What can't
 * be given to them is found before any of them is started.
 *
 * A server that speaks the control protocol and may use FFI changes itself, once it has all that it
 * needs; any other program is started as whom it is to be.
 *
 * @module
 */
import { cannot } from "../config/errors.ts";
import { areAllPermissions, grantsFfi } from "../config/permissions.ts";
import type { ServiceConfig } from "../config/service.ts";
import { type Identity, UnknownIdentityError } from "../os/identity.ts";
import {
  isScript,
  type Program,
  programOf,
  type ProgramPlace,
  protocolOf,
  viewFrom,
} from "./program.ts";

const ROOT_MASTER = { found: "not permitted", expected: "a master that runs as root" };

/**
 * Finds the program of a service, and whom it is to run as.
 *
 * @param service The service.
 * @param place Where to look.
 * @returns The program; without an identity where it runs as the master does.
 * @throws {TypeError} When there is no such program, user or group.
 */
export function programToStart(
  service: ServiceConfig,
  place: ProgramPlace,
): Program & { readonly identity?: Identity } {
  const program = programOf(service, place);
  const { user, group } = service;
  if (user === undefined && group === undefined || changesItself(service, place)) return program;
  const identity = place.lookup.identityOf({ user, group });
  return place.lookup.isIdentity(identity) ? program : { ...program, identity };
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
  if (masterChroot === undefined || !changesItself(service, place)) {
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

/** Whether a service's processes see to it that they lose privileges. */
function changesItself(service: ServiceConfig, place: ProgramPlace): boolean {
  return protocolOf(service, place) === "control";
}
