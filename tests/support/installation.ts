/**
 * Deno and this project where another user can reach them, for servers that run as one. Where root
 * runs the tests both may be in a directory of root's alone.
 *
 * @module
 */
import { credentialsOf } from "../../src/os/user/accounts.ts";
import { denoDir } from "../../src/os/process/deno_dir.ts";
import { accessAs } from "../../src/os/process/file_access.ts";
import { TempDir } from "./temp.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

/** What servers of this project need to be run. */
export interface Installation {
  /** The runtime. */
  readonly deno: string;
  /** The project, with a slash at the end. */
  readonly root: string;
  /** Where the runtime keeps what it needs. */
  readonly denoDir: string;
}

/** Those that the tests themselves use. */
export const OWN_INSTALLATION: Installation = {
  deno: Deno.execPath(),
  root: ROOT,
  denoDir: denoDir(),
};

const made = new Map<string, Installation>();

/**
 * Finds what a user can reach, or makes it, for the life of the test file.
 *
 * @param user The user; an ordinary user's tests have no other than their own.
 */
export function installationFor(user: string): Installation {
  const known = made.get(user) ?? install(user);
  made.set(user, known);
  return known;
}

function install(user: string): Installation {
  const { deno, root, denoDir } = OWN_INSTALLATION, credentials = credentialsOf({ user });
  const [runs = true, reads, caches] = accessAs(credentials, [
    ["x", deno],
    ["r", `${root}src/os/ffi/libc.ts`],
    ["r", denoDir],
  ]) ?? [true, true, true];
  const dir = new TempDir();
  Deno.chmodSync(dir.path, 0o755);
  globalThis.addEventListener("unload", () => dir[Symbol.dispose]());
  if (!runs) link(deno, dir.file("deno"));
  if (!reads) copyProject(dir.file("project"));
  if (!caches) Deno.mkdirSync(dir.file("deno_dir"));
  return {
    deno: runs ? deno : dir.file("deno"),
    root: reads ? root : `${dir.file("project")}/`,
    denoDir: caches ? denoDir : dir.file("deno_dir"),
  };
}

/** A second name, or, on another file system, a copy. */
function link(from: string, to: string): void {
  try {
    Deno.linkSync(from, to);
  } catch {
    Deno.copyFileSync(from, to);
  }
  Deno.chmodSync(to, 0o755);
}

function copyProject(to: string): void {
  Deno.mkdirSync(`${to}/tests`, { recursive: true });
  for (const name of ["src", "links", "examples", "tests/support"]) {
    new Deno.Command("cp", { args: ["-r", `${ROOT}${name}`, `${to}/${name}`] }).outputSync();
  }
  for (const { name, isFile } of Deno.readDirSync(ROOT)) {
    if (isFile) Deno.copyFileSync(`${ROOT}${name}`, `${to}/${name}`);
  }
}
