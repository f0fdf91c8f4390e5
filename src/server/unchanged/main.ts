/**
 * Makes a server of a program that knows nothing of its master. A master preloads this module
 * (`server-protocol = deno`), so it runs before the program: it replaces the functions that open addresses, and serves
 * until the master tells it to stop.
 *
 * Not for import by users: without a master it ends the process.
 *
 * The runtime starts the program when nothing of this module is under way any more. So all that waits, the connection
 * to the master included, begins when the program asks for its first address, or when its main module has run.
 *
 * @module
 */
import {
  SERVER_CONTROL,
  SERVER_DRAIN_TIMEOUT,
  SERVER_STOP_ON_SOFTSTOP_AFTER,
} from "../../config/settings.ts";
import { defaultConfig } from "../../config/config.ts";
import { readStrictly } from "../../config/effective.ts";
import { cannot } from "../../config/errors.ts";
import {
  AUTO_SERVE_VARIABLE,
  parseUnchangedStart,
  UNCHANGED_VARIABLE,
  type UnchangedStart,
} from "../../ipc/unchanged_start.ts";
import { zinfo, zwarn } from "../../log/log.ts";
import { systemClock } from "../../os/clock/clock.ts";
import { exitLater } from "../../os/clock/exit_later.ts";
import { replaceFunctions } from "../../os/net/runtime_functions.ts";
import { keepControlFromChildren } from "../backend/chosen.ts";
import { adviseBy } from "../lifecycle/missing_permission.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import { runServer } from "../runtime/runtime.ts";
import { markUncaughtErrors } from "../runtime/unhandled_errors.ts";
import { serviceText } from "./addresses.ts";
import { makeListen, makeListenTls } from "./deno_listen.ts";
import { makeServe } from "./deno_serve.ts";
import { replaceNodeListen } from "./node_listen.ts";
import { ProgramSignals } from "./program_signals.ts";
import { ProgramServices } from "./services.ts";

/** How long a program without a handler of SIGTERM may go on after its last connection: for what waits on `finished`. */
const GRACE_MS = 1_000;

/** After this time without a listener, the log says what the master waits for. */
const PATIENCE_MS = 10_000;

/** Takes the start of the program from its environment. */
function takeStart(): UnchangedStart {
  const text = startText();
  if (text === undefined) {
    throw new TypeError(cannot("preload", "@zc/master/unchanged", {
      found: "no master",
      expected: "a start by a master, with server-protocol = deno",
    }));
  }
  for (const name of [UNCHANGED_VARIABLE, AUTO_SERVE_VARIABLE]) removeVariable(name);
  return parseUnchangedStart(text);
}

/**
 * Reads the variable of the start.
 *
 * @throws {TypeError} When the permissions of the program do not include it.
 */
function startText(): string | undefined {
  try {
    return Deno.env.get(UNCHANGED_VARIABLE);
  } catch (cause) {
    throw new TypeError(
      cannot("read", UNCHANGED_VARIABLE, {
        found: "no permission",
        expected: "this variable in the env of a permission set, and not in --deny-env",
      }),
      { cause },
    );
  }
}

/** Other programs that this one starts have no use for it. */
function removeVariable(name: string): void {
  try {
    Deno.env.delete(name);
  } catch (error) {
    // Without the permission for a variable of the runtime, it stays.
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
  }
}

function prepare(start: UnchangedStart): void {
  keepControlFromChildren(`-${SERVER_CONTROL.name}`, start.args);
  markUncaughtErrors();
  adviseBy(start.args);
  const signals = new ProgramSignals();
  let hasBegun = false;
  const begin = () => {
    if (hasBegun) return;
    hasBegun = true;
    run({ start, services, signals });
  };
  const services = new ProgramServices(start.services, begin);
  const { port } = start;
  replaceFunctions({
    serve: makeServe(services, { port, onCall: () => signals.leaveOutThisTurn() }),
    listen: makeListen(services),
    listenTls: makeListenTls(services),
  });
  replaceNodeListen(services);
  addEventListener("load", begin);
}

/** Serves until the master tells this process to stop, and lets the program end then. */
function run({ start: { args }, services, signals }: {
  readonly start: UnchangedStart;
  readonly services: ProgramServices;
  readonly signals: ProgramSignals;
}): void {
  let stopMs: number | undefined;
  const { softstopSignal } = serverLifecycle;
  softstopSignal.addEventListener("abort", () => stopMs ??= systemClock.nowMs(), { once: true });
  tellPatience(services);
  services.allReleased.then(() => {
    if (!serverLifecycle.accepting) return;
    zinfo("the program has closed its last listener: this process ends");
    serverLifecycle.softstop();
  });
  runServer({ serviceRegister: (_name, fd, type) => services.pass({ fd, type }) }, args, {
    loaded: services.allTaken,
    listening: services.allListening,
    logIsOpen: () => services.logIsOpen(),
    onStop() {
      if (serverLifecycle.accepting && !serverLifecycle.isStandby) signals.call();
    },
    goesOn: () => signals.wereCalled,
  }).then((code) => {
    if (code !== 0) Deno.exit(code);
    const spentMs = systemClock.nowMs() - (stopMs ?? -Infinity);
    exitLater(signals.wereCalled ? Math.max(GRACE_MS, limitMs() - spentMs) : GRACE_MS);
  });
}

/** How long the server may take from the stop to its end. */
function limitMs(): number {
  return readStrictly(defaultConfig, SERVER_STOP_ON_SOFTSTOP_AFTER) ??
    readStrictly(defaultConfig, SERVER_DRAIN_TIMEOUT);
}

/** Says which addresses the program has not asked for. */
function tellPatience(services: ProgramServices): void {
  const timer = systemClock.setTimer(PATIENCE_MS, () => {
    zwarn(cannot("serve", services.free.map(serviceText).join(", "), {
      found: `a program that has not listened there for ${PATIENCE_MS / 1000} s`,
      expected: "Deno.serve, Deno.listen or a server of node for each address of server-service",
    }));
  });
  services.allTaken.then(() => timer.cancel());
}

prepare(takeStart());
