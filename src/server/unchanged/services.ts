/**
 * The services of a program that knows nothing of its master: each gets its socket from the master, and is used
 * where the program asks for its address.
 *
 * @module
 */
import { resolvePath } from "../../config/address.ts";
import type { AssignedService } from "../../ipc/unchanged_start.ts";
import { zinfo, zwarn } from "../../log/log.ts";
import { addressText, type FdType, type ListenAddress } from "../../os/net/socket.ts";
import { backend } from "../backend/chosen.ts";
import { isSamePlace, type RequestedAddress, serviceFor, warningOf } from "./addresses.ts";

/** A socket as the master has passed it. */
export interface PassedSocket {
  /** Owned by the receiver. */
  readonly fd: number;
  readonly type: FdType;
}

/** A service, which the program has asked for or not. */
export class ProgramService {
  readonly name: string;
  /** As configured, and the one of the socket once that is there. */
  address: ListenAddress;
  /** Whether the program has asked for it. */
  isTaken = false;
  /** Fulfilled when the program listens on it, or has closed its listener before the socket was there. */
  readonly listening: Promise<void>;
  /** Fulfilled when the program has closed its listener. */
  readonly released: Promise<void>;
  /** A standby gets its sockets late. */
  readonly #passed = Promise.withResolvers<PassedSocket>();
  readonly #listening = Promise.withResolvers<void>();
  readonly #released = Promise.withResolvers<void>();

  constructor({ name, address }: AssignedService) {
    this.name = name;
    this.address = address;
    this.listening = this.#listening.promise;
    this.released = this.#released.promise;
  }

  /** The address in the form of the runtime. */
  get addr(): (Deno.NetAddr & { transport: "tcp" }) | (Deno.UnixAddr & { transport: "unix" }) {
    const { address } = this;
    return address.kind === "inet"
      ? { transport: "tcp", hostname: address.hostname, port: address.port }
      : { transport: "unix", path: address.path };
  }

  /** Passes the socket on to the part that serves it. */
  pass(socket: PassedSocket): void {
    this.address = backend().addressOf(socket.fd);
    this.#passed.resolve(socket);
  }

  /** Called when the program has closed its listener. */
  release(): void {
    this.#released.resolve();
  }

  /**
   * Uses the socket once it is there.
   *
   * @param isWanted Whether it still is; a socket that nobody wants any more is closed.
   * @param use Uses it.
   * @returns The result of `use`.
   */
  async use<T>(isWanted: () => boolean, use: (socket: PassedSocket) => T): Promise<T | undefined> {
    const socket = await this.#passed.promise;
    let used: T | undefined;
    if (isWanted()) used = use(socket);
    else backend().discard(socket.fd);
    this.#listening.resolve();
    return used;
  }
}

/** All services of the program. */
export class ProgramServices {
  /** Fulfilled when the program has asked for all of them. */
  readonly allTaken: Promise<void>;
  readonly #services: readonly ProgramService[];
  readonly #allTaken = Promise.withResolvers<void>();
  readonly #told = new Set<string>();
  readonly #onAsked: () => void;
  /** What is to be logged once the settings of the log are known. */
  #unlogged: (() => void)[] | undefined = [];
  #passedCount = 0;

  /**
   * @param services Their names and addresses.
   * @param onAsked Called whenever the program asks for an address.
   */
  constructor(services: readonly AssignedService[], onAsked: () => void) {
    this.#onAsked = onAsked;
    this.#services = services.map((service) => new ProgramService(service));
    this.allTaken = this.#allTaken.promise;
  }

  /** Fulfilled when the program listens on all of them. */
  get allListening(): Promise<unknown> {
    return Promise.all(this.#services.map(({ listening }) => listening));
  }

  /** Fulfilled when the program has asked for all of them, and has closed all of its listeners. */
  get allReleased(): Promise<unknown> {
    return Promise.all(this.#services.map(({ released }) => released));
  }

  /** Those that the program has not asked for yet. */
  get free(): readonly ProgramService[] {
    return this.#services.filter(({ isTaken }) => !isTaken);
  }

  /** Takes the socket of the next service; the master passes them in their order. */
  pass(socket: PassedSocket): void {
    this.#services[this.#passedCount++].pass(socket);
  }

  /**
   * Takes the service of an address.
   *
   * @returns The service; undefined where the program is to open the address itself, of which the log warns once.
   */
  take(given: RequestedAddress): ProgramService | undefined {
    this.#onAsked();
    const requested = given.kind === "unix" ? { ...given, path: absolute(given.path) } : given;
    const index = serviceFor(requested, this.#services), asked = addressText(requested);
    if (index === undefined) {
      const warning = warningOf(requested, this.#services);
      if (!this.#told.has(asked)) this.#log(() => zwarn(warning));
      this.#told.add(asked);
      return undefined;
    }
    const service = this.#services[index], { address } = service;
    if (!isSamePlace(address, requested)) {
      this.#log(() => zinfo(`listens on ${addressText(address)} in place of ${asked}`));
    }
    this.#take(service);
    return service;
  }

  /** Takes all services, for what the main module exports; none of a program that opens its addresses itself. */
  takeAll(): readonly ProgramService[] {
    this.#onAsked();
    if (this.free.length < this.#services.length) return [];
    this.#services.forEach((service) => this.#take(service));
    return this.#services;
  }

  /** Called when the log is open. */
  logIsOpen(): void {
    this.#unlogged?.forEach((write) => write());
    this.#unlogged = undefined;
  }

  #log(write: () => void): void {
    if (this.#unlogged === undefined) write();
    else this.#unlogged.push(write);
  }

  #take(service: ProgramService): void {
    service.isTaken = true;
    if (this.free.length === 0) this.#allTaken.resolve();
  }
}

/** Makes a path absolute. Without the permission to read the working directory it stays as given. */
function absolute(path: string): string {
  try {
    return resolvePath(Deno.cwd(), path);
  } catch {
    return path;
  }
}
