/**
 * The file of a service's captured output: appended in the background, and renamed when it is large or old.
 *
 * Two masters may write to one file while an upgrade is under way: it is opened for each write, and the master on
 * duty renames it.
 *
 * @module
 */
import type { OutputFileConfig } from "../../config/output.ts";
import { AppendQueue, type PendingBytes } from "../../log/append_queue.ts";
import { droppedText, periodName, timeOfDay } from "../../log/lines.ts";
import type { LogRecord, RecordEncoder } from "../../log/record.ts";
import type { Clock } from "../../os/clock/clock.ts";
import { othersMayRedirect } from "../../os/fs/trusted_open.ts";

/** What an output file needs. */
export interface OutputFileOptions extends OutputFileConfig {
  readonly clock: Clock;
  /** The time, in milliseconds since 1970. */
  now(): number;
  readonly encode: RecordEncoder;
  /** Whether this master renames files: while two of them write, only one does. */
  mayRotate(): boolean;
  /** Reports that the file can't be written or renamed, once for each period. */
  onError(message: string): void;
}

/** Only its user and group may read it: programs print what is secret. */
const MODE = 0o640;

/** A file for captured output. */
export class OutputFile {
  readonly #options: OutputFileOptions;
  readonly #queue: AppendQueue;
  #hasToldOfRotation = false;

  /** Opens nothing. */
  constructor(options: OutputFileOptions) {
    this.#options = options;
    const { path, clock, encode, now, onError } = options;
    this.#queue = new AppendQueue({
      path: () => path,
      notice: (dropped) =>
        encode({ ...OWN, timeMs: now(), level: "warn", text: droppedText(dropped) }),
      beforeWrite: (_path, bytes) => oneAtATime(path, () => this.#roomAfterRotation(bytes)),
      mode: MODE,
      ...{ clock, onError },
    });
  }

  /** Adds a record; one without room is dropped, and counted in the file. */
  append(record: LogRecord): void {
    const bytes = this.#options.encode(record);
    this.#queue.reserve(bytes.length)?.set(bytes);
  }

  /** Writes pending records without the usual delay. */
  flush(): void {
    this.#queue.flush();
  }

  /** Writes pending records; see `AppendQueue.close`. */
  close(): Promise<void> {
    return this.#queue.close();
  }

  /** Renames the file if it would be too large, or belongs to another period; returns how much it may grow. */
  async #roomAfterRotation({ firstLine }: PendingBytes): Promise<number> {
    const { path, maxBytes = Infinity, period, now, mayRotate } = this.#options;
    if (!mayRotate()) return Infinity;
    const found = await statOf(path);
    if (!found?.isFile || found.size === 0) return maxBytes;
    const nameOf = (ms: number) => period && periodName(new Date(ms), period);
    const isOld = nameOf(found.mtime?.getTime() ?? now()) !== nameOf(now());
    if (!isOld && found.size + firstLine <= maxBytes) return maxBytes - found.size;
    return await this.#rotate() ? maxBytes : Infinity;
  }

  /** Renames the file, and removes the oldest renamed ones; returns whether that has worked. */
  async #rotate(): Promise<boolean> {
    const { path } = this.#options;
    try {
      if (await othersMayRedirect(path) || await othersMayAdd(path)) {
        throw new TypeError(
          `Cannot rename "${path}": found a directory that other users may write to, ` +
            "expected one of root or of the master's user",
        );
      }
      await this.#rename();
      await this.#prune();
      this.#hasToldOfRotation = false;
      return true;
    } catch (error) {
      // Another program has renamed it, or removed an old one.
      if (error instanceof Deno.errors.NotFound) return true;
      if (!this.#hasToldOfRotation) {
        this.#hasToldOfRotation = true;
        this.#options.onError(`${(error as Error).message}; it grows on until it can be renamed`);
      }
      return false;
    }
  }

  /**
   * Renames the file to a name that no other master takes meanwhile, which would replace this file: at the moment of
   * an upgrade both may rename.
   */
  async #rename(): Promise<void> {
    const name = await this.#reserveName();
    try {
      await Deno.rename(this.#options.path, name);
    } catch (error) {
      await Deno.remove(name);
      throw error;
    }
  }

  /** Makes an empty file: its name is the path with the time of now, and a number where that name is taken. */
  async #reserveName(): Promise<string> {
    const date = new Date(this.#options.now());
    const time = `${periodName(date, "day")}-${timeOfDay(date).replaceAll(":", "")}`;
    const [youngest] = await this.#renamed(), name = `${this.#options.path}.${time}`;
    for (let number = youngest?.time === time ? youngest.number + 1 : 1;; number++) {
      const free = number === 1 ? name : `${name}-${number}`;
      try {
        (await Deno.open(free, { write: true, createNew: true, mode: MODE })).close();
        return free;
      } catch (error) {
        // The other master has just made it.
        if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      }
    }
  }

  /** Removes the oldest renamed files beyond the number and the total size. */
  async #prune(): Promise<void> {
    const { keep, totalBytes } = this.#options;
    let count = 0, total = 0;
    for (const { path, size } of await this.#renamed()) {
      total += size;
      if (++count > keep || total > totalBytes) await Deno.remove(path);
    }
  }

  /** The renamed files, the youngest first. */
  async #renamed(): Promise<RenamedFile[]> {
    const { path } = this.#options, end = path.lastIndexOf("/") + 1;
    const directory = path.slice(0, end), prefix = `${path.slice(end)}.`;
    const files: RenamedFile[] = [];
    for await (const { name, isFile } of Deno.readDir(directory)) {
      const match = name.startsWith(prefix) ? RENAMED.exec(name.slice(prefix.length)) : null;
      const found = isFile && match !== null ? await statOf(`${directory}${name}`) : undefined;
      // Only those that this master has made.
      if (found === undefined || found.uid !== Deno.uid()) continue;
      const [, time, number = "1"] = match!;
      files.push({ path: `${directory}${name}`, size: found.size, time, number: Number(number) });
    }
    return files.sort((a, b) => a.time === b.time ? b.number - a.number : a.time < b.time ? 1 : -1);
  }
}

/** A file that was renamed. */
interface RenamedFile {
  readonly path: string;
  readonly size: number;
  /** When it was renamed, as in its name. */
  readonly time: string;
  /** Its number among those of the same second. */
  readonly number: number;
}

/** The last work on each path. */
const works = new Map<string, Promise<unknown>>();

/** Does a work on a path after those before it: two files may have one path. */
function oneAtATime<T>(path: string, work: () => Promise<T>): Promise<T> {
  const result = (works.get(path) ?? Promise.resolve()).then(work, work);
  works.set(path, result);
  return result;
}

const OTHERS_MAY_WRITE = 0o022;
const RENAMED = /^(\d{8}-\d{6})(?:-(\d+))?$/;
/** The source of lines about the file itself. */
const OWN = { ident: "master", pid: Deno.pid } as const;

/** Whether other users may make files beside a file; in a sticky directory they may. */
async function othersMayAdd(path: string): Promise<boolean> {
  const { mode } = await Deno.stat(path.slice(0, path.lastIndexOf("/") + 1));
  return ((mode ?? OTHERS_MAY_WRITE) & OTHERS_MAY_WRITE) !== 0;
}

async function statOf(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
