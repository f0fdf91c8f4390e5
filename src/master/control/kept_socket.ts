/**
 * A socket for commands in the course of a master's life: opened with its duty, at a reload if that has failed or its
 * file is lost, withdrawn when another master takes over or this one stops.
 *
 * @module
 */
import type { ControlEvent } from "../../control/messages.ts";
import { systemClock, type Timer } from "../../os/clock/clock.ts";
import { EADDRINUSE, SysError } from "../../os/ffi/errors.ts";
import { ParentDirectory } from "../../os/fs/parent_directory.ts";
import { isStillThere, type SocketFile } from "../../os/net/socket_file.ts";
import {
  ControlSocket,
  type ControlSocketOptions,
  type WithdrawOptions,
} from "./control_socket.ts";

/** How long another master may keep a socket at the path, and how often it is tried again. */
const IN_USE_MS = 2_000, IN_USE_LOOK_MS = 50;

/** The parts of a kept socket. */
export interface KeptSocketOptions extends Omit<ControlSocketOptions, "path" | "admitted"> {
  /** What does not work without it, for the log. */
  readonly without: string;
  /** Returns where it is to be, and who may connect; undefined if there is to be none. */
  wanted(): Pick<ControlSocketOptions, "path" | "admitted"> | undefined;
}

/** A socket for commands, open or not. */
export class KeptSocket {
  readonly #options: KeptSocketOptions;
  #socket?: ControlSocket;
  /** What it was opened for. */
  #opened?: string;
  #retry?: Timer;

  /** @param options The parts. */
  constructor(options: KeptSocketOptions) {
    this.#options = options;
  }

  /**
   * Opens the socket as the settings say; a failure is a warning. A master that stops withdraws its
   * socket as soon as it finds that this one runs.
   *
   * @param replaces The socket of the old master, which is removed if it is at the path. Its clients
   * stay connected with it.
   */
  open(replaces?: SocketFile): void {
    const wanted = this.#wanted();
    this.removeFile();
    this.#opened = JSON.stringify(wanted);
    if (wanted !== undefined) {
      this.#open(wanted, { replaces, untilMs: systemClock.nowMs() + IN_USE_MS });
    }
  }

  /** What is wanted; undefined also where it can't be told, as after the removal of a user's account. */
  #wanted(): ReturnType<KeptSocketOptions["wanted"]> {
    try {
      return this.#options.wanted();
    } catch (error) {
      this.#warn(error as Error);
    }
  }

  #warn({ message }: Error): void {
    const { name, without, log } = this.#options;
    log(`no ${name}, so ${without}: ${message}`, "warn");
  }

  #open(
    wanted: Pick<ControlSocketOptions, "path" | "admitted">,
    { replaces, untilMs }: { readonly replaces?: SocketFile; readonly untilMs: number },
  ): void {
    this.#retry = undefined;
    try {
      if (replaces !== undefined) removeAt(wanted.path, replaces);
      this.#socket = ControlSocket.open({ ...this.#options, ...wanted });
    } catch (error) {
      const isInUse = error instanceof SysError && error.errno === EADDRINUSE;
      if (isInUse && systemClock.nowMs() < untilMs) {
        const again = () => this.#open(wanted, { replaces, untilMs });
        this.#retry = systemClock.setTimer(IN_USE_LOOK_MS, again);
        return;
      }
      this.#warn(error as Error);
    }
  }

  /** The file of the socket, if it is open. */
  get file(): SocketFile | undefined {
    return this.#socket?.file;
  }

  /**
   * Opens the socket if that has failed before, and anew if another program has removed its file: no client could
   * find it.
   */
  repair(): void {
    const socket = this.#socket, { name, log } = this.#options;
    if (socket === undefined) {
      if (this.#opened !== undefined && this.#retry === undefined) this.#openAnew();
      return;
    }
    if (isStillThere(socket.file)) return;
    log(`the ${name} ${socket.path} had lost its file, and is opened anew`, "warn");
    this.#openAnew();
  }

  /** Opens the socket anew if the settings want another one by now. */
  follow(): void {
    if (JSON.stringify(this.#wanted()) !== this.#opened) this.#openAnew();
  }

  #openAnew(): void {
    this.withdraw();
    this.#socket = undefined;
    this.open();
  }

  /** Sends events to the clients that have asked for them. */
  tell(events: readonly ControlEvent[]): void {
    this.#socket?.tell(events);
  }

  /** Removes the socket; clients that wait for an answer still get it. */
  withdraw(options?: WithdrawOptions): void {
    this.#retry?.cancel();
    this.#socket?.withdraw(options);
  }

  /** See {@linkcode ControlSocket.removeFile}. */
  removeFile(): void {
    this.#socket?.removeFile();
  }

  /** Disconnects all clients. */
  close(): void {
    this.#socket?.close();
  }
}

/** Removes a file, if it is the one at a path, in a directory that no other user can exchange meanwhile. */
function removeAt(path: string, file: SocketFile): void {
  using directory = ParentDirectory.openTrusted(path);
  directory.remove(file);
}
