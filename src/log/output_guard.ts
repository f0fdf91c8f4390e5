/**
 * `console`, `Deno.stdout` and `process.stdout` in a process that serves clients or supervises
 * others: a terminal that is closed, a pipe that nobody reads and a full disk must neither make them
 * throw nor make them wait, since that would cost a client its answer.
 *
 * docs/design/17_signals_and_output.md says what of it leans on the runtime.
 *
 * @module
 */
import { processSignals } from "../os/process/signals.ts";
import { type OutputName, writeOutput } from "./outputs.ts";

/** What of the runtime is used here that its types know nothing of. */
interface Internals {
  /** The class of `console`: it formats, and hands text and level (above 1: an error) to a function. */
  readonly Console?: new (print: (text: string, level: number) => void) => Console;
  /** Whether node's `process` is in use. */
  readonly __nodeProcessBootstrapped?: boolean;
}

/** An output of node, as far as it is used here. */
interface NodeStream {
  on(event: "error", listener: () => void): void;
}

const NAMES: readonly OutputName[] = ["stdout", "stderr"];
const encoder = new TextEncoder();

/** `console` as this process has found it: what a program has replaced since is left alone. */
const found: Readonly<Record<string, unknown>> = { ...console };

let isGuarded = false;
let isNodeGuarded = false;

/**
 * Takes over what prints, for the rest of the life of this process. What nobody takes is kept up to
 * 1 MiB for each output, and dropped beyond that.
 */
export function guardOutputs(): void {
  guardNodeOutputs();
  if (isGuarded) return;
  isGuarded = true;
  // A write beyond a limit of file sizes fails then, as on a full disk.
  processSignals.on("SIGXFSZ", () => {});
  guardConsole();
  for (const name of NAMES) guardWriter(name);
}

/**
 * The same for `process.stdout` and `process.stderr`, which is to be done again when more of the
 * program has been loaded: they are not looked at where nothing uses node, since that would load it.
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
        // Without a listener an error of it ends the process.
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
    if (typeof method !== "function" || console[name as keyof Console] !== found[name]) continue;
    Object.assign(console, { [name]: method });
  }
}

function print(text: string, level: number): void {
  writeOutput(level > 1 ? "stderr" : "stdout", encoder.encode(text));
}

/** For a runtime without that class: what can't be printed is lost, and a full pipe waited for. */
function catching(methods: Console): Record<string, unknown> {
  const entries = Object.entries(methods).map(([name, method]) => [name, (...args: unknown[]) => {
    try {
      return method(...args);
    } catch {
      // There is no place to say it.
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
