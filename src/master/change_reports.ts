/**
 * How changes of services end, in words: for the log, the service manager, and operators who watch.
 *
 * @module
 */
import { isUserError } from "../ipc/user_error.ts";
import { logLine, zerror } from "../log/log.ts";
import { systemClock } from "../os/clock/clock.ts";
import {
  isAccepted,
  outcomeOf,
  type ReloadReport,
  type ServiceChange,
  ServiceError,
} from "./policy/reload_report.ts";
import type { Reload } from "./supervisor/supervisor.ts";
import type { SystemdNotify } from "./systemd_notify.ts";

/** What a change is called. */
export interface ChangeWords {
  /** Before its end, such as `reload`. */
  readonly name: string;
  /** After its end, such as `reloaded`. */
  readonly done: string;
}

/** A change that has begun. */
export interface BegunChange extends ChangeWords {
  /** In milliseconds since 1970. */
  readonly startedAt: number;
  /** By the system clock. */
  readonly startMs: number;
}

/** The words for a reload. */
export const RELOAD: ChangeWords = { name: "reload", done: "reloaded" };

const DONE: Readonly<Record<ServiceChange, string>> = {
  restart: "restarted",
  start: "started",
  stop: "stopped",
};

/** The words for a change of services that an operator has named. */
export function wordsOf(what: ServiceChange, ids: readonly string[]): ChangeWords {
  return { name: nameOfChange(what, ids), done: `${DONE[what]} ${ids.join(" ")}` };
}

/** What a change of named services is called. */
export function nameOfChange(what: string, ids: readonly string[]): string {
  return `${what} of ${ids.join(" ")}`;
}

/** The ports of {@linkcode ChangeReports}. */
export interface ChangeReportsOptions {
  readonly serviceManager: Pick<SystemdNotify, "reloading" | "reloaded">;
  /** A change is in force, at least a part of it; nobody has been told so far. */
  onAccepted(): void;
  /** Tells an operator who watches how a change has ended. */
  tell(event: { type: "reload"; outcome: ReturnType<typeof outcomeOf>; text: string }): void;
}

/** Reports how changes of services end. */
export class ChangeReports {
  readonly #options: ChangeReportsOptions;
  /** The result of the start or of the last change, on one line. */
  result = "";

  /** @param options The ports. */
  constructor(options: ChangeReportsOptions) {
    this.#options = options;
  }

  /** Reports that a change begins. */
  begin(words: ChangeWords): BegunChange {
    this.#options.serviceManager.reloading();
    return { ...words, startedAt: Date.now(), startMs: systemClock.nowMs() };
  }

  /** Ends a change that was not possible at all; only its requester is told why. */
  cancel(): void {
    this.#options.serviceManager.reloaded(this.result);
  }

  /** Reports a change that was refused: nothing has changed. */
  refused(begun: BegunChange, error: unknown): ReloadReport {
    const refusal = error instanceof Error ? error : new Error(String(error));
    const isExpected = isUserError(error) || error instanceof ServiceError;
    const about = isExpected ? refusal.message : error;
    const outcome = `${begun.name} refused, all goes on as before:`;
    zerror(outcome, about);
    return this.#report(begun, {
      refusal,
      undone: [],
      text: `${outcome} ${refusal.message}`,
    });
  }

  /**
   * Waits for the outcome of a change, and reports it.
   *
   * @param begun The change.
   * @param reload Its rollout.
   * @param accept Called before the report if any part of it is in force, with the ids of the
   * services that it was undone for.
   */
  async outcome(
    begun: BegunChange,
    { plan, outcome }: Reload,
    accept: (undone: ReadonlySet<string>) => void,
  ): Promise<ReloadReport> {
    const undone = await outcome;
    const ids = undone.flatMap(({ services }) => services);
    if (isAccepted({ plan, undone })) {
      accept(new Set(ids));
      this.#options.onAccepted();
    }
    const text = ids.length === 0
      ? begun.done
      : `${begun.name} over, rolled back for ${ids.join(" ")}`;
    const report = this.#report(begun, { plan, undone, text });
    logLine(ids.length === 0 ? "info" : "error", text);
    return report;
  }

  #report(
    { startedAt, startMs }: BegunChange,
    outcome: Omit<ReloadReport, "startedAt" | "durationMs">,
  ): ReloadReport {
    const durationMs = Math.round(systemClock.nowMs() - startMs);
    this.result = outcome.text;
    const { serviceManager, tell } = this.#options;
    serviceManager.reloaded(outcome.text);
    tell({ type: "reload", outcome: outcomeOf(outcome), text: outcome.text });
    return { startedAt, durationMs, ...outcome };
  }
}
