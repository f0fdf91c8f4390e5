/**
 * The requests of the control socket: checks each line, and calls the command that it names.
 *
 * @module
 */
import type { LogLevel } from "../../log/record.ts";
import { cannot, ConfigError, formatProblem } from "../../config/errors.ts";
import { nearest } from "../../config/nearest.ts";
import {
  type Answer,
  type CommandName,
  type Commands,
  CONTROL_VERSION,
  type ControlEvent,
  type ControlFailure,
  type Request,
} from "../../control/messages.ts";
import { isUserError } from "../../ipc/user_error.ts";
import { ServiceError } from "../policy/reload_report.ts";

/** A request that can't be fulfilled. */
export class ControlError extends Error {
  override readonly name = "ControlError";

  /**
   * @param code What kind of failure it is.
   * @param message The text for the operator.
   */
  constructor(readonly code: ControlFailure["code"], message: string) {
    super(message);
  }
}

/** The side of a client that a command sees. */
export interface Client {
  /** Aborted when the client is gone. */
  readonly gone: AbortSignal;
  /** Tells the client what a long command waits for. */
  progress(text: string): void;
  /** Sends these events until the client is gone. */
  subscribe(wants: (event: ControlEvent) => boolean): void;
}

/** The events that a client has asked for. */
export interface Subscription {
  /** The id of its request. */
  readonly id: number;
  wants(event: ControlEvent): boolean;
}

/** A function for each command. */
export type CommandHandlers = {
  readonly [Name in CommandName]: (
    args: Commands[Name]["args"],
    client: Client,
  ) => Promise<Commands[Name]["result"]> | Commands[Name]["result"];
};

type Kind = "text" | "texts" | "count" | "flag";

interface Argument {
  readonly kind: Kind;
  readonly isNeeded?: boolean;
}

const SOME_SERVICES: Record<string, Argument> = {
  services: { kind: "texts" },
  wait: { kind: "flag" },
};
const NAMED_SERVICES: Record<string, Argument> = { services: { kind: "texts", isNeeded: true } };

/** The arguments of each command. */
const ARGUMENTS: Readonly<Record<CommandName, Readonly<Record<string, Argument>>>> = {
  hello: {},
  status: { service: { kind: "text" } },
  plan: {},
  reload: SOME_SERVICES,
  restart: NAMED_SERVICES,
  start: NAMED_SERVICES,
  stop: SOME_SERVICES,
  scale: {
    service: { kind: "text", isNeeded: true },
    count: { kind: "count", isNeeded: true },
    wait: { kind: "flag" },
  },
  upgrade: {},
  wait: {},
  events: {},
  logs: { service: { kind: "text" }, lines: { kind: "count" }, follow: { kind: "flag" } },
};

const KINDS: Readonly<Record<Kind, { test(value: unknown): boolean; expected: string }>> = {
  text: { test: (value) => typeof value === "string" && value !== "", expected: "a text" },
  texts: {
    test: (value) =>
      Array.isArray(value) && value.length > 0 && value.every((one) => KINDS.text.test(one)),
    expected: "a list of texts",
  },
  flag: { test: (value) => typeof value === "boolean", expected: "true or false" },
  count: {
    test: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
    expected: "a whole number from 0 on",
  },
};

/**
 * Answers one line.
 *
 * @param line The line of a client.
 * @param handlers The commands; all others are refused.
 * @param client The client: `gone` is aborted at its end, `send` gets the answer, and `subscribe`
 * begins the events. `log`: writes a line to the log.
 */
export async function answerLine(
  line: string,
  handlers: Partial<CommandHandlers>,
  { gone, send, subscribe, log }: {
    readonly gone: AbortSignal;
    send(answer: Answer): void;
    subscribe(subscription: Subscription): void;
    log(text: string, level?: LogLevel): void;
  },
): Promise<void> {
  let id: number | null = null;
  try {
    const request = parseRequest(line, (found) => id = found);
    const name = commandOf(request);
    if (handlers[name] === undefined) throw readOnly(name, handlers);
    const args = argumentsOf(request, name);
    const client: Client = {
      gone,
      progress: (progress) => send({ id: request.id, progress }),
      subscribe: (wants) => subscribe({ id: request.id, wants }),
    };
    // The arguments were checked against the table of this very command.
    const handle = handlers[name] as (args: unknown, client: Client) => unknown;
    const result = await handle(args, client);
    send({ id: request.id, ok: true, result: result ?? null });
  } catch (error) {
    if (!isExpected(error)) log(`unexpected error in a command: ${logTextOf(error)}`, "error");
    send({ id, ok: false, error: failureOf(error) });
  }
}

function parseRequest(line: string, onId: (id: number) => void): Request {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw bad(cannot("read the request", shorten(line), {
      found: (error as Error).message,
      expected: `JSON such as {"v":${CONTROL_VERSION},"id":1,"do":"status"}`,
    }));
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw bad(cannot("read the request", shorten(line), {
      found: "no object",
      expected: `one such as {"v":${CONTROL_VERSION},"id":1,"do":"status"}`,
    }));
  }
  const request = value as Partial<Request>;
  if (Number.isSafeInteger(request.id)) onId(request.id as number);
  else throw wrong("id", request.id, "a whole number, which each answer repeats");
  if (request.v !== CONTROL_VERSION) {
    throw wrong("v", request.v, `${CONTROL_VERSION}, the version of the protocol`);
  }
  if (typeof request.do !== "string") throw wrong("do", request.do, "the name of a command");
  return request as Request;
}

function commandOf({ do: name }: Request): CommandName {
  if (Object.hasOwn(ARGUMENTS, name)) return name as CommandName;
  const known = Object.keys(ARGUMENTS), meant = nearest(name, known);
  const expected = meant ?? `one of ${known.join(" ")}`;
  throw new ControlError(
    "unknown-command",
    cannot("do", shorten(name), { found: "no command has this name", expected }),
  );
}

function readOnly(name: CommandName, handlers: Partial<CommandHandlers>): ControlError {
  return new ControlError(
    "read-only",
    cannot("do", name, {
      found: "the status socket, which changes nothing and shows no log",
      expected: `one of ${Object.keys(handlers).join(" ")}, or the control socket`,
    }),
  );
}

function argumentsOf(request: Request, name: CommandName): Record<string, unknown> {
  const args = ARGUMENTS[name];
  for (const key of Object.keys(request)) {
    if (["v", "id", "do"].includes(key) || Object.hasOwn(args, key)) continue;
    const expected = Object.keys(args).join(" ") || "no argument";
    throw bad(cannot("do", name, { found: `an argument ${shorten(key)}`, expected }));
  }
  for (const [key, { kind, isNeeded }] of Object.entries(args)) {
    const value = request[key], { test, expected } = KINDS[kind];
    if (value === undefined ? isNeeded : !test(value)) throw wrong(key, value, expected);
  }
  return request;
}

function failureOf(error: unknown): ControlFailure {
  if (error instanceof ControlError || error instanceof ServiceError) {
    return { code: error.code, message: error.message };
  }
  if (error instanceof ConfigError) {
    const { problems } = error;
    return { code: "refused", message: problems.map(formatProblem).join("\n"), problems };
  }
  const message = isExpected(error)
    ? error.message
    : `unexpected error: ${error}; the log of the master has more`;
  return { code: "failed", message };
}

/** Whether an error is no bug in this program. */
function isExpected(error: unknown): error is Error {
  return error instanceof ControlError || error instanceof ServiceError || isUserError(error);
}

/** The text of an error for the log: with the stack of an unexpected one. */
export function logTextOf(error: unknown): string {
  if (isExpected(error)) return error.message;
  return error instanceof Error && error.stack || String(error);
}

function wrong(key: string, value: unknown, expected: string): ControlError {
  const found = value === undefined ? "none" : shorten(JSON.stringify(value));
  return bad(`Cannot read the argument "${key}": found ${found}, expected ${expected}`);
}

const bad = (message: string): ControlError => new ControlError("bad-request", message);

/** A part of a client's text that fits into a message. */
function shorten(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 80)}…`;
}
