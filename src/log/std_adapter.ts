/**
 * The only file that knows `@std/log`: a logger of it that passes each record to our own log.
 *
 * @module
 */
import { BaseHandler } from "@std/log/base-handler";
import { Logger } from "@std/log/logger";
import type { LogRecord } from "./record.ts";

/** Writes a record. */
type Write = (record: LogRecord) => void;

/** What a handler gets: the record is the argument of the message. */
type StdRecord = Parameters<BaseHandler["handle"]>[0];

class WriteHandler extends BaseHandler {
  constructor(readonly write: Write) {
    super("DEBUG");
  }

  override handle({ args }: StdRecord): void {
    this.write(args[0] as LogRecord);
  }

  override log(): void {}
}

/** Registers `write` as the handler of a logger of `@std/log`, and returns that logger's call. */
export function throughStdLog(write: Write): Write {
  const logger = new Logger("zc", "DEBUG", { handlers: [new WriteHandler(write)] });
  return (record) => void logger[record.level](record.text, record);
}
