/**
 * Turns an inherited listening descriptor into a native listener of the runtime.
 *
 * The runtime has no call for it. So a throw-away listener of the same kind is made, and the
 * inherited socket is put in its place: same descriptor number, same registration with the
 * runtime's epoll instance. From then on accept, close, TLS and Deno.serve work on it at full
 * speed. This leans on how the runtime registers descriptors, hence every step is checked, and
 * {@linkcode AdoptError} tells the caller to serve the descriptor in another way. See
 * docs/design/02_adopting_a_listener.md.
 *
 * @module
 */
import {
  closeFd,
  lowestFreeFd,
  O_CLOEXEC,
  openDescriptors,
  setNonblocking,
} from "../fd/descriptor.ts";
import { AF_UNIX, encodeEpollEvent } from "../ffi/layout.ts";
import { libc, unwrap } from "../ffi/libc.ts";
import { EPOLL_CTL_ADD, EPOLL_CTL_DEL } from "../fd/poller.ts";
import { isMissing, readLinkProcSelf, readTextProcSelf } from "../ffi/proc_self.ts";
import { reserveDescriptor } from "../fd/reserve_fd.ts";
import {
  addressText,
  describeListener,
  type ListenAddress,
  listenAddressOf,
  listeningAt,
} from "../net/socket.ts";

const SOCK_STREAM = 1, SOCK_CLOEXEC = 0o2000000;

/** A step of the adoption did not go as expected; the inherited descriptor is as it was. */
export class AdoptError extends Error {
  /** The error class's name. */
  override readonly name = "AdoptError";
}

/** Where an inherited socket was put. */
interface Adoption {
  /** The number that the runtime knows it by. */
  readonly target: number;
  /** The socket, as `/proc/self/fd` names it: the number may be another one's by now. */
  readonly socket: string;
  /** The epoll instance that watches it. */
  readonly epoll: number;
}

/** What was made here. */
const adopted = new WeakMap<Deno.Listener | Deno.HttpServer, Adoption>();

/** The epoll instance in which the last registration was found: the runtime has one for all. */
let lastEpoll: number | undefined;

/**
 * The descriptor of an adopted listener, which is the runtime's, and open until the listener is closed.
 *
 * @param made What {@linkcode adoptListener} or {@linkcode adoptInto} returned.
 * @returns The descriptor; undefined for anything else.
 */
export function adoptedDescriptor(made: Deno.Listener | Deno.HttpServer): number | undefined {
  return adopted.get(made)?.target;
}

/**
 * Makes a native listener for an inherited socket.
 *
 * @param fd A listening TCP or unix stream socket. Borrowed: the listener gets a duplicate, so the
 * caller still owns `fd` and closes it when it will.
 * @returns The listener. Its own `addr` is that of the throw-away one.
 * @throws {AdoptError} When the runtime registers listeners in a way that is not known here.
 * @throws {TypeError} When `fd` is no listening stream socket.
 */
export function adoptListener(fd: number): Deno.Listener {
  return describeListener(fd).kind === "unix"
    // An abstract name needs no directory, and closing the listener has no path to remove.
    ? adoptInto(fd, () => Deno.listen({ transport: "unix", path: `\0${crypto.randomUUID()}` }))
    : adoptInto(fd, () => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
}

/**
 * Puts an inherited socket in the place of the listener that a function of the runtime makes.
 *
 * @param fd As for {@linkcode adoptListener}.
 * @param create Makes a listener of the same kind as `fd`, with an address of its own, before it
 * returns; an example is `Deno.serve` with port 0. It may call its argument with that address as soon as
 * there is the listener: what it does from then on finds the inherited socket. Without that call the
 * socket is put in place when `create` has returned.
 * @returns What `create` returned.
 * @throws {AdoptError} When a step does not match; what `create` made is closed then.
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
  // The kernel gives the lowest number, so this is that of the first socket that is made next.
  const guess = lowestFreeFd(fd);
  let adoption: Adoption | undefined, failure: Error | undefined;
  const adoptAt = (address: ListenAddress) => {
    if (adoption !== undefined || failure !== undefined) return;
    try {
      adoption = putInPlace({ fd, wanted, guess, address });
    } catch (error) {
      // Not thrown into the runtime, which would leave a listener behind that nobody can close.
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

/** Where an inherited socket is to be put. */
interface Place {
  /** The inherited socket. */
  readonly fd: number;
  /** What it is bound to. */
  readonly wanted: ListenAddress;
  /** What the throw-away listener is bound to. */
  readonly address: ListenAddress;
  /** The number that the throw-away listener most often has. */
  readonly guess: number;
}

/** Puts a duplicate of it there. */
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

/**
 * Opens a throw-away listener, for which a program needs the permission to listen.
 *
 * @param create Opens it.
 * @returns What `create` returned.
 * @throws {AdoptError} Without the permission.
 */
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
  // It has no connection yet, so there is nothing to wait for.
  else made.shutdown();
}

/**
 * Closes the inherited socket under a listener of the runtime, which stays open itself: it hears of no
 * connection any more, and its number stands for a socket that does nothing.
 *
 * The runtime closes a listener in a later turn of its event loop, and that of Deno.serve only with the
 * last connection. As long as a process has the socket open, nobody else can listen on its address.
 *
 * @param made What {@linkcode adoptListener} or {@linkcode adoptInto} returned.
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
    // First: a socket that others hold as well would go on to be watched under this number.
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

/** What a descriptor refers to; undefined where it is closed. */
function targetOf(fd: number): string | undefined {
  try {
    return readLinkProcSelf(`fd/${fd}`);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/**
 * Finds the descriptor of a listener by what it is bound to. That a number was free before tells
 * nothing for certain: other threads of the process open and close sockets at any moment. So the
 * guess is only where the search begins; it saves to look at all descriptors, which would make the
 * time for many listeners grow with the square of their number.
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

/** How a descriptor is registered with an epoll instance. */
export interface Registration {
  /** The epoll instance. */
  readonly epoll: number;
  /** The event mask. */
  readonly events: number;
  /** What comes with each event. */
  readonly data: bigint;
}

/**
 * Finds how the runtime registered a descriptor.
 *
 * @param target The descriptor.
 * @returns The registration.
 * @throws {AdoptError} When there is none.
 */
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

/** What an epoll instance watches, at one moment. */
export interface Registrations {
  /** How much there was to read, which takes its time. */
  readonly length: number;
  /** Finds the registration of a descriptor, if there was one. */
  find(target: number): Registration | undefined;
}

/**
 * Reads how descriptors are registered with one epoll instance (proc(5), `/proc/self/fdinfo`).
 *
 * @param epoll The epoll instance.
 */
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
