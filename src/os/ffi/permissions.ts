/**
 * Tests of this program's permissions without a prompt.
 *
 * @module
 */

/**
 * Whether this program may make system calls. Without that it is limited to the runtime's functions that
 * need no permission: `node:net` on inherited descriptors.
 */
export function mayUseFfi(): boolean {
  return Deno.permissions.querySync({ name: "ffi" }).state === "granted";
}
