/**
 * Stand-in for `@std/log/logger`: the logger and the record that it hands to its handlers.
 * @module
 */
import {
  getLevelByName,
  getLevelName,
  type LevelName,
  type LogLevel,
  LogLevels,
} from "./levels.ts";
import type { BaseHandler } from "./base_handler.ts";

/** Any function. */
// deno-lint-ignore no-explicit-any
export type GenericFunction = (...args: any[]) => any;

/** What a record is made of. */
export interface LogRecordOptions {
  /** The message, already a text. */
  msg: string;
  /** Whatever else was given to the call. */
  args: unknown[];
  /** The level of the call. */
  level: LogLevel;
  /** The name of the logger. */
  loggerName: string;
}

/** One call of a logger: the message, its level and its time. */
export class LogRecord {
  /** The message. */
  readonly msg: string;
  /** The level's number. */
  readonly level: number;
  /** The level's name. */
  readonly levelName: string;
  /** The name of the logger. */
  readonly loggerName: string;
  #args: unknown[];
  #datetime = new Date();

  /**
   * Makes a record of this moment.
   *
   * @param options What it is made of.
   */
  constructor(options: LogRecordOptions) {
    this.msg = options.msg;
    this.level = options.level;
    this.levelName = getLevelName(options.level);
    this.loggerName = options.loggerName;
    this.#args = [...options.args];
  }

  /** A copy of the further arguments. */
  get args(): unknown[] {
    return [...this.#args];
  }

  /** A copy of the time. */
  get datetime(): Date {
    return new Date(this.#datetime);
  }
}

/** Options of a logger. */
export interface LoggerOptions {
  /** Where its records go; the default is nowhere. */
  handlers?: BaseHandler[];
}

type Message<T> = (T extends GenericFunction ? never : T) | (() => T);

/**
 * Turns any value into the text of a message: an error into its stack, another object into its own
 * entries. Inside of an object a text gets quotes.
 */
function textOf(data: unknown, isProperty = false): string {
  if (typeof data === "string") return isProperty ? `"${data}"` : data;
  if (typeof data === "function") return "undefined";
  if (typeof data !== "object" || data === null) return String(data);
  if (data instanceof Error) return data.stack!;
  const entries = Object.entries(data).map(([key, value]) => `"${key}":${textOf(value, true)}`);
  return `{${entries.join(",")}}`;
}

/** Hands each message of at least its level to its handlers. */
export class Logger {
  /** Where the records go. */
  handlers: BaseHandler[];
  readonly #loggerName: string;
  #level: LogLevel;

  /**
   * Makes a logger.
   *
   * @param loggerName Its name.
   * @param levelName The lowest level that it passes on.
   * @param options Its handlers.
   */
  constructor(loggerName: string, levelName: LevelName, options: LoggerOptions = {}) {
    this.#loggerName = loggerName;
    this.#level = getLevelByName(levelName);
    this.handlers = options.handlers ?? [];
  }

  /** The lowest level that is passed on. */
  get level(): LogLevel {
    return this.#level;
  }
  set level(level: LogLevel) {
    try {
      getLevelName(level);
    } catch (cause) {
      throw new TypeError(`Cannot set the log level ${level}: no level has this number`, { cause });
    }
    this.#level = level;
  }

  /** The name of the lowest level that is passed on. */
  get levelName(): LevelName {
    return getLevelName(this.#level);
  }
  set levelName(levelName: LevelName) {
    this.#level = getLevelByName(levelName);
  }

  /** The name of this logger. */
  get loggerName(): string {
    return this.#loggerName;
  }

  #log<T>(level: LogLevel, msg: Message<T>, args: unknown[]): T | undefined {
    const lazy = msg instanceof Function;
    if (level < this.#level) return lazy ? undefined : msg;
    const value = lazy ? msg() : msg;
    const record = new LogRecord({
      msg: textOf(value),
      args,
      level,
      loggerName: this.#loggerName,
    });
    for (const handler of this.handlers) handler.handle(record);
    return value;
  }

  /** Logs what the function returns; it is called only if the level is passed on. */
  debug<T>(msg: () => T, ...args: unknown[]): T | undefined;
  /** Logs a value at level DEBUG and returns it. */
  debug<T>(msg: T extends GenericFunction ? never : T, ...args: unknown[]): T;
  debug<T>(msg: Message<T>, ...args: unknown[]): T | undefined {
    return this.#log(LogLevels.DEBUG, msg, args);
  }

  /** Logs what the function returns; it is called only if the level is passed on. */
  info<T>(msg: () => T, ...args: unknown[]): T | undefined;
  /** Logs a value at level INFO and returns it. */
  info<T>(msg: T extends GenericFunction ? never : T, ...args: unknown[]): T;
  info<T>(msg: Message<T>, ...args: unknown[]): T | undefined {
    return this.#log(LogLevels.INFO, msg, args);
  }

  /** Logs what the function returns; it is called only if the level is passed on. */
  warn<T>(msg: () => T, ...args: unknown[]): T | undefined;
  /** Logs a value at level WARN and returns it. */
  warn<T>(msg: T extends GenericFunction ? never : T, ...args: unknown[]): T;
  warn<T>(msg: Message<T>, ...args: unknown[]): T | undefined {
    return this.#log(LogLevels.WARN, msg, args);
  }

  /** Logs what the function returns; it is called only if the level is passed on. */
  error<T>(msg: () => T, ...args: unknown[]): T | undefined;
  /** Logs a value at level ERROR and returns it. */
  error<T>(msg: T extends GenericFunction ? never : T, ...args: unknown[]): T;
  error<T>(msg: Message<T>, ...args: unknown[]): T | undefined {
    return this.#log(LogLevels.ERROR, msg, args);
  }

  /** Logs what the function returns; it is called only if the level is passed on. */
  critical<T>(msg: () => T, ...args: unknown[]): T | undefined;
  /** Logs a value at level CRITICAL and returns it. */
  critical<T>(msg: T extends GenericFunction ? never : T, ...args: unknown[]): T;
  critical<T>(msg: Message<T>, ...args: unknown[]): T | undefined {
    return this.#log(LogLevels.CRITICAL, msg, args);
  }
}
