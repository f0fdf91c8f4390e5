/**
 * Limits of this process and of those that it starts (setrlimit(2)).
 *
 * @module
 */
import { libc, unwrap } from "./libc.ts";
import { readTextProcSelf } from "./proc_self.ts";

const RLIMIT_DATA = 2, RLIMIT_CORE = 4;

/** RLIM_INFINITY. */
const UNLIMITED = 2n ** 64n - 1n;

/**
 * Limits how much memory this process, and each that it starts, may use for data (RLIMIT_DATA).
 *
 * What is mapped by now and not in use comes on top: the runtime maps half a gigabyte for code that
 * it never fills, and with a limit below that it could not start another of its kind. The limit of
 * the address space (RLIMIT_AS) is no help: the runtime reserves tens of gigabytes of it.
 *
 * @param bytes The limit; Infinity for none.
 * @throws {SysError} When it is above what this process may ask for.
 */
export function limitMemory(bytes: number): void {
  setLimit(RLIMIT_DATA, bytes + mappedAndUnused());
}

/** See proc_pid_status(5). */
function mappedAndUnused(): number {
  const status = readTextProcSelf("status");
  const bytes = (name: string) =>
    1024 * Number(new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(status)?.[1] ?? 0);
  return Math.max(0, bytes("VmData") - bytes("RssAnon"));
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
