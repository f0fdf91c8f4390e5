/**
 * The versions of the program.
 *
 * @module
 */
import { CONTROL_VERSION } from "../control/messages.ts";
import { PROTOCOL_VERSION } from "../ipc/protocol.ts";
import { VERSION } from "../control/version.ts";

/** One line for each version. */
export function versionLines(): string[] {
  return [
    `@zc/master ${VERSION}`,
    `deno ${Deno.version.deno}`,
    `protocol of servers ${PROTOCOL_VERSION}`,
    `protocol of the control socket ${CONTROL_VERSION}`,
  ];
}
