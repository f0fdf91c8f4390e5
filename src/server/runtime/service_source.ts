/**
 * The source of a server's services, which has three kinds: a master of this framework, a C master, and the
 * server itself in standalone mode.
 *
 * @module
 */
import type { ServiceSocket } from "../../ipc/service_socket.ts";

/** The source of a server's services, and the receiver of its reports. */
export interface ServiceSource {
  /** The services to register, as soon as they are known. */
  services(): Promise<readonly ServiceSocket[]>;
  /** Drops the privileges that the settings do not leave to this process. */
  dropPrivileges(): Promise<void>;
  ready(): void;
  draining(seconds: number): void;
  detach(): void;
  /** Whether the next SIGTERM only repeats an order of the master; asked once for each signal. */
  isRepeated?(): boolean;
  close(): void;
}
