/**
 * The entry point of the program: a command such as `status`, or else a master.
 *
 * @module
 */
import { cannot } from "../config/errors.ts";
import { chooseOwnServer, METRICS_SERVER, splitOwnServer } from "../config/own_server.ts";
import { isUserError } from "../ipc/user_error.ts";
import { closeLog } from "../log/log.ts";
import { readArguments } from "../master/arguments.ts";
import { runMaster } from "../master/main.ts";
import type { MasterServerHooks, OwnServer } from "../master/services/hooks.ts";
import { splitUpgrade } from "../master/upgrade/command.ts";
import { runShim, shimArguments } from "../master/workers/exec_shim.ts";
import { requireSupportedPlatform } from "../os/ffi/libc.ts";
import { ownArguments } from "../os/ffi/proc_self.ts";
import { keepInspectorClosed } from "../os/process/inspector_signal.ts";
import { checkOwnServers, noOwnServer, ownServer } from "./own_server.ts";

/**
 * Runs a master until it is stopped (LIB-ZC's `zmaster_server_main`), or the command that the first
 * argument names, such as `status`: `--help` lists them, each with its exit codes.
 *
 * SIGHUP reloads. SIGTTIN and SIGTTOU add a process to each service, or remove one. SIGUSR2 starts
 * a new master that replaces this one. SIGUSR1 reopens the log files. SIGTERM, SIGINT and SIGQUIT
 * stop the master; a second one of them shortens the wait for the servers. Problems at the start
 * are written to standard error, problems of a reload to the log.
 *
 * With `servers` a program is a master and its servers in one: in a process that a master has started for
 * `server-command = self NAME`, and by hand in `PROGRAM NAME alone -server-service LIST`, the function of
 * that name runs in place of a master.
 *
 * Needs Linux on x86-64 or arm64. A master and its commands need all permissions: `-A`.
 *
 * @param hooks Hooks of the embedding program.
 * @param args The command line; `--help` lists the arguments.
 * @returns The exit code: of a master 0 after an orderly stop and 1 when it can't start; of a command
 * what its help says; of a server what its function returns, and 78 if there is no server of that name.
 *
 * @example
 * ```ts
 * import { masterServerMain } from "@zc/master";
 *
 * if (import.meta.main) Deno.exit(await masterServerMain());
 * ```
 *
 * @example A master and a server in one program, with `server-command = self web`
 * ```ts
 * import { coroutineServerMain, masterServerMain, serveHttp } from "@zc/master";
 *
 * const web = () =>
 *   coroutineServerMain({
 *     serviceRegister: (_service, fd, fdType) => {
 *       serveHttp(fd, fdType, () => new Response("hello\n"));
 *     },
 *   });
 *
 * if (import.meta.main) Deno.exit(await masterServerMain({ servers: { web } }));
 * ```
 */
export async function masterServerMain(
  hooks: MasterServerHooks = {},
  args: readonly string[] = ownArguments(),
): Promise<number> {
  // A server may have few permissions, and none of the rest is for it.
  const { name, args: rest } = splitOwnServer(ownArguments());
  if (name === METRICS_SERVER) return await runMetrics(rest);
  if (name !== undefined) return await runOwnServer(hooks, name);
  try {
    requireSupportedPlatform();
    keepInspectorClosed();
    const shim = shimArguments(Deno.args);
    if (shim !== undefined) runShim(shim);
    const byHand = await serverByHand(hooks);
    if (byHand !== undefined) return await byHand();
    return await dispatch(hooks, splitUpgrade(args).args);
  } catch (error) {
    if (!isUserError(error)) throw error;
    console.error(
      error instanceof Deno.errors.NotCapable ? withoutPermission(error) : error.message,
    );
    return 1;
  } finally {
    closeLog();
  }
}

/**
 * The program of the service `metrics`. As a text it is none of the modules that the runtime reads at each start
 * of a master: there would be a third more of them.
 */
const METRICS_PROGRAM = import.meta.resolve("../metrics/main.ts");

/** Runs the service `metrics` in a compiled program. */
async function runMetrics(args: readonly string[]): Promise<number> {
  let program: typeof import("../metrics/main.ts");
  try {
    program = await import(METRICS_PROGRAM);
  } catch (error) {
    const { EXIT, fail } = await import("./connect.ts");
    const message = cannot("start", "metrics", {
      found: `its modules are not in this program (${(error as Error).message})`,
      expected: "deno compile --include jsr:@zc/master/metrics",
    });
    return fail(message, EXIT.configuration);
  }
  return await program.metricsServerMain(args[0], args);
}

/** Runs the server that a master has named. */
async function runOwnServer(hooks: MasterServerHooks, name: string): Promise<number> {
  const main = ownServer(hooks, name);
  if (main !== undefined) return await main();
  const { EXIT, fail } = await import("./connect.ts");
  return fail(noOwnServer(hooks, name), EXIT.configuration);
}

/** The server that a person has named by a plain first argument. */
async function serverByHand(hooks: MasterServerHooks): Promise<OwnServer | undefined> {
  if (hooks.servers === undefined) return undefined;
  const { COMMANDS } = await import("./table.ts");
  checkOwnServers(hooks, COMMANDS.map(({ name }) => name));
  const [name = ""] = ownArguments(), main = ownServer(hooks, name);
  if (main !== undefined) chooseOwnServer(name);
  return main;
}

/** The runtime's message names a single permission, but a master needs all of them. */
function withoutPermission({ message }: Error): string {
  const found = message.replace(/^Requires (.*), run again with.*$/s, "no $1");
  return cannot("run", "master", { found, expected: "all permissions: deno run -A" });
}

/** The arguments that are neither names of settings nor values. */
function plainArguments(args: readonly string[]): string[] {
  const isValue = (before = "-") => before.startsWith("-") && !before.startsWith("--");
  return args.filter((arg, index) => !arg.startsWith("-") && !isValue(args[index - 1]));
}

/** Runs the command that the first argument names; without one, a master. */
async function dispatch(hooks: MasterServerHooks, args: readonly string[]): Promise<number> {
  const [first = ""] = args;
  // A program that embeds a master may have arguments of its own, which its hooks read.
  const isOpen = Object.keys(hooks).some((hook) => hook !== "servers");
  const isSetting = first === "" || (first.startsWith("-") && !isForHelp(first));
  if (isSetting) {
    const plain = isOpen ? [] : plainArguments(args);
    const { COMMANDS } = plain.length > 0 ? await import("./table.ts") : { COMMANDS: [] };
    const late = COMMANDS.find(({ name }) => plain.includes(name));
    if (late === undefined) return await runMaster(hooks, readArguments(args, { isOpen }));
    const { EXIT, fail } = await import("./connect.ts");
    const before = [late.name, ...args.toSpliced(args.indexOf(late.name), 1)].join(" ");
    const about = { found: `${late.name} behind other arguments`, expected: before };
    return fail(cannot("run", args.join(" "), about), EXIT.usage);
  }
  const { runCommand } = await import("./dispatch.ts");
  return await runCommand(args, { hooks, isOpen });
}

const isForHelp = (arg: string): boolean =>
  ["-h", "-help", "--help", "-V", "--version"].includes(arg);
