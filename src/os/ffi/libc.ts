/**
 * libc, opened at first use, and the conversion of its results to errors.
 *
 * Importing this file opens nothing, so a program that never uses a descriptor needs no `--allow-ffi`.
 *
 * @module
 */
import { encodeText } from "./byte_text.ts";
import { EAGAIN, EINTR, SysError } from "./errors.ts";
import { openLazily } from "./lazy_library.ts";
import { FAST_SYMBOLS, SYMBOLS } from "./symbols.ts";

type Symbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

const LIBRARY = "libc.so.6";

let symbols: Symbols | undefined;
let errnoView: Deno.UnsafePointerView;

/**
 * The libc functions of {@linkcode SYMBOLS}.
 *
 * @returns The callable symbols; the same object each time.
 * @throws {Deno.errors.NotSupported} On anything but Linux on x86-64 or arm64.
 * @throws {Deno.errors.NotCapable} Without `--allow-ffi`.
 */
export function libc(): Symbols {
  if (symbols === undefined) {
    requireSupportedPlatform();
    symbols = openLazily(LIBRARY, SYMBOLS);
    // errno is one location per thread, and all synchronous calls are made on this one.
    errnoView = new Deno.UnsafePointerView(symbols.__errno_location()!);
  }
  return symbols;
}

let fast: Deno.DynamicLibrary<typeof FAST_SYMBOLS>["symbols"] | undefined;

/**
 * The libc functions of {@linkcode FAST_SYMBOLS}, compiled with the first use of any of them. The functions of
 * {@linkcode libc} are replaced after some calls, and a place that has called two different functions stays slow.
 *
 * @throws As {@linkcode libc}.
 */
export function fastLibc(): Deno.DynamicLibrary<typeof FAST_SYMBOLS>["symbols"] {
  if (fast === undefined) {
    // Prepares errno.
    libc();
    fast = Deno.dlopen(LIBRARY, FAST_SYMBOLS).symbols;
  }
  return fast;
}

/** The address of a libc function, to be passed to another one. */
export function symbolAddress(name: string): Deno.PointerValue {
  // For a variable of type pointer the runtime returns the address of the symbol.
  return Deno.dlopen(LIBRARY, { [name]: { type: "pointer" } }).symbols[name] as Deno.PointerValue;
}

/**
 * Throws on a platform with other layouts and calls.
 *
 * @throws {Deno.errors.NotSupported} On anything but Linux on x86-64 or arm64.
 */
export function requireSupportedPlatform(): void {
  const { os, arch } = Deno.build;
  if (os !== "linux" || (arch !== "x86_64" && arch !== "aarch64")) {
    throw new Deno.errors.NotSupported(
      `Cannot run on "${os} ${arch}": @zc/master works with Linux system calls, expected Linux on x86-64 or arm64`,
    );
  }
}

/** errno of the last synchronous call; must be read before any other call. */
export function errno(): number {
  return errnoView.getInt32();
}

/** A system call and its object, for its error message. */
export interface CallContext {
  /** The function's name. */
  readonly syscall: string;
  /** The object of the call: a path, an address, a descriptor. */
  readonly subject?: string | number;
}

/**
 * Makes a system call, repeats it after EINTR, and converts a negative result to an error.
 *
 * @param context Names the call in the error.
 * @param invoke Makes the call, and nothing after it: errno is read next.
 * @returns The result, 0 or positive.
 * @throws {SysError} When the call fails.
 */
export function unwrap(context: CallContext, invoke: () => number | bigint): number {
  const result = unwrapOrBlock(context, invoke);
  if (result === undefined) throw sysError(context, EAGAIN);
  return result;
}

/**
 * As {@linkcode unwrap}, for calls on non-blocking descriptors.
 *
 * @param context Names the call in the error.
 * @param invoke Makes the call.
 * @returns The result, or undefined when the call would block (EAGAIN).
 * @throws {SysError} When the call fails in another way.
 */
export function unwrapOrBlock(
  context: CallContext,
  invoke: () => number | bigint,
): number | undefined {
  for (;;) {
    const result = Number(invoke());
    if (result >= 0) return result;
    const code = errno();
    if (code === EAGAIN) return undefined;
    if (code !== EINTR) throw sysError(context, code);
  }
}

function sysError({ syscall, subject }: CallContext, code: number): SysError {
  return new SysError(syscall, code, subject?.toString());
}

/** A NUL-terminated copy of a string, for `const char *` parameters; see {@linkcode encodeText}. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return encodeText(`${text}\0`);
}

/** A `char *const []` with its final NULL: pointers and strings in one piece of memory. */
export function cStringArray(strings: readonly string[]): Uint8Array<ArrayBuffer> {
  const encoded = strings.map(cString);
  const tableBytes = 8 * (strings.length + 1);
  // Not a small typed array, which the garbage collector may move.
  const memory = new ArrayBuffer(encoded.reduce((sum, { length }) => sum + length, tableBytes));
  const bytes = new Uint8Array(memory), table = new BigUint64Array(memory, 0, strings.length + 1);
  const start = Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes));
  let offset = tableBytes;
  for (const [index, string] of encoded.entries()) {
    bytes.set(string, offset);
    table[index] = start + BigInt(offset);
    offset += string.length;
  }
  return bytes;
}
