/**
 * The form of the lines on a standard output: as the settings say, or by what the output is.
 *
 * @module
 */
import type { LogFormat } from "../config/log_form.ts";
import { fileStatus } from "../os/ffi/file_status.ts";
import { mayUseFfi } from "../os/ffi/permissions.ts";
import { readableVariable } from "../os/process/environment.ts";
import {
  journalRecord,
  jsonRecord,
  plainTerminalRecord,
  terminalRecord,
  textRecord,
} from "./formats.ts";
import type { RecordEncoder } from "./record.ts";

/** An open output. */
interface OpenOutput {
  readonly fd: number;
  readonly isTerminal: boolean;
}

/** Returns the encoder of a form; of `auto`, that of the output. */
export function recordEncoder(form: LogFormat, output: OpenOutput): RecordEncoder {
  switch (form) {
    case "auto":
      if (output.isTerminal) return recordEncoder("terminal", output);
      return isJournal(output) ? journalRecord : textRecord;
    case "terminal":
      return showsColours(output) ? terminalRecord : plainTerminalRecord;
    case "journal":
      return journalRecord;
    case "json":
      return jsonRecord;
    case "text":
      return textRecord;
  }
}

/** Whether an output shows colours: it is a terminal that has them, and `NO_COLOR` is not set. */
export function showsColours({ isTerminal }: Pick<OpenOutput, "isTerminal">): boolean {
  return isTerminal && !Deno.noColor && readableVariable("TERM") !== "dumb";
}

/**
 * Whether an output is the connection to the journal that systemd has opened (systemd.exec(5)): after a
 * redirection of the output the variable is still there, but names another file. Only a system call tells the
 * file of a descriptor.
 */
function isJournal({ fd }: OpenOutput): boolean {
  const stream = readableVariable("JOURNAL_STREAM");
  if (!stream || !mayUseFfi()) return false;
  try {
    const { dev, ino } = fileStatus(fd, `descriptor ${fd}`);
    return stream === `${dev}:${ino}`;
  } catch {
    // A closed output has no form.
    return false;
  }
}
