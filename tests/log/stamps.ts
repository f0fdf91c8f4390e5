/** The time of a log line in text form, which a test can't know. */
const STAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d /gm;

/** Takes the time from each line of a log. */
export function withoutTimes(log: string): string {
  return log.replace(STAMP, "");
}
