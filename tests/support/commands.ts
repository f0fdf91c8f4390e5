/**
 * Commands such as `status`, run in the process of the test: what they print and their exit code without the
 * start of a process. Beside them the same in a process of their own, and what their tests look at.
 *
 * @module
 */
import { runCommand } from "../../src/commands/dispatch.ts";
import { ControlClient } from "../../src/control/client.ts";
import type { ServiceStatus } from "../../src/control/status.ts";
import { hostile } from "./hostile.ts";
import type { Site } from "./master.ts";
import { eventually } from "./wait.ts";

/** The output of a command, and its exit code. */
export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** One after the other: they write to the one console of the process. */
let last: Promise<unknown> = Promise.resolve();

/**
 * Runs a command here. It must be one that only talks to a master: `start --daemon` and `restart` without a
 * service start one with the command line of this process, and `logs` and `status --watch` go past the
 * console.
 *
 * @param args The command line.
 */
export function runHere(args: readonly string[]): Promise<Ran> {
  const ran = last.then(() => capture(args));
  last = ran.catch(() => {});
  return ran;
}

/**
 * Runs a command for a site here; see {@linkcode runHere}.
 *
 * @param site Whose master.
 * @param args The command and its arguments.
 */
export function zcHere(site: Site, ...args: readonly string[]): Promise<Ran> {
  return runHere([...args, "-C", site.conf, "-pid-file", site.pidFile]);
}

async function capture(args: readonly string[]): Promise<Ran> {
  const { log, error } = console;
  let out = "", err = "";
  console.log = (text) => out += `${text}\n`;
  console.error = (text) => err += `${text}\n`;
  try {
    const code = await runCommand(args, { hooks: {}, isOpen: false });
    return { code, out, err };
  } finally {
    Object.assign(console, { log, error });
  }
}

/**
 * Runs a command of the program for a site in a process: one of each kind, and those that start a master or write
 * past the console. {@linkcode zcHere} runs the others.
 *
 * @param site Whose master.
 * @param args The command and its arguments.
 */
export async function zc(site: Site, ...args: readonly string[]): Promise<Ran> {
  const process = site.run([...args, "-C", site.conf, "-pid-file", site.pidFile]);
  const { code } = await process.ended();
  return { code, out: process.stdout, err: process.stderr };
}

/**
 * Connects to the control socket of a master, as soon as it is there.
 *
 * @param site Whose master.
 */
export function controlOf(site: Site): Promise<ControlClient> {
  return controlAt(`${site.pidFile}.sock`);
}

/**
 * Connects to a control socket or a status socket, as soon as it is there.
 *
 * @param path Its path.
 */
export async function controlAt(path: string): Promise<ControlClient> {
  return await eventually(async () => {
    try {
      return await ControlClient.connect(path);
    } catch (error) {
      // Between two masters, and two places of one, nobody has it for a moment.
      const { NotFound, ConnectionRefused } = Deno.errors;
      if (!(error instanceof NotFound || error instanceof ConnectionRefused)) throw error;
    }
  }, { what: "the control socket" });
}

/**
 * The status of a service.
 *
 * @param client Shows it.
 * @param id The service.
 */
export async function serviceOf(client: ControlClient, id: string): Promise<ServiceStatus> {
  const { services } = await client.request("status", { service: id });
  return services[0];
}

/**
 * Waits until a service has a state.
 *
 * @param client Shows it.
 * @param id The service.
 * @param state The state.
 */
export async function becomes(
  client: ControlClient,
  id: string,
  state: string,
): Promise<ServiceStatus> {
  return await eventually(async () => {
    const service = await serviceOf(client, id);
    return service.state === state && service;
  }, { what: `${id} to become ${state}` });
}

/**
 * A program that ends before it is ready, with exit code 1.
 *
 * @param site Where it is written.
 */
export function failing(site: Site): string {
  return site.dir.write("failing.ts", 'console.error("cannot go on\\x1b[6n"); Deno.exit(1);\n');
}

/**
 * Writes the settings of `a.cf`, whose processes become ready only when a file is there.
 *
 * @param site Where.
 * @param release The file.
 */
export function serveSlowly(site: Site, release: string): void {
  const waits = `while [ ! -e ${release} ]; do sleep 0.1; done; exec "$@"`;
  const script = site.dir.write("waits.sh", waits);
  const settings = hostile("nothing", site.port());
  site.write("a.cf", {
    ...settings,
    "server-command": `sh ${script} ${settings["server-command"]}`,
  });
}
