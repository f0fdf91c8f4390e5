/**
 * The number of open connections and streams of a server, by kind.
 *
 * @module
 */

/** The work that is open in a server at one moment. */
export interface OpenWork {
  /** Connections, WebSockets included. */
  readonly connections: number;
  /** WebSockets and other connections that were upgraded from HTTP. */
  readonly webSockets: number;
  /** HTTP responses that are event streams (`text/event-stream`). */
  readonly eventStreams: number;
}

/** The details of a soft stop, for the `beforeSoftstop` hook. */
export interface Softstop {
  /** The time limit for the server from now on, in seconds. */
  readonly seconds: number;
  /** Aborted at the soft stop: see `softstopSignal`. */
  readonly signal: AbortSignal;
  /** Counts the work that is open now. */
  open(): OpenWork;
}

/** Counts a part of the open work. */
export type OpenWorkCounter = () => Partial<OpenWork>;

/** Adds partial counts up. */
export function sumOpenWork(parts: Iterable<Partial<OpenWork>>): OpenWork {
  let connections = 0, webSockets = 0, eventStreams = 0;
  for (const part of parts) {
    connections += part.connections ?? 0;
    webSockets += part.webSockets ?? 0;
    eventStreams += part.eventStreams ?? 0;
  }
  return { connections, webSockets, eventStreams };
}
