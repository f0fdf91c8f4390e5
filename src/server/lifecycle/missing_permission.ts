/**
 * What to write where a server lacks a permission: the runtime names the flag, and not the place.
 *
 * @module
 */
import { quoteWord } from "../../config/command.ts";
import { PERMISSION_ADVICE } from "../../log/formats.ts";
import { logEnd, logFrom, zwarn } from "../../log/log.ts";

const REFUSAL = /^Requires (\w+) access(?: to "([^"]+)")?.*--allow-(\w+)/;

/** The command line that the master has given to this server. */
let givenArgs: readonly string[] = Deno.args;

/**
 * Takes the command line of a server from its master, where that of its process is the program's own.
 *
 * @param args The command line.
 */
export function adviseBy(args: readonly string[]): void {
  givenArgs = args;
}

/**
 * Says what a server that ends by an error may be given.
 *
 * @param error The error.
 * @param args The command line of the server, which names its file.
 * @returns One line; undefined where the error is another one.
 */
export function permissionAdvice(error: unknown, args: readonly string[]): string | undefined {
  if (!(error instanceof Deno.errors.NotCapable)) return undefined;
  const [, access, subject, name] = REFUSAL.exec(error.message) ?? [];
  if (access === undefined) return undefined;
  const isNamed = subject !== undefined && !subject.startsWith("<");
  const flag = `--allow-${name}${isNamed ? `=${subject}` : ""}`;
  const found = isNamed ? `no ${access} access to "${subject}"` : `no ${access} access`;
  return `${PERMISSION_ADVICE}${name}: ${found}, expected ${quoteWord(flag)} ${placeFor(args)}`;
}

function placeFor(args: readonly string[]): string {
  if (!args.includes("MASTER")) return "behind deno run";
  const place = args.lastIndexOf("-config");
  const file = place < 0 ? "the service" : args[place + 1];
  return `in the server-permissions of ${file}, or in its server-command if that says deno run`;
}

/**
 * Logs an error of the program that the server survives: what to give it first, where a permission is
 * missing.
 *
 * @param what What has failed.
 * @param error The error.
 */
export function logFault(what: string, error: unknown): void {
  const advice = permissionAdvice(error, givenArgs);
  logFrom("error", logFault, what, ...(advice === undefined ? [] : [`${advice}\n`]), error);
}

/** Descriptors of which it was said that they are served in a slower way. */
const slow = new Set<number>();

/**
 * Says, once for each descriptor, that a listener is served in a slower way, and why.
 *
 * @param fd The descriptor.
 * @param error Why the runtime can't serve it.
 */
export function logSlowWay(fd: number, { message, cause }: Error): void {
  if (slow.has(fd)) return;
  slow.add(fd);
  const what = `descriptor ${fd} is served through node:net, which is slower`;
  if (!(cause instanceof Deno.errors.NotCapable)) return zwarn(`${message}; ${what}`);
  // It is for a listener of the runtime, whose address is another one each time.
  const host = cause.message.includes('"unix:') ? "" : "=127.0.0.1";
  zwarn(
    `Cannot adopt a listener: no net access, expected --allow-net${host} ${
      placeFor(givenArgs)
    }; ${what}`,
  );
}

/**
 * Has each error that ends this process for lack of a permission tell what to write, also one outside
 * of all hooks, such as in the program's own modules.
 */
export function advisePermissions(): void {
  const advise = (error: unknown) => {
    const advice = permissionAdvice(error, givenArgs);
    if (advice !== undefined) logEnd(advice);
  };
  addEventListener("error", ({ error }) => advise(error));
  addEventListener("unhandledrejection", ({ reason }) => advise(reason));
}
