/**
 * Socket activation: reads the listeners that systemd or another master has passed to this process
 * (sd_listen_fds(3)), and checks them.
 *
 * @module
 */
import { LISTEN_FDS_START } from "../../ipc/service_list.ts";
import { parseAddress, resolvePath } from "../../config/address.ts";
import { cannot, ConfigError } from "../../config/errors.ts";
import { setCloseOnExec, setNonblocking } from "../../os/fd/descriptor.ts";
import { admissionOf, reviveIfShutDown } from "../../os/net/listener_damage.ts";
import { isMissing } from "../../os/ffi/proc_self.ts";
import { describeListener, servesBothFamilies } from "../../os/net/socket.ts";
import type { Listener } from "../policy/listener.ts";

/** The protocol's name for a descriptor without a name. */
const NO_NAME = "unknown";

/** What the kernel says about an activated listener. */
type Taken = Pick<Listener, "kind" | "key" | "ipv4Key" | "admission">;

/** Where to read. */
export interface ActivationSource {
  /** The environment of this process. */
  readonly env: Pick<Deno.Env, "get" | "delete">;
  /** The id of this process. */
  readonly pid: number;
  /**
   * Checks a descriptor, and makes it non-blocking and close-on-exec.
   *
   * @param fd The descriptor.
   * @throws {TypeError} When it is no listener.
   */
  take(fd: number): Taken;
  /** Writes a line to the log. */
  warn(text: string): void;
}

/**
 * Reads LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES, and removes them from the environment, so that
 * child processes do not inherit them.
 *
 * @param source Where to read.
 * @returns The listeners; none where the variables are missing or meant for another process.
 * @throws {ConfigError} When the variables are wrong, or do not fit the descriptors.
 */
export function readActivation(source: ActivationSource): Listener[] {
  const { env, pid } = source;
  const [forPid, fds, fdNames] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"].map((name) => {
    const value = env.get(name);
    env.delete(name);
    return value;
  });
  if (fds === undefined || forPid === undefined) return [];
  if (forPid !== String(pid)) {
    source.warn(
      `LISTEN_FDS is for process ${forPid} and this is ${pid}: no listener is taken from it`,
    );
    return [];
  }
  if (!/^[0-9]{1,7}$/.test(fds)) {
    throw unusable("LISTEN_FDS", fds, { found: "no number", expected: "a number of descriptors" });
  }
  const count = Number(fds), names = fdNames ? fdNames.split(":") : undefined;
  if (fdNames && names && names.length !== count) {
    const about = { found: `${names.length} names`, expected: `${count}, as LISTEN_FDS says` };
    throw unusable("LISTEN_FDNAMES", fdNames, about);
  }
  return Array.from({ length: count }, (_, index) => {
    const fd = LISTEN_FDS_START + index, name = names?.[index];
    return {
      fd,
      owner: "activation",
      ...(name && name !== NO_NAME ? { name } : {}),
      ...takeOrRefuse(fd, source),
    };
  });
}

function takeOrRefuse(
  fd: number,
  source: ActivationSource,
): Taken {
  try {
    return source.take(fd);
  } catch (error) {
    if (isMissing(error)) {
      const expected = "a listening stream socket or a named pipe";
      throw unusable("LISTEN_FDS", `descriptor ${fd}`, { found: "it is not open", expected });
    }
    if (!(error instanceof TypeError)) throw error;
    throw new ConfigError([{ key: "LISTEN_FDS", message: error.message }], { cause: error });
  }
}

function unusable(key: string, value: string, about: Parameters<typeof cannot>[2]): ConfigError {
  return new ConfigError([{ key, message: cannot("take", value, about) }]);
}

/**
 * The environment and the descriptors of this process.
 *
 * @param cwd The absolute directory that relative paths start from.
 * @param warn Writes a line to the log.
 */
export function ownActivation(cwd: string, warn: (text: string) => void): ActivationSource {
  return {
    env: Deno.env,
    pid: Deno.pid,
    take(fd) {
      // The kernel does not tell the two apart.
      if (reviveIfShutDown(fd)) {
        warn(`descriptor ${fd} did not listen (only bound, or shut down), and listens now`);
      }
      return takeListener(fd, cwd);
    },
    warn,
  };
}

/**
 * Checks a descriptor of this process; see {@linkcode ActivationSource}.
 *
 * @param fd The descriptor.
 * @param cwd The absolute directory that a relative path starts from.
 * @throws {TypeError} When it is no listener.
 * @throws {Deno.errors.NotFound} When it is not open.
 */
export function takeListener(fd: number, cwd: string): Taken {
  const listener = describeListener(fd);
  setCloseOnExec(fd, true);
  setNonblocking(fd);
  if (listener.kind !== "inet") {
    return { kind: listener.kind, key: `${listener.kind}:${resolvePath(cwd, listener.path)}` };
  }
  const { kind, hostname, port } = listener;
  const keyOf = (host: string) => parseAddress(`${host}:${port}`, { cwd }).key;
  const admission = admissionOf(fd);
  if (!hostname.includes(":")) return { kind, key: keyOf(hostname), admission };
  return {
    kind,
    key: keyOf(`[${hostname}]`),
    admission,
    ...(hostname === "::" && servesBothFamilies(fd) ? { ipv4Key: keyOf("") } : {}),
  };
}
