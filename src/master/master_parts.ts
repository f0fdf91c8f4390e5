/**
 * What the parts of a running master share.
 *
 * @module
 */
import type { Changes } from "./changes.ts";
import type { MasterControl } from "./control/master_control.ts";
import type { CurrentPhase } from "./current_phase.ts";
import type { Duty } from "./duty.ts";
import type { ListenerOwners } from "./listeners/owners.ts";
import type { Reloads } from "./reload.ts";
import type { ServiceChanges } from "./service_changes.ts";
import type { StopRequests } from "./stop_requests.ts";
import type { Supervisor } from "./supervisor/supervisor.ts";
import type { SystemdNotify } from "./systemd_notify.ts";
import type { OldMaster } from "./upgrade/old_master.ts";
import type { CounterExchange } from "./counter_exchange.ts";

/** The parts of a running master. */
export interface MasterParts {
  readonly phase: CurrentPhase;
  readonly stops: StopRequests;
  readonly changes: Changes;
  readonly duty: Duty;
  readonly control: MasterControl;
  readonly supervisor: Supervisor;
  readonly listeners: ListenerOwners;
  readonly reloads: Reloads;
  readonly serviceChanges: ServiceChanges;
  readonly serviceManager: SystemdNotify;
  /** The old master, if there was one. */
  readonly oldMaster?: OldMaster;
  readonly counts: CounterExchange;
}
