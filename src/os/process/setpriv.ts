/**
 * Start of a program with fewer privileges by setpriv(1) of util-linux, which changes its own credentials
 * and then executes the program: it takes two milliseconds and keeps the pid.
 * docs/design/16_no_way_back.md lists the alternatives that were tried.
 *
 * @module
 */
import { mayDropCapabilities } from "../user/credentials.ts";
import type { Identity } from "../user/identity.ts";
import { isExecutable } from "./program_lookup.ts";

/** The paths of setpriv(1); not from PATH, since root runs it. */
const PLACES = ["/usr/bin/setpriv", "/bin/setpriv"];

const SHELL = "/bin/sh";

/**
 * The paths of timeout(1). This process blocks until the answer arrives, and a process of the user can stop
 * the one that is to give it (SIGSTOP).
 */
const BOUNDS = ["/usr/bin/timeout", "/bin/timeout"];
const LONGEST_SECONDS = 3;

/**
 * Prints `y` or `n` for each `ACCESS PATH` among its arguments. In a sticky directory, only owners can
 * remove entries.
 */
const TRY_ACCESS = `
while [ $# -gt 0 ]; do
  if [ "-$1" "$2" ] && { [ "$1" != w ] || [ ! -k "$2" ] || [ -O "$2" ]; }
  then printf y
  else printf n
  fi
  shift 2
done
`;

/** The numbers of credentials. */
type Ids = Pick<Identity, "uid" | "gid" | "groups">;

/** A kind of access to a path: read, write, or execute and search. */
export type Access = "r" | "w" | "x";

/** The path that works, by the arguments that it was tried with. */
const known = new Map<string, string>();

/**
 * Returns the command words that start a program with fewer privileges, to be put before its own words.
 *
 * @param identity The credentials to change to, with an empty capability bounding set; without it the
 * credentials stay. In both cases no_new_privs is set (prctl(2)).
 * @returns The words; undefined where setpriv(1) is missing or too old.
 */
export function setprivCommand(identity?: Identity): readonly string[] | undefined {
  // As this process's own user, whose processes no other user can stop.
  const words = wordsFor(identity, ownIds()), key = words.join(" ");
  const place = known.get(key) ?? workingPlace(words);
  if (place === undefined) return undefined;
  known.set(key, place);
  return [place, ...wordsFor(identity)];
}

function workingPlace(words: readonly string[]): string | undefined {
  return PLACES.filter(isExecutable)
    .find((place) => run([place, ...words, SHELL, "-c", ":"]) !== undefined);
}

function ownIds(): Ids {
  const gid = Deno.gid()!;
  return { uid: Deno.uid()!, gid, groups: [gid] };
}

/** @param ids Replacements for the numbers of the credentials. */
function wordsFor(identity: Identity | undefined, ids: Ids | undefined = identity): string[] {
  return [...identityFlags(identity, ids), "--no-new-privs", "--"];
}

function identityFlags(identity: Identity | undefined, ids: Ids | undefined): string[] {
  if (identity === undefined || ids === undefined) return [];
  const { uid } = identity;
  const user = uid === undefined ? [] : [`--reuid=${ids.uid}`];
  const bounds = uid && mayDropCapabilities() ? ["--inh-caps=-all", "--bounding-set=-all"] : [];
  return [...user, `--regid=${ids.gid}`, `--groups=${ids.groups.join()}`, ...bounds];
}

/**
 * Asks the kernel, in one process for all paths, which access a user has.
 *
 * @param identity The user.
 * @param wanted The kinds of access, with an absolute path each.
 * @returns Whether each is permitted; undefined where that can't be determined, also if a process of the
 * user prevents the answer.
 */
export function accessAs(
  identity: Identity,
  wanted: readonly (readonly [access: Access, path: string])[],
): readonly boolean[] | undefined {
  const command = setprivCommand(identity);
  if (command === undefined) return undefined;
  const answer = run([...command, SHELL, "-c", TRY_ACCESS, "sh", ...wanted.flat()]);
  return answer?.length === wanted.length ? [...answer].map((letter) => letter === "y") : undefined;
}

/** Runs a command and returns its output; undefined if it fails or takes too long. */
function run(command: readonly string[]): string | undefined {
  const bound = BOUNDS.find(isExecutable);
  if (bound === undefined) return undefined;
  const args = ["-s", "KILL", String(LONGEST_SECONDS), ...command];
  // The working directory may be inaccessible to the user, which a shell would report.
  const options = { args, cwd: "/", stdin: "null", stdout: "piped", stderr: "null" } as const;
  try {
    const { success, stdout } = new Deno.Command(bound, options).outputSync();
    return success ? new TextDecoder().decode(stdout) : undefined;
  } catch {
    // No free process or descriptor: an unknown result counts as no finding.
    return undefined;
  }
}
