/**
 * Stand-in for `@std/log/base-handler`: what every log handler extends.
 * @module
 */
import { getLevelByName, getLevelName, type LevelName, type LogLevel } from "./levels.ts";
import type { LogRecord } from "./logger.ts";

/** Turns a record into the text that is written. */
export type FormatterFunction = (logRecord: LogRecord) => string;

/** Options of a handler. */
export interface BaseHandlerOptions {
  /** Makes the text; the default writes the level's name, a blank and the message. */
  formatter?: FormatterFunction;
}

/** A place where records go that have at least the handler's level. */
export abstract class BaseHandler {
  #level: LogLevel;
  /** Makes the text of a record. */
  formatter: FormatterFunction;

  /**
   * Makes a handler.
   *
   * @param levelName The lowest level that it writes.
   * @param options How it formats.
   */
  constructor(levelName: LevelName, options: BaseHandlerOptions = {}) {
    this.#level = getLevelByName(levelName);
    this.formatter = options.formatter ?? (({ levelName, msg }) => `${levelName} ${msg}`);
  }

  /** The lowest level that is written. */
  get level(): LogLevel {
    return this.#level;
  }
  set level(level: LogLevel) {
    getLevelName(level); // throws if there is no such level
    this.#level = level;
  }

  /** The name of the lowest level that is written. */
  get levelName(): LevelName {
    return getLevelName(this.#level);
  }
  set levelName(levelName: LevelName) {
    this.#level = getLevelByName(levelName);
  }

  /**
   * Writes a record if its level is high enough.
   *
   * @param logRecord The record.
   */
  handle(logRecord: LogRecord): void {
    if (logRecord.level >= this.#level) this.log(this.format(logRecord));
  }

  /**
   * Makes the text of a record.
   *
   * @param logRecord The record.
   * @returns The text.
   */
  format(logRecord: LogRecord): string {
    return this.formatter(logRecord);
  }

  /**
   * Writes a text.
   *
   * @param msg The text.
   */
  abstract log(msg: string): void;

  /** Gets ready to write; does nothing unless overridden. */
  setup(): void {}

  /** Gives up what the handler holds; does nothing unless overridden. */
  destroy(): void {}

  /** Calls {@linkcode destroy}. */
  [Symbol.dispose](): void {
    this.destroy();
  }
}
