/**
 * The name and the command line of this program, for log lines and messages.
 *
 * @module
 */
import { quoteWord } from "../../config/command.ts";
import { splitOwnServer } from "../../config/own_server.ts";
import { execPath } from "../../os/ffi/proc_self.ts";

/** The name that LIB-ZC takes from `argv[0]`; of one of several servers in a program, its own. */
export function programName(): string {
  const { name } = splitOwnServer(Deno.args);
  if (name !== undefined) return name;
  const path = Deno.build.standalone ? execPath() : new URL(Deno.mainModule).pathname;
  return path.slice(path.lastIndexOf("/") + 1).replace(/\.[cm]?[jt]sx?$/, "");
}

/** The command that starts this program, ready to copy. */
export function ownCommand(): string {
  const { given } = splitOwnServer(Deno.args);
  return given === undefined ? programCommand() : `${programCommand()} ${given}`;
}

function programCommand(): string {
  if (Deno.build.standalone) return quoteWord(execPath());
  const { href, pathname, protocol } = new URL(Deno.mainModule);
  const isPlain = protocol === "file:" && !/%[89a-f]/i.test(pathname);
  const path = isPlain ? decodeURIComponent(pathname) : href, here = `${directory()}/`;
  return `deno run -A ${quoteWord(path.startsWith(here) ? path.slice(here.length) : path)}`;
}

/** The working directory; without the permission to read it, a string that no path begins with. */
function directory(): string {
  try {
    return Deno.cwd();
  } catch {
    return "//";
  }
}
