/**
 * Protection against the runtime's use of SIGUSR1: from half a second after its start, the signal makes it
 * listen on 127.0.0.1:9229 for a debugger, through which any local user can run code in this process.
 *
 * Neither an ignored signal nor a listener of `Deno.addSignalListener` prevents that. A handler below the
 * runtime does, which must be a function that may run at any point of any thread.
 * docs/design/17_signals_and_output.md lists the alternatives that were tried.
 *
 * @module
 */
import { closeFd } from "../fd/descriptor.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../ffi/constants.ts";
import { libc, symbolAddress, unwrap } from "../ffi/libc.ts";
import { EPOLLIN, type Poller } from "../fd/poller.ts";
import { SIGNALS } from "./signals.ts";

const SIGUSR1 = SIGNALS.indexOf("SIGUSR1");
const SIG_BLOCK = 0, SIG_UNBLOCK = 1;
const PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20;
const MAP_FAILED = 2n ** 64n - 1n, COUNTER_BYTES = 8n;

/** A sigset_t with only SIGUSR1. */
const USR1_ONLY = new BigUint64Array(16);
USR1_ONLY[0] = 1n << BigInt(SIGUSR1 - 1);

/** A signal handler in machine code that adds 1 to an eventfd. */
interface HandlerCode {
  readonly words: readonly number[];
  /** The offset of the descriptor's number. */
  readonly fdAt: number;
}

/** write(FD, &one, 8), where `one` is at the end. */
const HANDLERS: Readonly<Record<string, HandlerCode>> = {
  // mov x8, #64; ldr w0, fd; adr x1, one; mov x2, #8; svc #0; ret; fd: .word 0, 0; one: .quad 1
  aarch64: {
    words: [
      0xd2800808,
      0x180000a0,
      0x100000c1,
      0xd2800102,
      0xd4000001,
      0xd65f03c0,
      0,
      0,
      1,
      0,
    ],
    fdAt: 24,
  },
  // lea rsi, [rip + one]; mov edi, FD; mov edx, 8; mov eax, 1; syscall; ret; one: .quad 1
  x86_64: {
    words: [
      0x19358d48,
      0xbf000000,
      0,
      0x000008ba,
      0x0001b800,
      0x050f0000,
      0x000000c3,
      0,
      1,
      0,
    ],
    fdAt: 8,
  },
};

/**
 * Makes SIGUSR1 do nothing in this process, permanently; must be called first. Programs that this process
 * starts have the signal's default action.
 */
export function keepInspectorClosed(): void {
  // The runtime installs a handler for the first listener only, and none for its own, later one.
  const listener = () => {};
  Deno.addSignalListener("SIGUSR1", listener);
  Deno.removeSignalListener("SIGUSR1", listener);
  setHandler(nothing());
  unblockInspectorSignal();
}

/**
 * Calls back on SIGUSR1.
 *
 * @param poller Watches for it.
 * @param callback Called from the event loop, once for all signals since the last call.
 * @returns Removes the callback.
 */
export function onInspectorSignal(poller: Poller, callback: () => void): () => void {
  const fd = unwrap({ syscall: "eventfd" }, () => libc().eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const counter = new Uint8Array(Number(COUNTER_BYTES));
  const watch = poller.watch(fd, EPOLLIN, () => {
    libc().read(fd, counter, COUNTER_BYTES);
    callback();
  });
  setHandler(handlerFor(fd));
  return () => {
    setHandler(nothing());
    watch.stop();
    closeFd(fd);
  };
}

/** Unblocks SIGUSR1 on this thread, since a process may be started with it blocked. */
export function unblockInspectorSignal(): void {
  libc().pthread_sigmask(SIG_UNBLOCK, USR1_ONLY, null);
}

/**
 * Starts a process with SIGUSR1 blocked until it unblocks it: from its first moment the signal neither
 * ends it nor opens the inspector.
 *
 * @param start Starts the process, on this thread.
 * @returns The result of `start`.
 */
export function withInspectorSignalBlocked<T>(start: () => T): T {
  libc().pthread_sigmask(SIG_BLOCK, USR1_ONLY, null);
  try {
    return start();
  } finally {
    unblockInspectorSignal();
  }
}

function setHandler(handler: Deno.PointerValue): void {
  libc().signal(SIGUSR1, handler);
}

/** Returns abs(3), which does nothing as a handler. An ignored signal would stay so in child programs. */
function nothing(): Deno.PointerValue {
  return symbolAddress("abs");
}

/** The page stays mapped for the life of the process: a thread may execute it at any time. */
function handlerFor(fd: number): Deno.PointerValue {
  const { words, fdAt } = HANDLERS[Deno.build.arch];
  const code = new Uint32Array(words);
  code[fdAt / 4] = fd;
  const bytes = BigInt(code.byteLength);
  const page = libc().mmap(
    null,
    bytes,
    PROT_READ | PROT_WRITE,
    MAP_PRIVATE | MAP_ANONYMOUS,
    -1,
    0n,
  );
  unwrap({ syscall: "mmap" }, () => Deno.UnsafePointer.value(page) === MAP_FAILED ? -1 : 0);
  new Uint32Array(Deno.UnsafePointerView.getArrayBuffer(page!, code.byteLength)).set(code);
  unwrap({ syscall: "mprotect" }, () => libc().mprotect(page, bytes, PROT_READ | PROT_EXEC));
  return page;
}
