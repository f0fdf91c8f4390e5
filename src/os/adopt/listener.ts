/**
 * Adoption of an inherited listening descriptor as a native listener of the runtime.
 *
 * The runtime has no call for it. So a throw-away listener of the same kind is opened, and the inherited
 * socket replaces its socket: same descriptor number, same registration with the runtime's epoll instance.
 * From then on accept, close, TLS and Deno.serve work on it at full speed. This depends on the way the
 * runtime registers descriptors, so every step is checked, and {@linkcode AdoptError} tells the caller to
 * serve the descriptor in another way. See docs/design/02_adopting_a_listener.md.
 *
 * @module
 */
import { AF_UNIX, O_CLOEXEC, SOCK_CLOEXEC, SOCK_STREAM } from "../ffi/constants.ts";
import { closeFd, lowestFreeFd, openDescriptors, setNonblocking } from "../fd/descriptor.ts";
import { encodeEpollEvent } from "../ffi/layout.ts";
import { libc, unwrap } from "../ffi/libc.ts";
import { EPOLL_CTL_ADD, EPOLL_CTL_DEL } from "../fd/poller.ts";
import { isMissing, readLinkProcSelf, readTextProcSelf } from "../ffi/proc_self.ts";
import { reserveDescriptor } from "../fd/reserve_fd.ts";
import { runtimeFunctions } from "../net/runtime_functions.ts";
import {
  addressText,
  describeListener,
  type ListenAddress,
  listenAddressOf,
  listeningAt,
} from "../net/socket.ts";

/** A step of the adoption has failed; the inherited descriptor is unchanged. */
export class AdoptError extends Error {
  /** The error class's name. */
  override readonly name = "AdoptError";
}

/** The place of an adopted socket. */
interface Adoption {
  /** The number by which the runtime knows it. */
  readonly target: number;
  /** The socket's name in `/proc/self/fd`: the number may belong to another file by now. */
  readonly socket: string;
  /** The epoll instance that watches it. */
  readonly epoll: number;
}

/** The adopted listeners. */
const adopted = new WeakMap<Deno.Listener | Deno.HttpServer, Adoption>();

/** The epoll instance of the last registration: the runtime has one for all. */
let lastEpoll: number | undefined;

/** The descriptor of an adopted listener, owned by the runtime; undefined for any other listener. */
export function adoptedDescriptor(made: Deno.Listener | Deno.HttpServer): number | undefined {
  return adopted.get(made)?.target;
}

/**
 * Makes a native listener for an inherited socket.
 *
 * @param fd A listening TCP or unix stream socket. Borrowed: the listener gets a duplicate, and the caller
 * may close `fd` at any time.
 * @returns The listener. Its own `addr` is that of the throw-away one.
 * @throws {AdoptError} When this version of the runtime registers listeners in an unknown way.
 * @throws {TypeError} When `fd` is no listening stream socket.
 */
export function adoptListener(fd: number): Deno.Listener {
  return describeListener(fd).kind === "unix"
    // An abstract name needs no directory, and leaves no path to remove.
    ? adoptInto(
      fd,
      () => runtimeFunctions.listen({ transport: "unix", path: `\0${crypto.randomUUID()}` }),
    )
    : adoptInto(fd, () => runtimeFunctions.listen({ hostname: "127.0.0.1", port: 0 }));
}

/**
 * Replaces the socket of a listener that a function of the runtime opens by an inherited one.
 *
 * @param fd As for {@linkcode adoptListener}.
 * @param create Opens a listener of the same kind as `fd` at another address, such as `Deno.serve` with port
 * 0. It may call its argument with that address once the listener is open, which replaces the socket at
 * once. Otherwise the socket is replaced when `create` has returned.
 * @returns The result of `create`.
 * @throws {AdoptError} When a step fails; the result of `create` is closed then.
 * @throws {TypeError} When `fd` is no listening stream socket; `create` is not called then.
 */
export function adoptInto<T extends Deno.Listener | Deno.HttpServer>(
  fd: number,
  create: (adoptAt: (address: ListenAddress) => void) => T,
): T {
  const wanted = describeListener(fd);
  if (wanted.kind === "fifo") {
    throw new TypeError(`Cannot adopt descriptor ${fd}: a named pipe, expected a listening socket`);
  }
  // The runtime calls accept(2) on its event loop and relies on EAGAIN.
  setNonblocking(fd);
  // The kernel assigns the lowest free number, so the next socket gets this one.
  const guess = lowestFreeFd(fd);
  let adoption: Adoption | undefined, failure: Error | undefined;
  const adoptAt = (address: ListenAddress) => {
    if (adoption !== undefined || failure !== undefined) return;
    try {
      adoption = putInPlace({ fd, wanted, guess, address });
    } catch (error) {
      // Not thrown into the runtime, which would leak a listener that can't be closed.
      failure = error as Error;
    }
  };
  const made = createIfPermitted(() => create(adoptAt));
  adoptAt(listenAddressOf(made.addr));
  if (adoption === undefined) {
    discard(made);
    if (failure instanceof AdoptError) throw failure;
    const { message } = failure as unknown as Error;
    throw new AdoptError(`Cannot adopt a listener: ${message}`, { cause: failure });
  }
  adopted.set(made, adoption);
  return made;
}

/** The addresses and descriptors of a replacement. */
interface Place {
  /** The inherited socket. */
  readonly fd: number;
  /** The address of the inherited socket. */
  readonly wanted: ListenAddress;
  /** The address of the throw-away listener. */
  readonly address: ListenAddress;
  /** The likely number of the throw-away listener. */
  readonly guess: number;
}

/** Replaces the throw-away socket by a duplicate of the inherited one. */
function putInPlace({ fd, wanted, address, guess }: Place): Adoption {
  const target = descriptorAt(address, { kind: wanted.kind, guess });
  const { epoll, events, data } = findRegistration(target);
  replaceDescriptor({ fd, target, wanted });
  unwrap(
    { syscall: "epoll_ctl", subject: target },
    () => libc().epoll_ctl(epoll, EPOLL_CTL_ADD, target, encodeEpollEvent(events, data)),
  );
  return { target, epoll, socket: readLinkProcSelf(`fd/${target}`) };
}

/** Opens a throw-away listener; without the permission to listen, throws {@linkcode AdoptError}. */
export function createIfPermitted<T>(create: () => T): T {
  try {
    return create();
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotCapable)) throw cause;
    throw new AdoptError(`Cannot adopt a listener: ${cause.message}`, { cause });
  }
}

function discard(made: Deno.Listener | Deno.HttpServer): void {
  if ("close" in made) made.close();
  // It has no connection yet, so the end is not awaited.
  else made.shutdown();
}

/**
 * Closes the inherited socket under a listener of the runtime. The listener itself stays open on a socket
 * that does nothing, and receives no more connections.
 *
 * The runtime closes a listener in a later turn of its event loop, and that of Deno.serve only with the last
 * connection. While a process has the socket open, no other process can listen on its address.
 *
 * @param made A result of {@linkcode adoptListener} or {@linkcode adoptInto}.
 * @returns Whether it was open; false as well for a listener of the runtime's own.
 */
export function releaseAdopted(made: Deno.Listener | Deno.HttpServer): boolean {
  const adoption = adopted.get(made);
  adopted.delete(made);
  return adoption !== undefined && reserveDescriptor.lend(() => release(adoption));
}

function release({ target, socket, epoll }: Adoption): boolean {
  if (targetOf(target) !== socket) return false;
  const placeholder = unwrap(
    { syscall: "socket" },
    () => libc().socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
  );
  try {
    // First: a socket that other processes hold would stay registered under this number.
    unwrap(
      { syscall: "epoll_ctl", subject: target },
      () => libc().epoll_ctl(epoll, EPOLL_CTL_DEL, target, encodeEpollEvent(0, 0n)),
    );
    unwrap(
      { syscall: "dup3", subject: target },
      () => libc().dup3(placeholder, target, O_CLOEXEC),
    );
  } finally {
    closeFd(placeholder);
  }
  return true;
}

/** The file behind a descriptor; undefined if it is closed. */
function targetOf(fd: number): string | undefined {
  try {
    return readLinkProcSelf(`fd/${fd}`);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/**
 * Finds the descriptor of a listener by its address. A number that was free before proves nothing: other
 * threads open and close sockets at any moment. So the guess is only tried first; it saves a scan of all
 * descriptors, which would make the time for many listeners quadratic.
 */
function descriptorAt(
  address: ListenAddress,
  { kind, guess }: { readonly kind: ListenAddress["kind"]; readonly guess: number },
): number {
  if (address.kind !== kind) {
    throw new AdoptError(
      `Cannot adopt a listener: the runtime made one of kind ${address.kind}, expected ${kind}`,
    );
  }
  const text = addressText(address);
  const guessed = listeningAt(guess);
  if (guessed !== undefined && addressText(guessed) === text) return guess;
  for (const [fd, target] of openDescriptors()) {
    if (!target.startsWith("socket:")) continue;
    const found = listeningAt(fd);
    if (found !== undefined && addressText(found) === text) return fd;
  }
  throw new AdoptError(
    `Cannot adopt a listener: no descriptor listens on ${text}, expected that of the runtime`,
  );
}

/** The registration of a descriptor with an epoll instance. */
export interface Registration {
  /** The epoll instance. */
  readonly epoll: number;
  /** The event mask. */
  readonly events: number;
  /** The user data of each event. */
  readonly data: bigint;
}

/** Finds the runtime's registration of a descriptor; throws {@linkcode AdoptError} without one. */
export function findRegistration(target: number): Registration {
  const found = lastEpoll === undefined ? undefined : registrationsIn(lastEpoll).find(target);
  if (found !== undefined) return found;
  for (const [epoll, name] of openDescriptors()) {
    const found = name === "anon_inode:[eventpoll]"
      ? registrationsIn(epoll).find(target)
      : undefined;
    if (found === undefined) continue;
    lastEpoll = epoll;
    return found;
  }
  throw new AdoptError(
    `Cannot adopt a listener: descriptor ${target} is in no epoll instance, expected it in the runtime's`,
  );
}

/** The registrations of an epoll instance at one moment. */
export interface Registrations {
  /** The length of the kernel's text, which takes time to read. */
  readonly length: number;
  /** Finds the registration of a descriptor, if there was one. */
  find(target: number): Registration | undefined;
}

/** Reads the registrations of an epoll instance (proc(5), `/proc/self/fdinfo`). */
export function registrationsIn(epoll: number): Registrations {
  const text = readTextProcSelf(`fdinfo/${epoll}`);
  return {
    length: text.length,
    find(target) {
      const line = new RegExp(
        `^tfd:\\s*${target} events:\\s*([0-9a-f]+) data:\\s*([0-9a-f]+)`,
        "m",
      );
      const match = line.exec(text);
      if (match === null) return undefined;
      return { epoll, events: parseInt(match[1], 16), data: BigInt(`0x${match[2]}`) };
    },
  };
}

/** dup3(2): closes `target`, which ends its old registration, and makes it a duplicate of `fd`. */
function replaceDescriptor(
  { fd, target, wanted }: { fd: number; target: number; wanted: ListenAddress },
): void {
  unwrap({ syscall: "dup3", subject: target }, () => libc().dup3(fd, target, O_CLOEXEC));
  const got = addressText(describeListener(target)), expected = addressText(wanted);
  if (got !== expected) {
    throw new AdoptError(`Cannot adopt a listener: it is bound to ${got}, expected ${expected}`);
  }
}
