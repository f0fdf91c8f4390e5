/**
 * What only one of several masters can have: the lock of the pid file with the pid in it, and the log
 * service. All of it changes hands at one point.
 *
 * @module
 */
import { LOG_SERVICE } from "../config/settings.ts";
import { zinfo } from "../log/log.ts";
import type { LogService } from "../log/log_service.ts";
import type { BoundDatagram } from "../os/net/datagram.ts";
import { closeFd } from "../os/fd/descriptor.ts";
import type { PidFile } from "../os/process/lock_file.ts";
import { removeSocketFile } from "../os/net/socket.ts";
import { isStillThere } from "../os/net/socket_file.ts";
import { setting } from "./services/configuration.ts";
import { lockPidFile, openLogService, requireSamePidFile, tryPidFile } from "./pid_file.ts";

/** The duty of a master, which it has, or shares the lock of. */
export class Duty {
  #lock: PidFile;
  #logService?: LogService;
  #isHeld = false;

  private constructor(lock: PidFile) {
    this.#lock = lock;
  }

  /**
   * Takes the lock, which nobody else may have.
   *
   * @throws {ConfigError} See {@linkcode lockPidFile}.
   */
  static take(): Duty {
    const duty = new Duty(lockPidFile());
    duty.#isHeld = true;
    return duty;
  }

  /**
   * Shares the lock of the master whose place this one is to take, until {@linkcode assume}.
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

  /** Whether this is the master that has it. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** The lock, which stays the duty's. */
  get lock(): PidFile {
    return this.#lock;
  }

  /** The socket of the log service, which stays the duty's; undefined where there is none. */
  get logSocket(): BoundDatagram | undefined {
    return this.#logService?.bound;
  }

  /**
   * Opens the log service.
   *
   * @param bound The socket of the old master's, if it had one.
   * @throws {ConfigError} When it can't be opened.
   */
  async openLog(bound?: BoundDatagram): Promise<void> {
    const config = setting(LOG_SERVICE);
    const isSame = bound !== undefined && bound.socketFile.path === config?.socket;
    if (bound !== undefined && !isSame) {
      removeSocketFile(bound.socketFile);
      closeFd(bound.fd);
    }
    if (config !== undefined) {
      this.#logService = await openLogService(config, isSame ? bound : undefined);
    }
  }

  /**
   * Takes it over from the old master.
   *
   * @param bound The socket of the old master's log service, if it had one.
   * @throws {ConfigError} When the log service can't be opened.
   */
  async assume(bound?: BoundDatagram): Promise<void> {
    await this.openLog(bound);
    this.#lock.write(Deno.pid);
    this.#isHeld = true;
  }

  /** Opens the log service anew where its socket has lost its file: it can be reached by nobody new. */
  async mendLog(): Promise<void> {
    const old = this.#logService, config = setting(LOG_SERVICE);
    if (old === undefined || config === undefined || isStillThere(old.bound.socketFile)) return;
    try {
      this.#logService = await openLogService(config);
      await old.close();
      zinfo(`warning: log-service ${config.socket} had lost its file, and was opened anew`);
    } catch (error) {
      zinfo(`warning: log-service ${config.socket} had lost its file: ${(error as Error).message}`);
    }
  }

  /** Writes what the log service holds back, to the files that are at their paths now. */
  flushLog(): void {
    this.#logService?.flush();
  }

  /** Lets go, for a new master that is about to take over, of what both can't use at once. */
  pause(): void {
    this.#logService?.pause();
  }

  /** Goes on as before: the new master has failed. */
  resume(): void {
    // Given up by now, where this master stops.
    if (!this.#isHeld) return;
    this.#logService?.resume();
    this.#lock.write(Deno.pid);
  }

  /** Leaves it to another master, which has taken it over. */
  leave(): void {
    this.#isHeld = false;
    this.#logService?.handOver();
    this.#lock.release();
  }

  /**
   * Takes it back from a master that has ended.
   *
   * @returns Whether it could be had; not so where another one was faster.
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
   * Gives it up for whoever starts next, while servers of this master finish. Lines for its log service
   * are still taken from those that are connected with it.
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

  /** Ends it, and waits until the log is on disk. */
  async close(): Promise<void> {
    await this.#logService?.close();
    if (this.#isHeld) this.#lock.clear();
    this.#lock.release();
  }
}
