/**
 * `start`: runs a master in the foreground or in the background, or starts stopped services.
 *
 * @module
 */
import type { ParsedArguments } from "../config/args.ts";
import { cannot, ConfigError } from "../config/errors.ts";
import { readStrictly } from "../config/effective.ts";
import { controlPath } from "../config/control_path.ts";
import { PID_FILE } from "../config/settings.ts";
import { ControlClient } from "../control/client.ts";
import type { UnreadyService } from "../control/messages.ts";
import { blankControls } from "../log/control_characters.ts";
import { runMaster } from "../master/main.ts";
import { AddressesInUseError } from "../master/listeners/table.ts";
import { MasterRunsError } from "../master/pid_file.ts";
import { newProcessCommand, ownCommand } from "../master/upgrade/command.ts";
import { delay } from "../os/clock/clock.ts";
import { closeFd } from "../os/fd/descriptor.ts";
import { openTrustedToAppend } from "../os/fs/trusted_open.ts";
import { type ChildProcess, describeExit } from "../os/process/child_process.ts";
import { systemSpawner } from "../os/process/spawn.ts";
import { showOutcome } from "./change.ts";
import type { CommandCall } from "./command.ts";
import { EXIT, fail, isLost, masterSettings, showProgress, withMaster } from "./connect.ts";
import { stopMaster } from "./stop.ts";

/** How often a new master is looked for. */
const LOOK_MS = 50;

/** How many lines are shown of the output of a master that could not start. */
const SHOWN_LINES = 20;

const OWNER_ALONE = 0o600;

/** Runs the command. */
export async function run(call: CommandCall): Promise<number> {
  const { operands, options, settings, masterArgs, warnings, hooks } = call;
  if (operands.length > 0) {
    return await withMaster(settings, async (master) =>
      showOutcome(
        await master.request("start", { services: operands }, { onProgress: showProgress }),
      ));
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
  const output = `${readStrictly(config, PID_FILE)}.log`;
  if (path === undefined) {
    const about = { found: "master-control = off", expected: "a control socket, which tells when" };
    return fail(cannot("wait for", "master", about), EXIT.configuration);
  }
  const fd = openTrustedToAppend(output, OWNER_ALONE);
  const { size } = Deno.statSync(output);
  const [program, ...argv] = newProcessCommand(ownCommand(), ["start", ...masterArgs]);
  let child: ChildProcess;
  try {
    child = systemSpawner.spawnPlaced({
      path: program,
      argv: [program, ...argv],
      fds: [1, 2].map((to) => ({ from: fd, to })),
    });
  } finally {
    closeFd(fd);
  }
  const master = await whenReachable(path, child);
  if (master === undefined) {
    showRest(output, size);
    const { code } = await child.exited, why = describeExit({ code, signal: null });
    // It has said what is wrong.
    if (code === EXIT.configuration) return code;
    return fail(`master ${child.pid} has ended: ${why}`, EXIT.failed);
  }
  using _ = master;
  let unready: readonly UnreadyService[];
  try {
    ({ unready } = await master.request("wait", {}, { onProgress: showProgress }));
  } catch (error) {
    if (!isLost(error)) throw error;
    showRest(output, size);
    return fail(`master ${child.pid} has ended before its services were ready`, EXIT.failed);
  }
  child.unref();
  if (unready.length === 0) {
    console.log(`master ${child.pid} runs, all services are ready; its output is in ${output}`);
    return EXIT.ok;
  }
  for (const { id, reason } of unready) console.error(`${id} is not ready: ${reason}`);
  showRest(output, size);
  await stopMaster(master);
  return EXIT.failed;
}

/** Connects to a new master as soon as it listens; undefined if it ends before. */
async function whenReachable(
  path: string,
  child: ChildProcess,
): Promise<ControlClient | undefined> {
  let hasEnded = false;
  child.exited.then(() => hasEnded = true);
  while (!hasEnded) {
    try {
      const master = await ControlClient.connect(path);
      // Another master may run with this socket: then the new one ends soon.
      if ((await master.request("hello")).pid === child.pid) return master;
      master.close();
    } catch (error) {
      const isEarly = error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.ConnectionRefused ||
        error instanceof Deno.errors.UnexpectedEof;
      if (!isEarly) throw error;
    }
    await delay(LOOK_MS);
  }
}

/** Shows the end of what a master has written since a position of the file of its output. */
function showRest(path: string, position: number): void {
  const bytes = Deno.readFileSync(path).subarray(position);
  // Servers of other users print there too, and this may be root's terminal.
  blankControls(bytes, true);
  const lines = new TextDecoder().decode(bytes).trimEnd().split("\n");
  if (lines.length > SHOWN_LINES) {
    console.error(`the last ${SHOWN_LINES} of ${lines.length} lines of ${path}:`);
  }
  console.error(lines.slice(-SHOWN_LINES).join("\n"));
}
