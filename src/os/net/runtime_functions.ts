/**
 * The runtime's functions that open addresses, also where a program sees others in their place.
 *
 * @module
 */

/** The functions. */
export type OpeningFunctions = Pick<typeof Deno, "serve" | "listen" | "listenTls">;

const kept = new Map<keyof OpeningFunctions, PropertyDescriptor>();

/** The runtime's own functions; `Deno` may have others by these names. */
export const runtimeFunctions: OpeningFunctions = {
  get serve() {
    return own("serve");
  },
  get listen() {
    return own("listen");
  },
  get listenTls() {
    return own("listenTls");
  },
};

function own<N extends keyof OpeningFunctions>(name: N): OpeningFunctions[N] {
  const descriptor = kept.get(name);
  // `serve` is loaded by the first read.
  return descriptor === undefined ? Deno[name] : descriptor.value ?? descriptor.get!.call(Deno);
}

/** Gives the program other functions by the names of the runtime's. */
export function replaceFunctions(replacements: OpeningFunctions): void {
  for (const name of ["serve", "listen", "listenTls"] as const) {
    kept.set(name, Object.getOwnPropertyDescriptor(Deno, name)!);
    Object.defineProperty(Deno, name, {
      value: replacements[name],
      writable: true,
      enumerable: true,
      configurable: true,
    });
  }
}
