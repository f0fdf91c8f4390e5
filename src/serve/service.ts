/**
 * What one service of a program does with the descriptors of its addresses.
 *
 * @module
 */
import { cannot, ConfigError } from "../config/errors.ts";
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

/** How an address of each type is written in `server-service`. */
const WRITTEN: Readonly<Record<FdType, string>> = {
  inet: "host:port",
  unix: "the path of a unix socket",
  fifo: "a named pipe, fifo:PATH",
};

/** What a service that needs a connection can serve. */
export const OF_CONNECTIONS: readonly FdType[] = ["inet", "unix"];

/**
 * Requires that an address is of a type that a service can serve.
 *
 * @throws {ConfigError} When it is another one.
 */
export function requireType(service: string, fdType: FdType, types: readonly FdType[]): void {
  if (types.includes(fdType)) return;
  throw new ConfigError([{
    key: "server-service",
    message: cannot("serve", nameOf(service), {
      found: `${WRITTEN[fdType]} as its address`,
      expected: types.map((type) => WRITTEN[type]).join(", or "),
    }),
  }]);
}

/** A service in a message; its address may have no name. */
export function nameOf(service: string): string {
  return service === "" ? "an address without a name" : service;
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
