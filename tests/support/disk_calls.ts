/**
 * The calls by which this process makes files durable, to be recorded or replaced in a test.
 *
 * @module
 */

type Call = "rename" | "link";

type PathCall = (from: string, to: string) => Promise<void>;

/** The calls so far; the runtime's own functions are back when it is disposed of. */
export interface Recording extends Disposable {
  /** The calls since the last time, in their order. */
  take(): string[];
}

/** Records fsync, rename and link. */
export function recording(): Recording {
  const seen: string[] = [];
  const undo = new DisposableStack();
  for (const name of ["rename", "link"] as const) {
    undo.use(replace(name, (real, ...args) => (seen.push(name), real(...args))));
  }
  const { sync } = Deno.FsFile.prototype;
  undo.defer(() => Deno.FsFile.prototype.sync = sync);
  Deno.FsFile.prototype.sync = function () {
    seen.push("fsync");
    return sync.call(this);
  };
  return { take: () => seen.splice(0), [Symbol.dispose]: () => undo.dispose() };
}

/**
 * Has some calls of a function do something else.
 *
 * @param name The function.
 * @param act What they do.
 * @param options Which calls, counted from 0.
 */
export function replacing(
  name: Call,
  act: PathCall,
  { calls }: { readonly calls: readonly number[] },
): Disposable {
  let count = 0;
  return replace(name, (real, ...args) => calls.includes(count++) ? act(...args) : real(...args));
}

function replace(
  name: Call,
  act: (real: PathCall, ...paths: Parameters<PathCall>) => Promise<void>,
): Disposable {
  const calls = Deno as Record<Call, PathCall>, real = calls[name];
  calls[name] = (...paths) => act(real, ...paths);
  return { [Symbol.dispose]: () => void (calls[name] = real) };
}
