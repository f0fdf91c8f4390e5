/**
 * The only file that knows `@std/log`: a logger of it that passes each record's text to our own logger.
 *
 * @module
 */
import { BaseHandler } from "@std/log/base-handler";
import { Logger } from "@std/log/logger";

/** Writes a text. */
type Write = (text: string) => void;

class WriteHandler extends BaseHandler {
  constructor(readonly write: Write) {
    super("DEBUG", { formatter: ({ msg }) => msg });
  }

  override log(text: string): void {
    this.write(text);
  }
}

/** Registers `write` as the handler of a logger of `@std/log`, and returns that logger's call. */
export function throughStdLog(write: Write): Write {
  const logger = new Logger("zc", "INFO", { handlers: [new WriteHandler(write)] });
  return (text) => void logger.info(text);
}
