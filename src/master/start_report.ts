/**
 * Reports how the start of all services goes: to the log, the service manager, and waiting commands.
 *
 * @module
 */
import { formatDuration } from "../config/duration.ts";
import type { UnreadyService } from "../control/messages.ts";
import { logEnd, zinfo } from "../log/log.ts";
import { systemClock, within } from "../os/clock/clock.ts";
import type { ResolvedService } from "./policy/resolved_service.ts";
import type { Start, Supervisor } from "./supervisor/supervisor.ts";
import type { SystemdNotify } from "./systemd_notify.ts";

/** The time after which a long start is reported, and the interval of further checks. */
const WAITING_MS = 1_000;

/** The ports of {@linkcode StartReport}. */
export interface StartReportOptions {
  readonly supervisor: Pick<Supervisor, "current">;
  readonly serviceManager: Pick<SystemdNotify, "starting" | "ready" | "status">;
  /** The result of the start or of the last change, on one line. */
  result(): string;
  /** Whether the master stops, or a new one has taken over. */
  isStopping(): boolean;
}

/** Reports how the start of all services goes. */
export class StartReport {
  readonly #options: StartReportOptions;
  readonly #over = Promise.withResolvers<readonly UnreadyService[]>();

  /** @param options The ports. */
  constructor(options: StartReportOptions) {
    this.#options = options;
  }

  /** Fulfilled at the end of the start with the services that were not ready then. */
  get over(): Promise<readonly UnreadyService[]> {
    return this.#over.promise;
  }

  /** Records that there is no start: an old master has started the services. */
  skip(): void {
    this.#over.resolve([]);
  }

  /** Reports that the services are ready, and which ones are not ready in time. */
  async follow({ coldStart, plan }: Start): Promise<void> {
    const { serviceManager, result, isStopping } = this.#options;
    const unready = () => coldStart.unready.map(({ id, reason }) => `${id}: ${reason}`).join("; ");
    const beginMs = systemClock.nowMs();
    let leftMs: number, reported = "";
    while ((leftMs = coldStart.leftMs(systemClock.nowMs() - beginMs)) > 0) {
      await within(coldStart.settled, { ms: Math.min(leftMs, WAITING_MS), late: () => {} });
      const text = `waiting for ${unready()}`;
      if (coldStart.leftMs(0) > 0 && text !== reported) {
        serviceManager.starting(reported = text, leftMs);
      }
    }
    this.#over.resolve(coldStart.unready);
    if (isStopping()) return;
    if (coldStart.unready.length === 0) {
      if (plan.added.length > 0) zinfo(this.#readyText(systemClock.nowMs() - beginMs));
      return serviceManager.ready(result());
    }
    const text = `not ready: ${unready()}`;
    logEnd(`${text}; clients of these services wait until they serve`, "warn");
    serviceManager.ready(text);
    await coldStart.complete;
    if (isStopping()) return;
    zinfo("all services are ready now");
    serviceManager.status(result());
  }

  /** What a complete start has brought, for a log line. */
  #readyText(tookMs: number): string {
    const { current } = this.#options.supervisor;
    const sum = (of: (service: ResolvedService) => number) =>
      current.reduce((total, service) => total + of(service), 0);
    const counts = [
      `services: ${current.length}`,
      `processes: ${sum(({ procCount }) => procCount)}`,
      `addresses: ${sum(({ endpoints }) => endpoints.length)}`,
    ].join(", ");
    return `all services are ready after ${formatDuration(tookMs)} (${counts})`;
  }
}
