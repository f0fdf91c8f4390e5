/**
 * Export of log lines and of the output of `console` by OpenTelemetry (OTEL_DENO=true).
 *
 * The runtime exports what passes through its `console`. With OTEL_DENO_CONSOLE=replace, which a master sets
 * for its servers, `console` exports and prints nothing, so that the lines are printed here, without blocking.
 * The value is out of reach without the permission to read these variables; nothing is exported then.
 *
 * @module
 */
import type { LogLevel } from "../config/log_form.ts";
import { readableVariable } from "../os/process/environment.ts";

/** `console` at the start of this process: methods that a program has replaced since stay replaced. */
export const consoleAtStart: Readonly<Record<string, unknown>> = { ...console };

let exports: boolean | undefined;

/** Whether {@linkcode consoleAtStart} exports, and prints nothing. */
export function consoleExports(): boolean {
  return exports ??= readableVariable("OTEL_DENO") === "true" &&
    readableVariable("OTEL_DENO_CONSOLE") === "replace";
}

/** Exports a log line of a level where log lines are exported. */
export function exportLine(level: LogLevel, text: string): void {
  // The runtime gives an exported line the severity of its method.
  if (consoleExports()) (consoleAtStart as unknown as Console)[level](text);
}
