/**
 * The pid file: who holds its lock is the master (LIB-ZC section 4, flock(2)).
 *
 * The file is never removed: between an unlink and the next open two masters could hold a lock on
 * two files of the same name.
 *
 * @module
 */
import { closeFd, O_CREAT, O_RDWR } from "./descriptor.ts";
import { libc, unwrap, unwrapOrBlock } from "./libc.ts";
import { openTrusted } from "./trusted_open.ts";

const LOCK_EX = 2, LOCK_NB = 4;
const PID_WIDTH = 10;

/** A lock that is held for as long as its descriptor is open. */
export class PidFile {
  #fd: number;

  private constructor(fd: number, readonly path: string) {
    this.#fd = fd;
  }

  /**
   * Opens the file, creating it with mode 0666 less the umask, and tries to lock it.
   *
   * @param path The pid file.
   * @returns The lock, or undefined when another process holds it.
   * @throws {SysError} When the file can't be opened, or a link of another user leads to it.
   */
  static tryLock(path: string): PidFile | undefined {
    const fd = openTrusted(path, O_RDWR | O_CREAT, 0o666);
    try {
      const locked = unwrapOrBlock(
        { syscall: "flock", subject: path },
        () => libc().flock(fd, LOCK_EX | LOCK_NB),
      );
      if (locked !== undefined) return new PidFile(fd, path);
    } catch (error) {
      closeFd(fd);
      throw error;
    }
    closeFd(fd);
    return undefined;
  }

  /**
   * Takes a lock over that another process holds on the same open file. Who has the descriptor has
   * the lock, and it is free when the last of them has closed it.
   *
   * @param fd The descriptor, owned by the lock from now on.
   * @param path The pid file.
   */
  static inherit(fd: number, path: string): PidFile {
    return new PidFile(fd, path);
  }

  /** The descriptor, which stays the lock's. */
  get fd(): number {
    return this.#fd;
  }

  /**
   * Whether the file that is locked is the one at a path.
   *
   * @param path The path.
   */
  isAt(path: string): boolean {
    try {
      const locked = Deno.statSync(`/proc/self/fd/${this.#fd}`), found = Deno.statSync(path);
      return locked.dev === found.dev && locked.ino === found.ino;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }

  /**
   * Writes a pid, padded to ten characters; only the holder of the lock may.
   *
   * @param pid The pid.
   * @throws {SysError} When the disk is full or the file system is read-only.
   */
  write(pid: number): void {
    const text = new TextEncoder().encode(String(pid).padEnd(PID_WIDTH));
    const subject = this.path;
    // In this order there is a pid in it at every moment, when a new master takes over.
    unwrap(
      { syscall: "pwrite", subject },
      () => libc().pwrite(this.#fd, text, BigInt(text.length), 0n),
    );
    unwrap(
      { syscall: "ftruncate", subject },
      () => libc().ftruncate(this.#fd, BigInt(text.length)),
    );
  }

  /** Takes the pid out of the file: it will be another process's one day. */
  clear(): void {
    libc().ftruncate(this.#fd, 0n);
  }

  /** Gives the lock up; harmless when it is given up already. */
  release(): void {
    if (this.#fd < 0) return;
    closeFd(this.#fd);
    this.#fd = -1;
  }
}
