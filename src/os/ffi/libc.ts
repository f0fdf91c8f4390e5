/**
 * libc, opened on first use, and the one gate that turns results into errors.
 *
 * Importing this file opens nothing, so a program that never touches a descriptor needs no
 * `--allow-ffi`.
 *
 * @module
 */
import { encodeText } from "./byte_text.ts";
import { EAGAIN, EINTR, SysError } from "./errors.ts";
import { openLazily } from "./lazy_library.ts";
import { SYMBOLS } from "./symbols.ts";

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

/**
 * Where a function of libc is, to be handed to another one.
 *
 * @param name The function.
 */
export function symbolAddress(name: string): Deno.PointerValue {
  // What the runtime says of a variable of type pointer is where the symbol is.
  return Deno.dlopen(LIBRARY, { [name]: { type: "pointer" } }).symbols[name] as Deno.PointerValue;
}

/**
 * Refuses to go on where the layouts and calls of this layer do not hold.
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

/** errno of the last synchronous call; to be read before any other call is made. */
export function errno(): number {
  return errnoView.getInt32();
}

/** What a system call was doing, for its error message. */
export interface CallContext {
  /** The function's name. */
  readonly syscall: string;
  /** What it was called on: a path, an address, a descriptor. */
  readonly subject?: string | number;
}

/**
 * Runs a system call, again after EINTR, and turns a negative result into an error.
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

/**
 * A `char *const []` with its final NULL: pointers and strings in one piece of memory, so that they
 * live and die together.
 *
 * @param strings The strings.
 */
export function cStringArray(strings: readonly string[]): Uint8Array<ArrayBuffer> {
  const encoded = strings.map(cString);
  const tableBytes = 8 * (strings.length + 1);
  // Not the small kind of typed array, which the garbage collector may move.
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
