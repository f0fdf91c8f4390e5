/**
 * `start`: runs a master in the foreground or in the background, or starts stopped services.
 *
 * @module
 */
import type { ParsedArguments } from "../config/args.ts";
import { cannot, ConfigError, problemAt } from "../config/errors.ts";
import { type Config, settingOrigin } from "../config/config.ts";
import { readStrictly } from "../config/effective.ts";
import { controlPath } from "../config/control_path.ts";
import { PID_FILE } from "../config/settings.ts";
import type { ControlClient } from "../control/client.ts";
import type { UnreadyService } from "../control/messages.ts";
import { blankControls } from "../log/control_characters.ts";
import { runMaster } from "../master/main.ts";
import { AddressesInUseError } from "../master/listeners/open_error.ts";
import { MasterRunsError } from "../master/pid_file.ts";
import { RECENT_MAX } from "../master/outputs/recent_lines.ts";
import { newProcessCommand, ownCommand } from "../master/upgrade/command.ts";
import { delay, systemClock } from "../os/clock/clock.ts";
import { closeFd } from "../os/fd/descriptor.ts";
import { SysError } from "../os/ffi/errors.ts";
import { readRegularFile } from "../os/fs/regular_file.ts";
import { openTrustedToAppend } from "../os/fs/trusted_open.ts";
import { type ChildProcess, describeExit } from "../os/process/child_process.ts";
import { isDirectory } from "../os/process/program_lookup.ts";
import { systemSpawner } from "../os/process/spawn.ts";
import { showOutcome } from "./change.ts";
import type { CommandCall } from "./command.ts";
import { EXIT, fail, greet, isLost, masterSettings, showProgress, withMaster } from "./connect.ts";
import { serviceIds } from "./service_ids.ts";
import { complain } from "./output.ts";
import { stopMaster } from "./stop.ts";

/** How often a new master is looked for. */
const LOOK_MS = 50;

/** How long a master that has its pid file may take to open its control socket. */
const LISTEN_MS = 10_000;

/** How many lines are shown of the output of a master that could not start. */
const SHOWN_LINES = 20;

/** How much is read of it. */
const SHOWN_BYTES = 64 << 10;

/** More than a pid file has. */
const MOST_PID_BYTES = 64;

const OWNER_ALONE = 0o600;

/** Runs the command. */
export async function run(call: CommandCall): Promise<number> {
  const { operands, options, settings, masterArgs, warnings, hooks } = call;
  if (operands.length > 0) {
    return await withMaster(settings, async (master) => {
      const services = await serviceIds(master, operands);
      return showOutcome(await master.request("start", { services }, { onProgress: showProgress }));
    });
  }
  if (options.daemon && options.foreground) {
    const about = { found: "--foreground too", expected: "one of the two" };
    return fail(cannot("read argument", "--daemon", about), EXIT.usage);
  }
  try {
    return options.daemon
      ? await startDaemon({ settings, masterArgs })
      : await runMaster(hooks, { parsed: settings, warnings });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    // The configuration is right, but the place is taken.
    const isTaken = error instanceof MasterRunsError || error instanceof AddressesInUseError;
    return fail(error.message, isTaken ? EXIT.failed : EXIT.configuration);
  }
}

/**
 * Starts a master in the background, and waits until every service is ready.
 *
 * @param args The arguments of the master.
 * @returns The exit code.
 * @throws {ConfigError} When a settings file can't be read.
 */
export async function startDaemon(
  { settings, masterArgs }: { settings: ParsedArguments; masterArgs: readonly string[] },
): Promise<number> {
  const config = masterSettings(settings), path = controlPath(config);
  const pidFile = readStrictly(config, PID_FILE), output = `${pidFile}.log`;
  if (path === undefined) {
    const about = { found: "master-control = off", expected: "a control socket, which tells when" };
    return fail(cannot("wait for", "master", about), EXIT.configuration);
  }
  if (isDirectory(pidFile)) {
    const about = { found: "a directory", expected: "a file that can be made and written" };
    throw pidFileError(config, cannot("lock", pidFile, about));
  }
  using file = openOutput(output, config);
  const [program, ...argv] = newProcessCommand(ownCommand(), ["start", ...masterArgs]);
  const child = systemSpawner.spawnPlaced({
    path: program,
    argv: [program, ...argv],
    fds: [1, 2].map((to) => ({ from: file.fd, to })),
  });
  let master: ControlClient | undefined;
  try {
    master = await whenReachable(child, { path, pidFile });
  } catch (error) {
    child.kill("SIGTERM");
    await child.exited;
    showRest(file);
    const about = { found: (error as Error).message, expected: "its answer; it was stopped" };
    return fail(cannot("reach the new master", path, about), EXIT.failed);
  }
  if (master === undefined) {
    showRest(file);
    const status = await child.exited;
    // It has said what is wrong.
    if (status.code === EXIT.configuration) return status.code;
    return fail(`master ${child.pid} has ended: ${describeExit(status)}`, EXIT.failed);
  }
  using _ = master;
  let unready: readonly UnreadyService[], shown: number;
  try {
    // A mistake that they name may be what the wait would be for.
    shown = await showWarnings(master);
    ({ unready } = await master.request("wait", {}, { onProgress: showProgress }));
  } catch (error) {
    if (!isLost(error)) throw error;
    showRest(file);
    return fail(`master ${child.pid} has ended before its services were ready`, EXIT.failed);
  }
  child.unref();
  if (unready.length === 0) {
    await showWarnings(master, shown);
    const { services } = await master.request("status");
    const what = services.length === 0 ? "without a service" : "all services are ready";
    console.log(`master ${child.pid} runs, ${what}; its output is in ${output}`);
    return EXIT.ok;
  }
  for (const { id, reason } of unready) console.error(`${id} is not ready: ${reason}`);
  showRest(file);
  await stopMaster(master);
  return EXIT.failed;
}

/**
 * Shows the warnings of a master's start, which only its log has.
 *
 * @param shown How many were shown before.
 * @returns How many are shown now.
 */
async function showWarnings(master: ControlClient, shown = 0): Promise<number> {
  const { lines } = await master.request("logs", { lines: RECENT_MAX });
  const warnings = lines.filter(({ level, service }) => level === "warn" && service === null);
  for (const { text } of warnings.slice(shown)) complain("warning", text);
  return warnings.length;
}

/**
 * Connects to a new master as soon as it listens; undefined if it ends before.
 *
 * @throws {Deno.errors.TimedOut} When it has its pid file, but does not listen.
 */
async function whenReachable(
  child: ChildProcess,
  { path, pidFile }: Record<"path" | "pidFile", string>,
): Promise<ControlClient | undefined> {
  let hasEnded = false, endMs = Infinity;
  child.exited.then(() => hasEnded = true);
  while (!hasEnded) {
    try {
      const { master, pid } = await greet(path, pidFile);
      // Another master may run with this socket: then the new one ends soon.
      if (pid === child.pid) return master;
      master.close();
    } catch (error) {
      const isEarly = error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.ConnectionRefused || isLost(error);
      if (!isEarly) throw error;
    }
    const nowMs = systemClock.nowMs();
    if (nowMs > endMs) throw new Deno.errors.TimedOut("it does not listen there");
    // The start may take any time up to here, but a socket follows the pid file at once.
    if (endMs === Infinity && hasPidFile(child, pidFile)) endMs = nowMs + LISTEN_MS;
    await delay(LOOK_MS);
  }
}

function hasPidFile({ pid }: ChildProcess, path: string): boolean {
  try {
    const bytes = readRegularFile(path, { most: MOST_PID_BYTES, trustsNoLinks: true });
    return new TextDecoder().decode(bytes).trim() === String(pid);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** The file of a master's output. */
interface OutputFile extends Disposable {
  readonly path: string;
  /** Owned. */
  readonly fd: number;
  /** What it had at first, in bytes. */
  readonly position: number;
}

/** @throws {ConfigError} When the file can't be made or written. */
function openOutput(path: string, config: Config): OutputFile {
  const fd = appendTo(path, config);
  const { size: position } = Deno.statSync(aliasOf(fd));
  return { path, fd, position, [Symbol.dispose]: () => closeFd(fd) };
}

function appendTo(path: string, config: Config): number {
  try {
    return openTrustedToAppend(path, OWNER_ALONE);
  } catch (cause) {
    if (!(cause instanceof SysError)) throw cause;
    const expected =
      "a file for the output of the master, in a directory that this user may write to";
    throw pidFileError(config, cannot("write", path, { found: cause.found, expected }), cause);
  }
}

function pidFileError(config: Config, message: string, cause?: SysError): ConfigError {
  const { name: key } = PID_FILE;
  return new ConfigError([problemAt(settingOrigin(config, key), { key, message })], { cause });
}

/** A name of an open file, which stays its own whatever is at its path by now. */
function aliasOf(fd: number): string {
  return `/proc/self/fd/${fd}`;
}

/** Shows the end of what a master has written since it was started. */
function showRest({ path, fd, position }: OutputFile): void {
  using file = Deno.openSync(aliasOf(fd));
  const { size } = file.statSync(), room = new Uint8Array(SHOWN_BYTES);
  file.seekSync(Math.max(position, size - SHOWN_BYTES), Deno.SeekMode.Start);
  const bytes = room.subarray(0, file.readSync(room) ?? 0);
  // Servers of other users print there too, and this may be root's terminal.
  blankControls(bytes, true);
  const lines = new TextDecoder().decode(bytes).trimEnd().split("\n");
  if (lines.length > SHOWN_LINES) {
    console.error(`the last ${SHOWN_LINES} lines of ${path}:`);
  }
  console.error(lines.slice(-SHOWN_LINES).join("\n"));
}
