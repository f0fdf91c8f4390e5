/**
 * Who runs the tests: they pass for root and for an ordinary user, and show each what happens to
 * the other where they can.
 *
 * @module
 */

const CAP_NET_BIND_SERVICE = 10;
/** A user without any rights. */
export const NOBODY = 65_534;

/** Makes this process an ordinary user's for good, if it is root's. Not for the test process. */
export function becomeOrdinaryUser(): void {
  if (Deno.uid() !== 0) return;
  const { setresgid, setresuid } = Deno.dlopen("libc.so.6", {
    setresgid: { parameters: ["u32", "u32", "u32"], result: "i32" },
    setresuid: { parameters: ["u32", "u32", "u32"], result: "i32" },
  }).symbols;
  if (setresgid(NOBODY, NOBODY, NOBODY) !== 0 || setresuid(NOBODY, NOBODY, NOBODY) !== 0) {
    throw new Error(`Cannot become user ${NOBODY}: not permitted, expected a root that may`);
  }
}

/** The lowest port that needs no privilege (ip(7), ip_unprivileged_port_start). */
export function firstOrdinaryPort(): number {
  return Number(Deno.readTextFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start"));
}

/** Whether this process may listen on the ports below {@linkcode firstOrdinaryPort}. */
export function mayUsePrivilegedPorts(): boolean {
  const status = Deno.readTextFileSync("/proc/self/status");
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1]}`);
  return (effective >> BigInt(CAP_NET_BIND_SERVICE) & 1n) === 1n;
}

/**
 * Makes a file another user's, a link being a link; for root alone.
 *
 * @param path The file.
 */
export function giveLinkAway(path: string): void {
  const { success } = new Deno.Command("chown", { args: ["-h", `${NOBODY}:${NOBODY}`, path] })
    .outputSync();
  if (!success) {
    throw new Error(`Cannot give "${path}" away: not permitted, expected a root that may`);
  }
}
