/**
 * The duty of a master: what only one of several masters can hold, the lock of the pid file, the
 * pid in it, and the log service. All of it is transferred at once.
 *
 * @module
 */
import { LOG_SERVICE } from "../config/settings.ts";
import { zerror, zwarn } from "../log/log.ts";
import type { LogService } from "../log/log_service.ts";
import { SysError } from "../os/ffi/errors.ts";
import type { BoundDatagram } from "../os/net/bound_datagram.ts";
import { closeFd } from "../os/fd/descriptor.ts";
import type { PidFile } from "../os/process/lock_file.ts";
import { isStillThere, removeSocketFile } from "../os/net/socket_file.ts";
import { setting } from "./services/configuration.ts";
import { lockPidFile, openLogService, requireSamePidFile, tryPidFile } from "./pid_file.ts";

/** The duty of a master, which it holds; a new master only shares the lock at first. */
export class Duty {
  #lock: PidFile;
  #logService?: LogService;
  #isHeld = false;

  private constructor(lock: PidFile) {
    this.#lock = lock;
  }

  /**
   * Takes the lock, which no other process may hold.
   *
   * @throws {ConfigError} See {@linkcode lockPidFile}.
   */
  static take(): Duty {
    const duty = new Duty(lockPidFile());
    duty.#isHeld = true;
    return duty;
  }

  /**
   * Shares the lock of the old master until {@linkcode assume}.
   *
   * @param lock The lock, owned by the duty from now on.
   * @throws {ConfigError} See {@linkcode requireSamePidFile}.
   */
  static share(lock: PidFile): Duty {
    try {
      requireSamePidFile(lock);
    } catch (error) {
      lock.release();
      throw error;
    }
    return new Duty(lock);
  }

  /** Whether this master holds it. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** The lock. Borrowed. */
  get lock(): PidFile {
    return this.#lock;
  }

  /** The socket of the log service, borrowed; undefined without a log service. */
  get logSocket(): BoundDatagram | undefined {
    return this.#logService?.bound;
  }

  /**
   * Opens the log service.
   *
   * @param bound The socket of the old master's log service, if it had one.
   * @throws {ConfigError} When it can't be opened.
   */
  async openLog(bound?: BoundDatagram): Promise<void> {
    const config = setting(LOG_SERVICE);
    const isSame = bound !== undefined && bound.socketFile.path === config?.socket;
    if (bound !== undefined && !isSame) {
      try {
        removeSocketFile(bound.socketFile);
      } catch (error) {
        if (!(error instanceof SysError)) throw error;
        // A takeover goes on all the same.
        zwarn(`the socket of the old master's log service is left: ${error.message}`);
      }
      closeFd(bound.fd);
    }
    if (config !== undefined) {
      this.#logService = await openLogService(config, isSame ? bound : undefined);
    }
  }

  /**
   * Takes the duty over from the old master.
   *
   * @param bound The socket of the old master's log service, if it had one.
   * @throws {ConfigError} When the log service can't be opened.
   */
  async assume(bound?: BoundDatagram): Promise<void> {
    await this.openLog(bound);
    this.#lock.write(Deno.pid);
    this.#isHeld = true;
  }

  /** Reopens a log service whose socket file was removed: new processes could not reach it. */
  async repairLog(): Promise<void> {
    const old = this.#logService, config = setting(LOG_SERVICE);
    if (old === undefined || config === undefined || isStillThere(old.bound.socketFile)) return;
    try {
      this.#logService = await openLogService(config);
      await old.close();
      zwarn(`log-service ${config.socket} had lost its file, and was opened anew`);
    } catch (error) {
      zerror(`log-service ${config.socket} had lost its file: ${(error as Error).message}`);
    }
  }

  /** Writes the buffered lines of the log service to the files that are at their paths now. */
  flushLog(): void {
    this.#logService?.flush();
  }

  /** Pauses what two masters can't use at once, before a new master takes over. */
  pause(): void {
    this.#logService?.pause();
  }

  /** Resumes after the new master has failed, which may have replaced the log service by one at another path. */
  async resume(): Promise<void> {
    // A master that stops has already given the duty up.
    if (!this.#isHeld) return;
    this.#logService?.resume();
    this.#lock.write(Deno.pid);
    await this.repairLog();
  }

  /** Leaves the duty to the master that has taken it over. */
  leave(): void {
    this.#isHeld = false;
    this.#logService?.handOver();
    this.#lock.release();
  }

  /**
   * Takes the duty back from a master that has ended.
   *
   * @returns Whether that was possible; false if another master was faster.
   * @throws {ConfigError} When the pid file or the log service can't be opened any more.
   */
  async takeBack(): Promise<boolean> {
    const lock = tryPidFile();
    if (lock === undefined) return false;
    this.#lock = lock;
    try {
      await this.assume();
    } catch (error) {
      lock.clear();
      lock.release();
      throw error;
    }
    return true;
  }

  /**
   * Gives the duty up for the next master, while servers of this one drain. The log service still
   * accepts lines from connected processes.
   */
  giveUp(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#logService?.withdraw();
    this.#lock.clear();
    this.#lock.release();
  }

  /** Whether another master has taken the lock since {@linkcode giveUp}. */
  isTaken(): boolean {
    return this.#lock.readPid() !== undefined;
  }

  /** Gives the duty up, and waits until the log is on disk. */
  async close(): Promise<void> {
    await this.#logService?.close();
    if (this.#isHeld) this.#lock.clear();
    this.#lock.release();
  }
}
