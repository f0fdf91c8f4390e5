/**
 * Whether the start data of a service's processes is within the size limits of the start message
 * and of the kernel's arguments. Without this check, a setting that is too long would fail only
 * when a process is started.
 *
 * docs/protocol.md has the limits.
 *
 * @module
 */
import { cannot } from "../../config/errors.ts";
import type { ServiceConfig } from "../../config/service.ts";
import { MAX_PAYLOAD_BYTES, payloadOf } from "../../ipc/protocol.ts";
import { encodeText } from "../../os/ffi/byte_text.ts";
import type { Located } from "./command.ts";
import { settingArguments } from "./server_argv.ts";
import { startMessage } from "./start_message.ts";

/** MAX_ARG_STRLEN of execve(2): one argument, with the 0 at its end. */
export const MAX_ARGUMENT_BYTES = 128 << 10;

/** All arguments. The kernel accepts 2 MiB with the usual limits, including the environment. */
export const MAX_ARGUMENTS_BYTES = 1 << 20;

/** The size of the shim's plan without the arguments: paths, user, groups, descriptors. */
const PLAN_BYTES = 16 << 10;

/** The longest numbers, which are not known before the start. */
const LARGEST = { generation: Number.MAX_SAFE_INTEGER, fd: 0x7fff_ffff };

/** A setting that makes the start data too large. */
export interface SizeProblem {
  readonly key: string;
  readonly message: string;
}

/**
 * Finds the settings that make the start data of a service's processes too large.
 *
 * @param located The service.
 * @param own The arguments of a server, see `server_argv.ts`.
 */
export function sizeProblems(located: Located, own: readonly string[]): SizeProblem[] {
  const { service, protocol } = located;
  const isOurs = protocol === "control" || protocol === "inherit";
  const settings = protocol === "libzc" ? settingArguments(service) : [];
  const problems = tooLongArguments(settings);
  if (problems.length > 0) return problems;
  const added = protocol === "systemd" ? [namesOf(service)] : own;
  const words = [...located.program.args, ...added, ...settings];
  return [
    ...wordProblems(service, words),
    ...(isOurs ? messageProblems(service, protocol === "inherit") : []),
  ];
}

/** A setting that is an argument is named itself. */
function tooLongArguments(settings: readonly string[]): SizeProblem[] {
  return settings.flatMap((word, index) => {
    const bytes = encodeText(word).length;
    if (index % 2 === 0 || bytes < MAX_ARGUMENT_BYTES) return [];
    const about = {
      found: `${bytes} bytes as an argument`,
      expected: `less than ${MAX_ARGUMENT_BYTES}`,
    };
    const key = settings[index - 1].slice(1);
    return [{ key, message: cannot("start with the setting", key, about) }];
  });
}

function wordProblems(service: ServiceConfig, words: readonly string[]): SizeProblem[] {
  const sizes = words.map((word) => encodeText(word).length + 1);
  const longest = Math.max(0, ...sizes), all = sizes.reduce((sum, size) => sum + size, 0);
  const { id } = service;
  const refuse = (found: string, most: number): SizeProblem[] => {
    const about = { found, expected: `at most ${most}` };
    return [{ key: longestSetting(service), message: cannot("start", id, about) }];
  };
  if (longest > MAX_ARGUMENT_BYTES) {
    return refuse(`an argument or variable of ${longest} bytes`, MAX_ARGUMENT_BYTES);
  }
  if (all > MAX_ARGUMENTS_BYTES) return refuse(`arguments of ${all} bytes`, MAX_ARGUMENTS_BYTES);
  // The shim gets all of them in a single argument.
  const plan = encodeText(JSON.stringify(words)).length + PLAN_BYTES;
  return mayNeedShim(service) && plan > MAX_ARGUMENT_BYTES
    ? refuse(
      `arguments of ${plan - PLAN_BYTES} bytes with another user, root or directory`,
      MAX_ARGUMENT_BYTES - PLAN_BYTES,
    )
    : [];
}

/** The variable for socket activation, which has the same limit. */
function namesOf({ endpoints }: ServiceConfig): string {
  return `LISTEN_FDNAMES=${endpoints.map(({ service: name }) => name || "unknown").join(":")}`;
}

function mayNeedShim(
  { user, group, masterChroot, masterChdir, protocol }: ServiceConfig,
): boolean {
  return protocol === "systemd" ||
    [user, group, masterChroot, masterChdir].some((one) => one !== undefined);
}

function messageProblems(service: ServiceConfig, inherits: boolean): SizeProblem[] {
  const { generation, fd } = LARGEST;
  const fds = inherits ? service.endpoints.map(() => fd) : undefined;
  const bytes = payloadOf(startMessage(service, { generation, fds })).length;
  if (bytes <= MAX_PAYLOAD_BYTES.start) return [];
  const about = {
    found: `${bytes} bytes of settings and addresses, those of the *.gcf included`,
    expected: `at most ${MAX_PAYLOAD_BYTES.start}`,
  };
  return [{
    key: longestSetting(service),
    message: cannot("hand its settings to", service.id, about),
  }];
}

/** The setting to shorten. */
function longestSetting({ settings, shared }: ServiceConfig): string {
  const all = [...shared, ...settings];
  return all.reduce((a, b) => b[1].length > a[1].length ? b : a)[0];
}
