/**
 * A client of a master's control socket: its status, and the commands that change it.
 *
 * docs/control.md describes the protocol, for clients in other languages.
 *
 * @example Shows the state of each service
 * ```ts
 * import { ControlClient } from "@zc/master/control";
 *
 * if (import.meta.main) {
 *   using master = await ControlClient.connect("master.pid.sock");
 *   const { services } = await master.request("status");
 *   for (const { id, state } of services) console.log(id, state);
 * }
 * ```
 *
 * @module
 */
export type { Problem } from "./src/config/errors.ts";
export type { LogLevel } from "./src/config/log_form.ts";
export {
  type ConnectOptions,
  ControlClient,
  ControlRequestError,
  type RequestOptions,
} from "./src/control/client.ts";
export {
  type ChangeOutcome,
  type CommandName,
  type Commands,
  CONTROL_VERSION,
  type ControlEvent,
  type ControlFailure,
  type Greeting,
  type LogLine,
  type Plan,
  type PlanSummary,
  type ScaleOutcome,
  type UnreadyService,
  type Waiting,
} from "./src/control/messages.ts";
export {
  type AwaitedStep,
  type ChangeStatus,
  DRAIN_BUCKETS_MS,
  type DrainCounters,
  END_REASONS,
  type EndReason,
  type LastExit,
  type ListenerStatus,
  type MasterCounters,
  type MasterStatus,
  type ProcessState,
  type ProcessStatus,
  type ReloadStatus,
  type ServiceCounters,
  type ServiceState,
  type ServiceStatus,
  type Status,
} from "./src/control/status.ts";
