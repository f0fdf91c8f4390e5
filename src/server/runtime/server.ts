/**
 * One run of a server, from its services to its end: hooks, signals, privileges, and the reports to its master.
 *
 * @module
 */
import { defaultConfig } from "../../config/config.ts";
import { counted } from "../../config/errors.ts";
import { isAnySet, readStrictly } from "../../config/effective.ts";
import {
  EXIT_AFTER,
  PRIVILEGE_SETTINGS,
  SERVER_DRAIN_TIMEOUT,
  SERVER_STOP_ON_SOFTSTOP_AFTER,
} from "../../config/settings.ts";
import { logLine, zdebug, zwarn } from "../../log/log.ts";
import { guardNodeOutputs } from "../../log/output_guard.ts";
import { keepRunning } from "../../os/clock/keep_running.ts";
import type { FdType } from "../../os/net/socket.ts";
import { processSignals, releaseSignals } from "../../os/process/signals.ts";
import { backend } from "../backend/chosen.ts";
import { serverLifecycle } from "../lifecycle/lifecycle.ts";
import { logFault } from "../lifecycle/missing_permission.ts";
import type { Softstop } from "../lifecycle/open_work.ts";
import type { MasterLink } from "./master_link.ts";
import type { ServiceSource } from "./service_source.ts";
import { logUnhandledErrors } from "./unhandled_errors.ts";

/** The hooks of a server program. */
export interface ServerHooks {
  /**
   * Called once for each service, after all other preparations: starts to serve the service's
   * descriptor.
   *
   * @param service The service's name in `server-service`; may be empty.
   * @param fd The listening socket, or the named pipe itself. The hook owns it from now on.
   * @param fdType The type of the descriptor.
   */
  readonly serviceRegister: (service: string, fd: number, fdType: FdType) => void | Promise<void>;
  /**
   * Called once, after settings and log are ready and before the first `serviceRegister`. Open here the
   * files that `server-user` may not open, and import the modules that are outside `server-chroot`.
   */
  readonly beforeService?: () => void | Promise<void>;
  /**
   * Called once when the server is told to stop, after it has stopped accepting. With this hook, a
   * `server-stop-on-softstop-after` of less than a second counts as an hour. It is not called in a
   * standby that was never started.
   *
   * @param stop The time limit from now on, and the open work.
   */
  readonly beforeSoftstop?: (stop: Softstop) => void | Promise<void>;
}

/** A program that knows nothing of its master, beside the hooks that serve for it. */
export interface UnchangedProgram {
  /** Fulfilled when it has asked for all of its addresses. */
  readonly loaded: Promise<unknown>;
  /** Fulfilled when it listens on all of them. */
  readonly listening: Promise<unknown>;
  /** Called when the log is open. */
  logIsOpen(): void;
  /** Called before a stop, which its own handlers of signals hear of first. */
  onStop(): void;
  /** Whether the process goes on after its last connection, until its handlers of signals have ended it. */
  goesOn(): boolean;
}

/** How a server was started: by a master, or by hand without one. */
export type Mode = "MASTER" | "alone";

/** The time in which a server finishes its work after its master is gone. */
export const ORPHAN_SECONDS = 1;

/** Loads the modules that are imported late and may be out of reach by then. */
async function loadAll(): Promise<void> {
  await Promise.all([
    import("../../os/fs/output_files.ts"),
    import("../backend/node_net.ts"),
    import("../backend/node_tls.ts"),
    import("../http1/node_http.ts"),
  ]);
}

const nothing = (): void => {};

/** One run of a server, from its settings to its end. */
export class Server {
  readonly #hooks: ServerHooks;
  readonly #lifecycle = serverLifecycle;
  #letGoOfErrors?: () => void;

  readonly #link: MasterLink | undefined;
  readonly #program: UnchangedProgram | undefined;

  constructor(hooks: ServerHooks, link: MasterLink | undefined, program?: UnchangedProgram) {
    this.#hooks = hooks;
    this.#link = link;
    this.#program = program;
  }

  async run(mode: Mode): Promise<void> {
    // First of all, so that a wrong setting has no side effects.
    const softstopMs = readStrictly(defaultConfig, SERVER_STOP_ON_SOFTSTOP_AFTER);
    const drainMs = readStrictly(defaultConfig, SERVER_DRAIN_TIMEOUT);
    const exitAfterMs = readStrictly(defaultConfig, EXIT_AFTER);
    const source = await (mode === "MASTER" ? this.#master() : this.#standalone());
    try {
      this.#lifecycle.own({
        softstopSeconds: softstopMs === undefined ? undefined : softstopMs / 1000,
        drainSeconds: drainMs / 1000,
        beforeSoftstop: this.#hooks.beforeSoftstop,
        onDraining: (seconds) => source.draining(seconds),
        onDetach: () => source.detach(),
        onCut: ({ connections }) => {
          const were = counted(connections, "connection was", "connections were");
          zwarn(`${were} open at the time limit, and cut`);
        },
        onError: (error) => logFault("error while stopping:", error),
      });
      await this.#live({ mode, source, exitAfterMs });
    } finally {
      source.close();
    }
  }

  async #live(
    { mode, source, exitAfterMs }: { mode: Mode; source: ServiceSource; exitAfterMs: number },
  ): Promise<void> {
    const release = this.#takeSignals(mode, source);
    // Nothing else may keep the runtime running: no client, no listening service.
    const letEnd = keepRunning();
    try {
      // A server that is stopped before it serves does not wait for its hooks.
      await Promise.race([this.#register(source), this.#lifecycle.stopped]);
      if (exitAfterMs > 0) this.#lifecycle.stopNotify(exitAfterMs / 1000);
      await this.#lifecycle.stopped;
    } finally {
      letEnd();
      release();
      this.#letGoOfErrors?.();
      this.#lifecycle.close();
    }
  }

  async #register(source: ServiceSource): Promise<void> {
    // Before hooks that may change the directory. A standby has no services yet and asks the system later.
    await backend().learnAddresses(() => source.services());
    await this.#hooks.beforeService?.();
    await source.dropPrivileges();
    const services = await source.services();
    for (const { name, fd, type } of services) await this.#hooks.serviceRegister(name, fd, type);
    await this.#program?.listening;
    // An unchanged program has the errors of the runtime.
    if (this.#program === undefined) {
      this.#letGoOfErrors = logUnhandledErrors(services.map(({ name }) => name));
    }
    guardNodeOutputs();
    source.ready();
  }

  async #dropPrivileges(): Promise<boolean> {
    if (!isAnySet(defaultConfig, PRIVILEGE_SETTINGS)) return false;
    const { dropPrivileges } = await import("../../config/run_settings.ts");
    return await dropPrivileges(defaultConfig, async (change) => {
      // The line also opens the log, which may be out of reach later.
      logLine("info", `changing to ${change}`);
      await loadAll();
    });
  }

  async #master(): Promise<ServiceSource> {
    // After run-user, since a change of user clears the signal.
    backend().watchParent();
    const dropPrivileges = async () => {
      if (await this.#dropPrivileges()) backend().watchParent();
    };
    const link = this.#link, lifecycle = this.#lifecycle;
    if (link === undefined) {
      const { openLibzcSource } = await import("./libzc_link.ts");
      return openLibzcSource({ lifecycle, orphanSeconds: ORPHAN_SECONDS, dropPrivileges });
    }
    // Only a standby has time for it, and the module may be out of reach later.
    const warmUp = lifecycle.isStandby ? import("./warm_up.ts") : undefined;
    const warmedUp = async () => await (await warmUp)?.warmUp();
    return {
      services: async () => {
        if (lifecycle.isStandby) {
          await Promise.race([Promise.all([warmedUp(), this.#program?.loaded]), link.started]);
        }
        link.loaded();
        return (await link.started).services;
      },
      // A server that inherits its sockets was started with its final user; a standby never inherits them.
      dropPrivileges: async () => {
        if (lifecycle.isStandby || !(await link.started).isInherited) await dropPrivileges();
      },
      ready: () => link.ready(),
      draining: (seconds) => link.draining(seconds),
      detach: () => link.detach(),
      // The run of the program closes it.
      close: nothing,
    };
  }

  async #standalone(): Promise<ServiceSource> {
    const { openStandaloneServices } = await import("./standalone.ts");
    const { services, close } = openStandaloneServices(defaultConfig);
    // Before the listeners, which are registered later.
    this.#lifecycle.onStopAccepting(close);
    return {
      services: () => Promise.resolve(services),
      dropPrivileges: async () => {
        await this.#dropPrivileges();
      },
      ready: nothing,
      draining: nothing,
      detach: nothing,
      close,
    };
  }

  #takeSignals(mode: Mode, source: ServiceSource): () => void {
    // The first signal starts the soft stop, the second one ends the server at once.
    const stop = () => {
      if (source.isRepeated?.()) return;
      if (this.#lifecycle.accepting) this.#lifecycle.softstop();
      else this.#lifecycle.stopNotify(0);
    };
    const parent = Deno.ppid;
    const releases = [
      processSignals.on("SIGTERM", stop),
      // A terminal sends these to the master as well, which tells its servers to stop.
      processSignals.on("SIGINT", () => mode === "alone" && stop()),
      processSignals.on("SIGQUIT", () => mode === "alone" && stop()),
    ];
    if (mode === "MASTER") {
      releases.push(processSignals.on("SIGHUP", () => {
        if (Deno.ppid !== parent) this.#lifecycle.finishWithin(ORPHAN_SECONDS);
        else zdebug("ignored a SIGHUP: the master still runs, and reloads are its business");
      }));
    }
    return () => releaseSignals(releases);
  }
}
