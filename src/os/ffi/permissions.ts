/**
 * What the runtime lets this program do, asked without the prompt that the attempt would bring up.
 *
 * @module
 */

/**
 * Whether this program may call the system itself. Without that it has what the runtime gives to
 * programs without any permission: `node:net` on descriptors that it has inherited.
 */
export function mayUseFfi(): boolean {
  return Deno.permissions.querySync({ name: "ffi" }).state === "granted";
}

/** Whether this program may start any others. */
export function mayStartPrograms(): boolean {
  const { state, partial } = Deno.permissions.querySync({ name: "run" });
  return state === "granted" || partial === true;
}
