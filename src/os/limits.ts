/**
 * Limits of this process and of those that it starts (setrlimit(2)).
 *
 * @module
 */
import { libc, unwrap } from "./libc.ts";

const RLIMIT_DATA = 2, RLIMIT_CORE = 4;

/** RLIM_INFINITY. */
const UNLIMITED = 2n ** 64n - 1n;

/**
 * Limits the memory for data. Not the address space (RLIMIT_AS): the runtime reserves far more of
 * that than it ever uses, and could not start.
 *
 * @param bytes The limit; Infinity for none.
 * @throws {SysError} When it is above what this process may ask for.
 */
export function limitMemory(bytes: number): void {
  setLimit(RLIMIT_DATA, bytes);
}

/**
 * Limits the size of a core file.
 *
 * @param bytes The limit; Infinity for none.
 * @throws {SysError} When it is above what this process may ask for.
 */
export function limitCoreFile(bytes: number): void {
  setLimit(RLIMIT_CORE, bytes);
}

function setLimit(resource: number, bytes: number): void {
  const value = bytes === Infinity ? UNLIMITED : BigInt(bytes);
  const limit = new BigUint64Array([value, value]);
  unwrap(
    { syscall: "setrlimit", subject: bytes },
    () => libc().setrlimit(resource, new Uint8Array(limit.buffer)),
  );
}
