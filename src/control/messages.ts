/**
 * The messages of the control socket: one JSON object on each line. docs/control.md describes them.
 *
 * @module
 */
import type { Problem } from "../config/errors.ts";
import type { LogLevel } from "../log/record.ts";
import type { Status } from "./status.ts";

/** The version of the protocol. It is raised when a field or a command changes its meaning. */
export const CONTROL_VERSION = 1;

/** The most bytes of a line, its end included. */
export const MAX_REQUEST_BYTES = 64 * 1024;

/** A change of the services that a reload makes or would make. */
export interface PlanSummary {
  /** One line about each service: `added`, `removed`, `replaced` or `left`, and why. */
  readonly services: readonly {
    readonly id: string;
    readonly change: "added" | "removed" | "replaced" | "left";
    readonly why: string;
  }[];
  /** Each address, and whether its socket is kept, opened or closed. */
  readonly listeners: readonly {
    readonly address: string;
    readonly change: "kept" | "opened" | "closed";
  }[];
}

/** What a reload would do now. */
export interface Plan extends PlanSummary {
  /** What is only suspicious in the settings that it has read. */
  readonly warnings: readonly Problem[];
}

/** The outcome of a change that has begun. */
export interface ChangeOutcome {
  /** Whether any part of it was rolled back. */
  readonly outcome: "committed" | "rolled back";
  /** The services whose change was rolled back, and why; none if all of it is committed. */
  readonly rolledBack: readonly { readonly services: readonly string[]; readonly reason: string }[];
  /** What was to be changed. */
  readonly plan: PlanSummary;
  /** How long it took, in milliseconds. */
  readonly durationMs: number;
  /** What is only suspicious in the settings that a reload has read. */
  readonly warnings: readonly Problem[];
}

/** An argument of commands that wait for an outcome. */
export interface Waiting {
  /**
   * `false`: the answer comes as soon as the request is accepted, and its result is null.
   *
   * @default {true}
   */
  readonly wait?: boolean;
}

/** The outcome of `scale`. */
export interface ScaleOutcome {
  /** The number of processes before the command. */
  readonly before: number;
  /** The number of processes since then. */
  readonly now: number;
  /** Why the processes are not all ready; null if they are, or were not waited for. */
  readonly problem: string | null;
}

/** A service that is not ready. */
export interface UnreadyService {
  /** Its id. */
  readonly id: string;
  /** Why it is not ready. */
  readonly reason: string;
}

/** A line of the log: of a server's captured output, or of the master itself. */
export interface LogLine {
  /** When it was read or written, in milliseconds since 1970. */
  readonly atMs: number;
  /** How important it is. */
  readonly level: LogLevel;
  /** The service; null for the master. */
  readonly service: string | null;
  /** The process that has written it. */
  readonly pid: number;
  /** The output that it was read from; null for the master. */
  readonly stream: "stdout" | "stderr" | null;
  /** The text, with line breaks where further lines belong to it. */
  readonly text: string;
  /** Different for each line, also over upgrades. */
  readonly key: string;
}

/** What a master says of itself at once. */
export interface Greeting {
  /** Its process. */
  readonly pid: number;
  /** The version of the module. */
  readonly version: string;
  /** The version of Deno. */
  readonly deno: string;
  /** The absolute path of the directory of `-C`; null without one, and with a root directory of its own. */
  readonly configDirectory: string | null;
}

/** The commands: their arguments and their results. */
export interface Commands {
  /** Tells which master answers. */
  hello: { args: Record<never, never>; result: Greeting };
  /** Tells the state of the master and of its services; with a service, of this one only. */
  status: { args: { service?: string }; result: Status };
  /** Tells what a reload would change, and its warnings. */
  plan: { args: Record<never, never>; result: Plan };
  /** Reads the configuration and rolls it out; with services, only their parts of it. */
  reload: { args: Waiting & { services?: readonly string[] }; result: ChangeOutcome | null };
  /** Replaces the processes of services, without reading the configuration. */
  restart: { args: { services: readonly string[] }; result: ChangeOutcome };
  /** Starts services that were stopped, until the next reload or upgrade. */
  start: { args: { services: readonly string[] }; result: ChangeOutcome };
  /**
   * Stops services until the next reload or upgrade; without services the master, and its result is null when
   * all processes have ended.
   */
  stop: { args: Waiting & { services?: readonly string[] }; result: ChangeOutcome | null };
  /** Answers when each service has become ready after the start or has failed, with those that are not ready. */
  wait: { args: Record<never, never>; result: { unready: readonly UnreadyService[] } };
  /** Sets the number of processes of a service until the next reload or upgrade. */
  scale: { args: Waiting & { service: string; count: number }; result: ScaleOutcome };
  /** Starts a new master in the place of this one, and tells its process. */
  upgrade: { args: Record<never, never>; result: { pid: number } };
  /** Answers, and sends events until the connection is closed. */
  events: { args: Record<never, never>; result: null };
  /**
   * The last lines of the log, 100 by default, with a service those of it and those of the master about it,
   * whose text begins with its id; and with `follow` each further one as an event. An event may come
   * before the answer; its line is not among those of the answer.
   */
  logs: {
    args: { service?: string; lines?: number; follow?: boolean };
    result: { lines: readonly LogLine[] };
  };
}

/** The name of a command. */
export type CommandName = keyof Commands;

/** A request. */
export interface Request {
  /** The version of the protocol. */
  readonly v: number;
  /** Chosen by the client, and repeated in each answer. */
  readonly id: number;
  readonly do: string;
  readonly [argument: string]: unknown;
}

/** Why a request failed. */
export interface ControlFailure {
  /**
   * - `bad-request`: the line is no request, or has a wrong argument;
   * - `unknown-command`: no command has this name;
   * - `unknown-service`: no service has this id;
   * - `refused`: the configuration has problems, nothing was changed;
   * - `busy`: it can't be done now;
   * - `read-only`: the status socket has no command that changes anything;
   * - `failed`: it was tried, and failed.
   */
  readonly code:
    | "bad-request"
    | "unknown-command"
    | "unknown-service"
    | "refused"
    | "busy"
    | "read-only"
    | "failed";
  /** One line about what failed, for a person. */
  readonly message: string;
  /** The problems of a configuration. */
  readonly problems?: readonly Problem[];
}

/** A line from the master. */
export type Answer =
  | { readonly id: number; readonly ok: true; readonly result: unknown }
  | { readonly id: number | null; readonly ok: false; readonly error: ControlFailure }
  | { readonly id: number; readonly progress: string }
  | { readonly id: number; readonly event: ControlEvent };

/** An event without its time. */
export type UntimedEvent = ControlEvent extends infer Event
  ? Event extends unknown ? Omit<Event, "atMs"> : never
  : never;

/** Something that has happened in a master. */
export type ControlEvent =
  & {
    /** When, in milliseconds since 1970. */
    readonly atMs: number;
  }
  & (
    /** A process has become ready. */
    | { readonly type: "ready"; readonly service: string; readonly pid: number }
    /** A process has ended that was not told to. */
    | {
      readonly type: "exit";
      readonly service: string;
      readonly pid: number;
      readonly reason: string;
      /** How long it ran, in milliseconds. */
      readonly ranMs: number;
    }
    /** No process of a service is started any more until the next reload. */
    | { readonly type: "failed"; readonly service: string; readonly reason: string }
    /** No process of a service is missing any more after unexpected ends. */
    | {
      readonly type: "recovered";
      readonly service: string;
      /** For how long processes were missing, in milliseconds. */
      readonly afterMs: number;
    }
    /** A reload, or another change of services, is over. */
    | {
      readonly type: "reload";
      readonly outcome: "committed" | "rolled back" | "refused";
      readonly text: string;
    }
    /** A line of the log; only after `logs`. */
    | { readonly type: "line" } & Omit<LogLine, "atMs">
    /** So many lines were left out, since the client has read too slowly. */
    | { readonly type: "dropped"; readonly lines: number }
    /** The master stops. */
    | { readonly type: "stop" }
  );
