/**
 * The sources that are measured: this checkout, and another commit of it.
 *
 * @module
 */
import { existsSync } from "@std/fs/exists";
import { UsageError } from "../tools/usage_error.ts";

/** The sources of this project in a folder. */
export interface Checkout {
  /** The folder, with a slash at its end. */
  readonly root: string;
  /** The commit, in short; undefined: this checkout as it is, changes included. */
  readonly commit?: string;
}

/** The sources that this file is a part of. */
export const THIS_CHECKOUT: Checkout = { root: new URL("../", import.meta.url).pathname };

/** What a commit must have to be compared with. */
const NEEDED = ["master.ts"].concat(
  ["ready.ts", "master_http.ts", "master_coroutine.ts", "master_aio.ts"]
    .map((file) => `bench/servers/${file}`),
);

/** A commit that {@linkcode findCommit} has found. */
export interface Commit {
  /** The folder of its repository. */
  readonly repository: string;
  /** How it was called. */
  readonly revision: string;
  /** Its full name. */
  readonly hash: string;
  /** Its short name and the first line of its message. */
  readonly title: string;
}

/** Runs a command to its end, while nothing else happens in this process. */
function runNow(cwd: string, [program, ...args]: readonly [string, ...string[]]): string {
  const { success, stdout, stderr } = new Deno.Command(program, { args, cwd }).outputSync();
  const decoder = new TextDecoder();
  if (!success) throw new Error(decoder.decode(stderr).trim());
  return decoder.decode(stdout).trim();
}

/**
 * Finds a commit.
 *
 * @param revision Its name, or that of a branch or a tag: whatever git takes.
 * @param repository A folder of its repository.
 * @throws {UsageError} When there is none, or no repository, or no git.
 */
export function findCommit(revision: string, repository: string = THIS_CHECKOUT.root): Commit {
  try {
    const name = `${revision}^{commit}`;
    const hash = runNow(repository, ["git", "rev-parse", "--verify", "--end-of-options", name]);
    const title = runNow(repository, ["git", "log", "-1", "--format=%h %s", hash]);
    return { repository, revision, hash, title };
  } catch (cause) {
    const found = (cause as Error).message.split("\n")[0];
    throw new UsageError(
      `Cannot compare with "${revision}": ${found}, expected a commit, a branch or a tag of git`,
      { cause },
    );
  }
}

/**
 * Says what a checkout has: its commit, and whether it has changes beside it.
 *
 * @param repository Its folder.
 */
export function describeCheckout(repository: string = THIS_CHECKOUT.root): string {
  const { title } = findCommit("HEAD", repository);
  const isClean = runNow(repository, ["git", "status", "--porcelain"]) === "";
  return isClean ? title : `the working tree, with changes that are not committed, on ${title}`;
}

/**
 * Puts the files of a commit into a folder. Git does not know of them: removing them is all that ends them. A signal
 * that comes meanwhile is handled afterwards.
 *
 * @param commit Which one.
 * @param folder A folder to make.
 * @throws {UsageError} When it has no servers for the benchmarks of this checkout.
 */
export function unpackCommit(
  { repository, revision, hash, title }: Commit,
  folder: string,
): Checkout {
  Deno.mkdirSync(folder);
  const archive = `${folder}.tar`;
  runNow(repository, ["git", "archive", "--format=tar", `--output=${archive}`, hash]);
  runNow(repository, ["tar", "-x", "-f", archive, "-C", folder]);
  Deno.removeSync(archive);
  const missing = NEEDED.find((file) => !existsSync(`${folder}/${file}`));
  if (missing === undefined) return { root: `${folder}/`, commit: title.split(" ")[0] };
  throw new UsageError(
    `Cannot compare with "${revision}": ${title} has no ${missing}, ` +
      "expected the servers of these benchmarks",
  );
}
