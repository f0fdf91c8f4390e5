/**
 * What is still open in a server, by kind.
 *
 * @module
 */

/** How much is open in a server at one moment. */
export interface OpenWork {
  /** Connections, WebSockets included. */
  readonly connections: number;
  /** WebSockets and other connections that were upgraded from HTTP. */
  readonly webSockets: number;
  /** Answers of HTTP that are streams of events (`text/event-stream`). */
  readonly eventStreams: number;
}

/** What a server is told of its stop. */
export interface Softstop {
  /** How long the server lives at most from now on, in seconds. */
  readonly seconds: number;
  /** Aborted from now on: see `softstopSignal`. */
  readonly signal: AbortSignal;
  /** Counts what is open now. */
  open(): OpenWork;
}

/** Counts a part of it. */
export type OpenWorkCounter = () => Partial<OpenWork>;

/**
 * Adds parts up.
 *
 * @param parts The parts.
 */
export function sumOpenWork(parts: Iterable<Partial<OpenWork>>): OpenWork {
  let connections = 0, webSockets = 0, eventStreams = 0;
  for (const part of parts) {
    connections += part.connections ?? 0;
    webSockets += part.webSockets ?? 0;
    eventStreams += part.eventStreams ?? 0;
  }
  return { connections, webSockets, eventStreams };
}
