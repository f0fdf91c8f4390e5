/**
 * A socket of a server, as the server has it and as a message describes it.
 *
 * Pure: types.
 *
 * @module
 */
import type { FdType } from "../os/net/socket.ts";

/** A listening socket or named pipe that a server is given: what `serviceRegister` receives. */
export interface ServiceSocket {
  /** The service's name, which may be empty. */
  readonly name: string;
  readonly type: FdType;
  /** Owned by the receiver. */
  readonly fd: number;
  /** The address as configured; missing if the master has not sent it. */
  readonly address?: string;
}

/** A service socket in a message; without `fd`, its descriptor travels with the message. */
export type SentSocket =
  & Required<Omit<ServiceSocket, "fd">>
  & Partial<Pick<ServiceSocket, "fd">>;
