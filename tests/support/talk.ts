/**
 * Output in every way that a program has, for tests of output that nobody takes.
 *
 * @module
 */
import process from "node:process";
import { zinfo } from "../../src/log/log.ts";

const TEXT = "x".repeat(50_000);

/** Prints more than a pipe takes. */
export function talk(): void {
  const bytes = new TextEncoder().encode(`${TEXT}\n`);
  console.log(TEXT);
  console.error(TEXT);
  console.table([{ TEXT }]);
  Deno.stdout.writeSync(bytes);
  process.stdout.write(`${TEXT}\n`);
  process.stderr.write(`${TEXT}\n`);
  zinfo(TEXT);
}
