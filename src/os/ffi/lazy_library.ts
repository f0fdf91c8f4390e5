/**
 * Functions of a library that cost little until they are used much.
 *
 * For each function that it opens, the runtime compiles code to call it: 0.1 to 0.5 ms, and the
 * compiler is 2.5 MB of the runtime that is not in memory otherwise. A call through the address alone
 * takes 1.5 µs in place of 0.3 and needs none of that. Most functions are called a few times in the
 * life of a process, so each is called through its address first, and compiled when it has been called
 * often. docs/design/14_what_a_process_costs.md has the figures.
 *
 * @module
 */

/** How many calls are made through the address: compiling one takes as long as some 200 of them. */
export const CALLS_BY_ADDRESS = 200;

/**
 * Opens the functions of a library, each when it is first asked for.
 *
 * @param library The library, as dlopen(3) finds it.
 * @param definitions Its functions.
 * @returns The functions. Who calls one often should ask for it each time, rather than keep it.
 * @throws {Error} When a function is asked for that the library does not have.
 * @throws {Deno.errors.NotCapable} When one is asked for without `--allow-ffi`.
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

/** Compiled by the runtime, unless it is to run on a thread. */
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
  // What it says of a variable of type pointer is where the symbol is, be it a variable or a function.
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
    // Before the call, whose errno is to be read right after it.
    if (++calls === CALLS_BY_ADDRESS) replaceBy(open(library, name, definition));
    return call(...args);
  };
}
