/**
 * Protection of `console`, `Deno.stdout` and `process.stdout` in masters and servers: a closed terminal, a pipe
 * without a reader and a full disk must neither make them throw nor block, since that would cost a client its
 * response.
 *
 * docs/design/17_signals_and_output.md lists the internals of the runtime that it depends on.
 *
 * @module
 */
import { processSignals } from "../os/process/signals.ts";
import { type OutputName, writeOutput } from "./outputs.ts";
import { consoleAtStart, consoleExports } from "./telemetry.ts";

/** The internals of the runtime that its types do not declare. */
interface Internals {
  /** The class of `console`: it formats, and passes text and level (above 1: an error) to a function. */
  readonly Console?: new (print: (text: string, level: number) => void) => Console;
  /** Whether node's `process` is in use. */
  readonly __nodeProcessBootstrapped?: boolean;
}

/** The part of a node output that is used here. */
interface NodeStream {
  on(event: "error", listener: () => void): void;
}

type Call = (...args: unknown[]) => void;

const NAMES: readonly OutputName[] = ["stdout", "stderr"];
const encoder = new TextEncoder();

let isGuarded = false;
let isNodeGuarded = false;

/**
 * Redirects all output functions, for the rest of the process. Up to 1 MiB for each output is queued, and the
 * rest is dropped.
 */
export function guardOutputs(): void {
  guardNodeOutputs();
  if (isGuarded) return;
  isGuarded = true;
  // A write beyond the file size limit fails then, as on a full disk.
  processSignals.on("SIGXFSZ", () => {});
  guardConsole();
  for (const name of NAMES) guardWriter(name);
}

/**
 * The same for `process.stdout` and `process.stderr`, to be repeated when more of the program has been loaded:
 * if node is not in use, they are not touched, since that would load it.
 */
export function guardNodeOutputs(): void {
  if (isNodeGuarded || internals().__nodeProcessBootstrapped !== true) return;
  isNodeGuarded = true;
  const { process } = globalThis as unknown as { process: Record<OutputName, NodeStream> };
  for (const name of NAMES) {
    const { get } = Object.getOwnPropertyDescriptor(process, name) ?? {};
    if (get === undefined) continue;
    let guarded: NodeStream | undefined;
    Object.defineProperty(process, name, {
      configurable: true,
      enumerable: true,
      get() {
        const stream: NodeStream = get.call(process);
        // Without a listener an error on it ends the process.
        if (stream !== guarded) (guarded = stream).on("error", () => {});
        return stream;
      },
    });
  }
}

function guardConsole(): void {
  const { Console } = internals();
  const methods = Console === undefined ? catching(console) : new Console(print);
  for (const [name, method] of Object.entries(methods)) {
    const found = consoleAtStart[name];
    if (typeof method !== "function" || console[name as keyof Console] !== found) continue;
    // Without the class, each method calls the one that exports.
    const exportsToo = consoleExports() && Console !== undefined;
    Object.assign(console, { [name]: exportsToo ? both(method, found) : method });
  }
}

function both(method: Call, other: unknown): Call {
  return (...args) => {
    method(...args);
    if (typeof other === "function") other(...args);
  };
}

function print(text: string, level: number): void {
  writeOutput(level > 1 ? "stderr" : "stdout", encoder.encode(text));
}

/** For a runtime without that class: failed output is lost, and a full pipe blocks. */
function catching(methods: Console): Record<string, unknown> {
  const entries = Object.entries(methods).map(([name, method]) => [name, (...args: unknown[]) => {
    try {
      return method(...args);
    } catch {
      // There is no other output for the error.
    }
  }]);
  return Object.fromEntries(entries);
}

function guardWriter(name: OutputName): void {
  const writeSync = (data: Uint8Array) => {
    writeOutput(name, data);
    return data.length;
  };
  Object.assign(Deno[name], {
    writeSync,
    write: (data: Uint8Array) => Promise.resolve(writeSync(data)),
  });
  let writable: WritableStream<Uint8Array> | undefined;
  Object.defineProperty(Deno[name], "writable", {
    get: () => writable ??= new WritableStream({ write: (data) => void writeSync(data) }),
  });
}

function internals(): Internals {
  const { internal } = Deno as unknown as { internal: symbol };
  return (Deno as unknown as Record<symbol, Internals>)[internal] ?? {};
}
