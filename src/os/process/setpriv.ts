/**
 * Starting a program with less than this process has, by way of setpriv(1): a program of util-linux that
 * changes itself and then becomes the other one, so that it costs two milliseconds and the process is
 * the same. See docs/design/16_no_way_back.md for what else was tried.
 *
 * @module
 */
import { mayDropCapabilities } from "../user/credentials.ts";
import type { Identity } from "../user/identity.ts";
import { isExecutable } from "./program_lookup.ts";

/** Where it is; not in PATH, since root runs it. */
const PLACES = ["/usr/bin/setpriv", "/bin/setpriv"];

const SHELL = "/bin/sh";

/**
 * timeout(1) of coreutils. This process waits for the answer and does nothing else meanwhile, and a
 * process of the user can stop the one that is to give it (SIGSTOP).
 */
const BOUNDS = ["/usr/bin/timeout", "/bin/timeout"];
const LONGEST_SECONDS = 3;

/**
 * Says `y` or `n` for each `ACCESS PATH` among its arguments. Where a directory is sticky, nobody but
 * the owners takes anything away that is in it.
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

/** The numbers of an identity. */
type Ids = Pick<Identity, "uid" | "gid" | "groups">;

/** What a user may want to do with a path: read it, write to it, execute it or search it. */
export type Access = "r" | "w" | "x";

/** Which of the places works, by the words that it was tried with. */
const known = new Map<string, string>();

/**
 * The words before a program's own ones that have it started with less.
 *
 * @param identity Whom it is started as, with no capability in its bounding set; without one it stays
 * who it is. In both cases it gains nothing by what it executes (no_new_privs in prctl(2)).
 * @returns The words; undefined where there is no setpriv(1), or one that does not know how.
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

/** @param ids What stands for the numbers of the identity. */
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
 * Asks the kernel what a user may do with paths. All of them are asked about in one process.
 *
 * @param identity The user.
 * @param wanted What is wanted, with an absolute path each.
 * @returns Whether each is permitted; undefined where that can't be found out, also because a process of
 * the user keeps the answer from coming.
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

/**
 * Runs a command to its end, and returns what it has printed; undefined where that fails or takes too
 * long.
 */
function run(command: readonly string[]): string | undefined {
  const bound = BOUNDS.find(isExecutable);
  if (bound === undefined) return undefined;
  const args = ["-s", "KILL", String(LONGEST_SECONDS), ...command];
  // The working directory may be out of the user's reach, of which a shell would complain.
  const options = { args, cwd: "/", stdin: "null", stdout: "piped", stderr: "null" } as const;
  try {
    const { success, stdout } = new Deno.Command(bound, options).outputSync();
    return success ? new TextDecoder().decode(stdout) : undefined;
  } catch {
    // No process more, or no descriptor: what is not known is not held against anybody.
    return undefined;
  }
}
