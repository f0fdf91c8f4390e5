/**
 * The way of a command to the running master.
 *
 * @module
 */
import { existsSync } from "@std/fs/exists";
import { resolvePath } from "../config/address.ts";
import type { ParsedArguments } from "../config/args.ts";
import { Config, setFrom, settingOrigin } from "../config/config.ts";
import { cannot, ConfigError, EX_CONFIG, problemAt, withoutControls } from "../config/errors.ts";
import { commandLineSettings, readStrictly } from "../config/effective.ts";
import { readMasterFile } from "../config/ini.ts";
import { loadSettings } from "../config/load_settings.ts";
import { controlPath } from "../config/control_path.ts";
import type { Setting } from "../config/setting.ts";
import { CONFIG_DIR, MASTER_CONTROL, PID_FILE, RUN_CHDIR, RUN_CHROOT } from "../config/settings.ts";
import { ControlClient, ControlRequestError } from "../control/client.ts";
import type { Greeting } from "../control/messages.ts";
import { ownCommand } from "../master/upgrade/command.ts";
import { delay, within } from "../os/clock/clock.ts";
import { withPeers } from "../os/net/peer.ts";
import { PidFile } from "../os/process/lock_file.ts";
import { describeProcess } from "../os/process/processes.ts";
import { realPath } from "../os/process/program_lookup.ts";

/** The exit codes that several commands share. */
export const EXIT = {
  ok: 0,
  failed: 1,
  refused: 2,
  notRunning: 3,
  degraded: 4,
  usage: 64,
  configuration: EX_CONFIG,
} as const;

/** How long a master may take to answer the first request; one that runs does it in milliseconds. */
const GREETING_MS = 10_000;

/** How long a new master may take to open its control socket after the old one has closed its own. */
const RECONNECT_MS = 5_000, RETRY_MS = 100;

/** How long no master may listen while a process holds the lock, before that counts as no master. */
const UPGRADE_MS = 2_000;

/** No master answers. */
export class NoMasterError extends Error {
  override readonly name = "NoMasterError";
}

/**
 * Reads the settings of the master that a command is for. Its paths start from the directory of
 * `run-chdir`, as in the master, which changes to it first.
 *
 * @param args The arguments of the command that belong to the master.
 * @throws {ConfigError} When a file of them can't be read, or the master is in another root.
 */
export function masterSettings(args: ParsedArguments): Config {
  const own = commandLineSettings(args, readMasterFile), config = new Config();
  requireSameRoot(own);
  const directory = readStrictly(own, RUN_CHDIR);
  if (directory === undefined) {
    loadSettings(config, args, CONFIG_DIR, readMasterFile);
    return config;
  }
  const cwd = resolvePath(ownCommand().cwd, directory), files = readStrictly(own, CONFIG_DIR);
  const settings = [
    ...args.settings,
    ...(files === undefined ? [] : [{ key: CONFIG_DIR.name, value: resolvePath(cwd, files) }]),
  ];
  loadSettings(config, { ...args, settings }, CONFIG_DIR, readMasterFile);
  const resolve = ({ name }: Setting<unknown>, path: string) =>
    setFrom(config, name, resolvePath(cwd, path), settingOrigin(config, name));
  const control = readStrictly(config, MASTER_CONTROL);
  if (control !== undefined && control !== "off") resolve(MASTER_CONTROL, control);
  resolve(PID_FILE, readStrictly(config, PID_FILE));
  return config;
}

/** Refuses the settings of a master in another root: its paths are none of this process. */
function requireSameRoot(own: Config): void {
  const { name: key } = RUN_CHROOT, root = readStrictly(own, RUN_CHROOT);
  if (root === undefined) return;
  const message = cannot("look for the master in", root, {
    found: "run-chroot, so its paths begin at another root than those of this command",
    expected: "no run-chroot here, and -pid-file as this command sees it",
  });
  throw new ConfigError([problemAt(settingOrigin(own, key), { key, message })]);
}

/**
 * Connects to the master.
 *
 * @param args The arguments of the command that belong to the master.
 * @throws {NoMasterError} When no master answers.
 * @throws {ConfigError} When a settings file can't be read.
 */
export async function connect(args: ParsedArguments): Promise<ControlClient> {
  const config = masterSettings(args), pidFile = readStrictly(config, PID_FILE);
  const path = controlPath(config);
  if (path === undefined) {
    throw new NoMasterError(cannot("reach the master", pidFile, {
      found: "master-control = off",
      expected: "a control socket; signals still work, see docs/signals.md",
    }));
  }
  try {
    const { master, configDirectory } = await greetAnyOf(path, pidFile);
    try {
      requireSameDirectory(configDirectory, readStrictly(config, CONFIG_DIR), path);
    } catch (error) {
      master.close();
      throw error;
    }
    return master;
  } catch (error) {
    const isTold = error instanceof NoMasterError || error instanceof ControlRequestError;
    if (isTold || isLost(error)) throw error;
    throw new NoMasterError(whyNot(error as Error, { path, pidFile }));
  }
}

/**
 * Connects to the master that has taken over from another one, whose connection has ended.
 *
 * @param args The arguments of the command that belong to the master.
 * @returns The client, to be closed by the caller; undefined if there is no master.
 */
export async function reconnect(args: ParsedArguments): Promise<ControlClient | undefined> {
  // A try takes time as well.
  const deadlineMs = performance.now() + RECONNECT_MS;
  do {
    try {
      return await connect(args);
    } catch (error) {
      if (!(error instanceof NoMasterError) && !isLost(error)) throw error;
    }
    await delay(RETRY_MS);
  } while (performance.now() < deadlineMs);
}

/** Greets the master; between the two masters of an upgrade nobody listens for a moment, while both hold the lock. */
async function greetAnyOf(path: string, pidFile: string): ReturnType<typeof greet> {
  const deadlineMs = performance.now() + UPGRADE_MS;
  for (;;) {
    try {
      return await greet(path, pidFile);
    } catch (error) {
      const isGap = error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.ConnectionRefused || isLost(error);
      if (!isGap || performance.now() > deadlineMs || holderOf(pidFile) === undefined) throw error;
    }
    await delay(RETRY_MS);
  }
}

/**
 * Connects to the master that listens at a path, and asks for its pid.
 *
 * @param path The path of the control socket.
 * @param pidFile The pid file.
 * @returns The client, to be closed by the caller, and what the master says of itself.
 * @throws {NoMasterError} When another user listens there.
 * @throws {Deno.errors.TimedOut} When it does not answer: a process that is stopped accepts clients, too.
 * @throws {Error} See {@linkcode ControlClient}.
 */
export async function greet(
  path: string,
  pidFile: string,
): Promise<Pick<Greeting, "pid" | "configDirectory"> & { readonly master: ControlClient }> {
  const { connection: master, uids } = await withPeers(() =>
    ControlClient.connect(path, { blanksControls: true })
  );
  try {
    requireTrusted(uids, { path, pidFile });
    const { pid, configDirectory } = await within(master.request("hello"), {
      ms: GREETING_MS,
      late: () => {
        throw new Deno.errors.TimedOut(`no answer within ${GREETING_MS} ms`);
      },
    });
    return { master, pid, configDirectory };
  } catch (error) {
    master.close();
    throw error;
  }
}

/**
 * Requires that the master is root's or the caller's: its answers decide what a command does. Root may ask
 * the master of any user, whose files the socket and the lock then are.
 */
function requireTrusted(
  uids: readonly number[],
  { path, pidFile }: Record<"path" | "pidFile", string>,
): void {
  const own = Deno.uid(), strangers = uids.filter((uid) => uid !== 0 && uid !== own);
  if (uids.length > 0 && strangers.length === 0) return;
  const [uid] = strangers, isOwner = (file: string) => Deno.statSync(file).uid === uid;
  if (own === 0 && existsSync(pidFile) && isOwner(pidFile) && isOwner(path)) return;
  throw new NoMasterError(cannot("reach the master", path, {
    found: `user ${uid ?? "unknown"} listens there`,
    expected: own === 0
      ? `root, or the owner of ${pidFile} and of the socket`
      : "this user or root",
  }));
}

/**
 * Requires that the master runs with the directory that the command was given: two configurations that are
 * started in one directory have the same pid file, and only one of them can run.
 *
 * @param found That of the master; null, and undefined for an older master, is any.
 * @param given That of the command; undefined is any.
 */
function requireSameDirectory(
  found: string | null | undefined,
  given: string | undefined,
  path: string,
): void {
  if (found == null || given === undefined) return;
  const wanted = resolvePath(ownCommand().cwd, given);
  if (wanted === found || realPath(wanted) === realPath(found)) return;
  throw new NoMasterError(cannot("reach the master", wanted, {
    found: `the master at ${path} runs with -${CONFIG_DIR.name} ${found}`,
    expected: `the pid file of the master of ${wanted}: give -${PID_FILE.name}`,
  }));
}

function whyNot(error: Error, { path, pidFile }: Record<"path" | "pidFile", string>): string {
  if (error instanceof Deno.errors.PermissionDenied) {
    return cannot("reach the master", path, {
      found: "the control socket of another user",
      expected: "that user, or root",
    });
  }
  const holder = holderOf(pidFile), who = holder && describeProcess(holder);
  if (error instanceof Deno.errors.TimedOut) {
    const found = `${who ?? "the process that listens there"} does not answer`;
    return cannot("reach the master", path, { found, expected: "an answer; is it stopped?" });
  }
  if (who !== undefined) {
    const isRemoved = error instanceof Deno.errors.NotFound;
    const remedy = `; kill -HUP ${holder} makes a socket anew whose file was removed`;
    return cannot("reach the master", path, {
      found: `${who} holds the lock of ${pidFile}, but no master listens at this path`,
      expected: `a master of this version, with master-control as here${isRemoved ? remedy : ""}`,
    });
  }
  // The whole path shows a call in another directory than that of the start.
  const lock = resolvePath(ownCommand().cwd, pidFile);
  return cannot("reach the master", path, {
    found: `no master runs: nothing holds the lock of ${lock}`,
    expected: "a running master: start one with zc start, or give -C and -pid-file as it was " +
      "started with",
  });
}

function holderOf(pidFile: string): number | undefined {
  try {
    // Without this, a question would make the file.
    Deno.statSync(pidFile);
    return PidFile.holderOf(pidFile);
  } catch {
    return undefined;
  }
}

/**
 * Connects to the master, and turns the failures that every command has into exit codes.
 *
 * @param args The arguments of the command that belong to the master.
 * @param use Uses the connection, and returns the exit code.
 * @param options `onlyReads`: whether `use` changes nothing, so that it can begin again with a new master if that takes
 * over at this moment.
 */
export async function withMaster(
  args: ParsedArguments,
  use: (master: ControlClient) => Promise<number>,
  { onlyReads = false }: { readonly onlyReads?: boolean } = {},
): Promise<number> {
  try {
    using master = await connect(args);
    return await use(master);
  } catch (error) {
    if (onlyReads && isLost(error)) return await withMaster(args, use);
    if (error instanceof NoMasterError) return fail(error.message, EXIT.notRunning);
    if (error instanceof ConfigError) return fail(error.message, EXIT.configuration);
    if (error instanceof ControlRequestError) return fail(error.message, EXIT.refused);
    if (!isLost(error)) throw error;
    return fail("The master has ended before its answer; see its log", EXIT.notRunning);
  }
}

/** Whether an error says that the master is gone. */
export function isLost(error: unknown): boolean {
  return error instanceof Deno.errors.UnexpectedEof ||
    error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe;
}

/** Writes a message to standard error. */
export function fail(message: string, code: number): number {
  console.error(withoutControls(message));
  return code;
}

/** Writes what the master waits for to standard error. */
export function showProgress(text: string): void {
  console.error(text);
}
