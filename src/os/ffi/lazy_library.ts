/**
 * Functions of a library that are compiled only after many calls.
 *
 * For each function that it opens, the runtime compiles code to call it: 0.1 to 0.5 ms, and 2.5 MB of memory
 * for the compiler. A call by the function's address takes 1.5 µs instead of 0.3 and needs neither. Most
 * functions are called a few times in the life of a process, so each is called by address first, and compiled
 * after a number of calls. docs/design/14_what_a_process_costs.md has the figures.
 *
 * @module
 */

/** The number of calls by address: compiling takes as long as some 200 of them. */
export const CALLS_BY_ADDRESS = 200;

/**
 * Opens the functions of a library, each at its first use.
 *
 * @param library The library, as dlopen(3) finds it.
 * @param definitions Its functions.
 * @returns The functions. Read the property at each call rather than keep the function.
 * @throws {Error} When the library does not have a function.
 * @throws {Deno.errors.NotCapable} At a first use without `--allow-ffi`.
 */
export function openLazily<T extends Record<string, Deno.ForeignFunction>>(
  library: string,
  definitions: T,
): Deno.DynamicLibrary<T>["symbols"] {
  const functions = {};
  for (const [name, definition] of Object.entries(definitions)) {
    const replaceBy = (value: unknown) => Object.defineProperty(functions, name, { value });
    Object.defineProperty(functions, name, {
      configurable: true,
      get() {
        const value = definition.nonblocking
          ? open(library, name, definition)
          : openByAddress(library, { name, definition, replaceBy });
        Object.defineProperty(functions, name, { value, configurable: true });
        return value;
      },
    });
  }
  return functions as Deno.DynamicLibrary<T>["symbols"];
}

/** Opens a function: compiled by the runtime if it runs on a thread, by address otherwise. */
function open(library: string, name: string, definition: Deno.ForeignFunction): unknown {
  return Deno.dlopen(library, { [name]: definition }).symbols[name];
}

function openByAddress(
  library: string,
  { name, definition, replaceBy }: {
    readonly name: string;
    readonly definition: Deno.ForeignFunction;
    readonly replaceBy: (value: unknown) => void;
  },
): (...args: unknown[]) => unknown {
  // For a variable of type pointer the runtime returns the address of the symbol, also that of a function.
  const { [name]: address } = Deno.dlopen(library, {
    [name]: { name: definition.name ?? name, type: "pointer" },
  }).symbols;
  const pointer = new Deno.UnsafeFnPointer(
    address as Deno.PointerObject<typeof definition>,
    definition,
  );
  const call = pointer.call.bind(pointer) as (...args: unknown[]) => unknown;
  let calls = 0;
  return (...args) => {
    // Before the call, whose errno is read directly after it.
    if (++calls === CALLS_BY_ADDRESS) replaceBy(open(library, name, definition));
    return call(...args);
  };
}
