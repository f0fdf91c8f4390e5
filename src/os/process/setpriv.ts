/**
 * Start of a program with fewer privileges by setpriv(1) of util-linux, which changes its own credentials
 * and then executes the program: it takes two milliseconds and keeps the pid.
 * docs/design/16_no_way_back.md lists the alternatives that were tried.
 *
 * @module
 */
import { mayDropCapabilities } from "../user/credentials.ts";
import type { Credentials } from "../user/accounts.ts";
import { isExecutable } from "./program_lookup.ts";

/** The paths of setpriv(1); not from PATH, since root runs it. */
const PLACES = ["/usr/bin/setpriv", "/bin/setpriv"];

const SHELL = "/bin/sh";

/** The numbers of credentials. */
type Ids = Pick<Credentials, "uid" | "gid" | "groups">;

/** The path that works, by the arguments that it was tried with. */
const known = new Map<string, string>();

/** What differs between the programs. */
interface SetprivOptions {
  /** Whether the program is killed at the end of this process (PR_SET_PDEATHSIG). */
  readonly endsWithParent?: boolean;
}

/**
 * Returns the command words that start a program with fewer privileges, to be put before its own words.
 *
 * @param credentials The credentials to change to, with an empty capability bounding set; without it the
 * credentials stay. In both cases no_new_privs is set (prctl(2)).
 * @param options What differs.
 * @returns The words; undefined where setpriv(1) is missing or too old.
 */
export function setprivCommand(
  credentials?: Credentials,
  options: SetprivOptions = {},
): readonly string[] | undefined {
  // As this process's own user, whose processes no other user can stop.
  const words = wordsFor(credentials, { ...options, ids: ownIds() }), key = words.join(" ");
  const place = known.get(key) ?? workingPlace(words);
  if (place === undefined) return undefined;
  known.set(key, place);
  return [place, ...wordsFor(credentials, options)];
}

function workingPlace(words: readonly string[]): string | undefined {
  return PLACES.filter(isExecutable)
    .find((place) => runs([place, ...words, SHELL, "-c", ":"]));
}

function ownIds(): Ids {
  const gid = Deno.gid()!;
  return { uid: Deno.uid()!, gid, groups: [gid] };
}

/** `ids` replaces the numbers of the credentials. */
function wordsFor(
  credentials: Credentials | undefined,
  { ids = credentials, endsWithParent = false }: SetprivOptions & { readonly ids?: Ids },
): string[] {
  const death = endsWithParent ? ["--pdeathsig=KILL"] : [];
  return [...credentialFlags(credentials, ids), ...death, "--no-new-privs", "--"];
}

function credentialFlags(credentials: Credentials | undefined, ids: Ids | undefined): string[] {
  if (credentials === undefined || ids === undefined) return [];
  const { uid } = credentials;
  const user = uid === undefined ? [] : [`--reuid=${ids.uid}`];
  const bounds = uid && mayDropCapabilities() ? ["--inh-caps=-all", "--bounding-set=-all"] : [];
  return [...user, `--regid=${ids.gid}`, `--groups=${ids.groups.join()}`, ...bounds];
}

/** Whether a command, which does nothing, can be run. */
function runs(command: readonly string[]): boolean {
  const [program, ...args] = command;
  const options = { args, cwd: "/", stdin: "null", stdout: "null", stderr: "null" } as const;
  try {
    return new Deno.Command(program, options).outputSync().success;
  } catch {
    // No free process or descriptor.
    return false;
  }
}
