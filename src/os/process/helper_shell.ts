/**
 * Shells that help a master: each runs a constant script that contains no setting, holds nothing of the master, and
 * outlives signals that a terminal or a script sends to a whole group.
 *
 * @module
 */
import type { ChildProcess } from "./child_process.ts";
import { closeFd, O_RDWR } from "../fd/descriptor.ts";
import { O_CLOEXEC } from "../ffi/constants.ts";
import { cString, libc, unwrap } from "../ffi/libc.ts";
import { spawnPlaced } from "./posix_spawn.ts";

const SHELL = "/bin/sh";

const PRELUDE = `
trap '' HUP INT QUIT TERM TSTP USR1 USR2 TTIN TTOU
PATH=/usr/bin:/bin
cd /
`;

/** What a helper runs. */
export interface HelperShell {
  /** Its `$0`, as shown in process lists. */
  readonly name: string;
  /** What it does. */
  readonly script: string;
  /** Its `$1` and so on. */
  readonly args: readonly string[];
  /** Descriptors for 0 and 1, borrowed; default /dev/null. */
  readonly input?: number;
  readonly output?: number;
}

/**
 * Starts a helper.
 *
 * @throws {SysError} When there is no shell, or at the limit of open files or processes.
 */
export function startHelperShell(
  { name, script, args, input, output }: HelperShell,
): ChildProcess {
  const nowhere = openNowhere();
  try {
    return spawnPlaced({
      path: SHELL,
      argv: ["sh", "-c", PRELUDE + script, name, ...args],
      // A reader that waits for the end of the master's output must not wait for the helper.
      fds: [input, output, undefined].map((fd = nowhere, to) => ({ from: fd, to })),
    });
  } finally {
    closeFd(nowhere);
  }
}

function openNowhere(): number {
  const path = "/dev/null";
  return unwrap(
    { syscall: "open", subject: path },
    () => libc().open(cString(path), O_RDWR | O_CLOEXEC, 0),
  );
}
