/**
 * What one service of a program does with the descriptors of its addresses.
 *
 * @module
 */
import type { FdType } from "../server/common.ts";
import { softstopSignal } from "../server/common.ts";

/** What a handler is told beside its connection. */
export interface ServiceContext {
  /** The name of the service in `server-service`; may be empty. */
  readonly service: string;
  /**
   * Aborted when the server is told to stop: what runs as long as its client wants, such as a stream, ends then.
   */
  readonly signal: AbortSignal;
}

/** A service, made by {@linkcode http}, {@linkcode connections}, {@linkcode lines} and their like. */
export class Service {
  readonly #start: (service: string, fd: number, fdType: FdType) => void | Promise<void>;
  readonly #prepare: (() => void) | undefined;

  /**
   * A service of a kind of its own.
   *
   * @param start Starts to serve one address; called once for each. It owns the descriptor from then on.
   * @param prepare Called once before, as the user that the server was started as: reads what the server can't read
   * in another root or as another user.
   */
  constructor(
    start: (fd: number, fdType: FdType, context: ServiceContext) => void | Promise<void>,
    prepare?: () => void,
  ) {
    this.#prepare = prepare;
    this.#start = (service, fd, fdType) => start(fd, fdType, { service, signal: softstopSignal() });
  }

  /** Prepares to serve, before the server changes its user and its root. */
  prepare(): void {
    this.#prepare?.();
  }

  /**
   * Starts to serve an address.
   *
   * @param service The name of the service.
   * @param fd The descriptor as `serviceRegister` received it.
   * @param fdType Its type.
   */
  async serve(service: string, fd: number, fdType: FdType): Promise<void> {
    await this.#start(service, fd, fdType);
  }
}
