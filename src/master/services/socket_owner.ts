/**
 * The owner of a service's socket files, and whether the master can set it.
 *
 * @module
 */
import { cannot } from "../../config/errors.ts";
import type { ServiceConfig } from "../../config/service.ts";
import type { ServerProtocol } from "../../config/settings.ts";
import type { SocketOwner } from "../../config/socket_access.ts";
import { UnknownAccountError } from "../../os/user/accounts.ts";
import type { ProgramPlace } from "./program_lookup.ts";

/** Programs of these protocols may take descriptors of their clients; servers of the control protocol have no use for them. */
const TAKE_DESCRIPTORS: readonly ServerProtocol[] = ["libzc", "systemd"];

/** Mode and owner of a service's socket files, as the settings name them, and what its clients may do. */
export interface SocketAccess {
  readonly mode?: number;
  readonly owner?: SocketOwner;
  /** Whether they may send descriptors. */
  readonly takesDescriptors?: boolean;
}

/** The access to a service's socket files; undefined where all of it is the default. */
export function socketAccessOf(
  { socketMode: mode, socketOwner: owner, protocol }: ServiceConfig,
): SocketAccess | undefined {
  const takesDescriptors = TAKE_DESCRIPTORS.includes(protocol);
  if (mode === undefined && owner === undefined && !takesDescriptors) return undefined;
  return {
    ...(mode !== undefined && { mode }),
    ...(owner && { owner }),
    ...(takesDescriptors && { takesDescriptors }),
  };
}

/**
 * Checks that the socket files of a service can be given to the owner of its settings.
 *
 * @throws {TypeError} When there is no such user or group, or the master lacks the privilege.
 */
export function requireSocketOwner({ socketOwner }: ServiceConfig, { lookup }: ProgramPlace): void {
  if (socketOwner === undefined) return;
  const { user = "", group } = socketOwner;
  const refuse = (found: string, expected: string): never => {
    const text = group === undefined ? user : `${user}:${group}`;
    throw new TypeError(cannot("give a socket to", text, { found, expected }));
  };
  try {
    if (lookup.mayGiveTo(lookup.ownerOf(socketOwner))) return;
  } catch (error) {
    if (!(error instanceof UnknownAccountError)) throw error;
    refuse(error.found, `a ${error.which} of this system, or a number`);
  }
  refuse("not permitted", "a master that runs as root, or the master's own user and groups");
}
