/**
 * A service as its processes are started: what its settings mean on this machine.
 *
 * @module
 */
import type { ServiceConfig } from "../../config/service.ts";
import type { ServerProtocol } from "../../config/settings.ts";
import type { ScriptRun } from "../../os/process/module_files.ts";
import type { Credentials } from "../../os/user/accounts.ts";

/** A program to start. */
export interface Program {
  /** Its path, as the started process sees it. */
  readonly path: string;
  /** Its own arguments, without `argv[0]`. */
  readonly args: readonly string[];
  /** The root directory to change to first, if the service has one. */
  readonly root?: string;
  /** The working directory to change to first, if the service has one. */
  readonly directory?: string;
}

/** A service whose program, user, root and arguments were looked up; a launch looks up none of them. */
export interface ResolvedService extends ServiceConfig {
  readonly protocol: Exclude<ServerProtocol, "auto" | "deno">;
  /** Present if the program knows nothing of its master; the port of `deno serve`, if it has one. */
  readonly unchanged?: { readonly port?: number };
  /** Where the program opens an address itself, if it was taken for a server of this framework without being told so. */
  readonly addressCall?: string;
  readonly program: Program;
  /** What the program gets after its own arguments: those of LIB-ZC (section 5), and settings. */
  readonly argv: readonly string[];
  /** The path of Deno in `program`, which follows the running file when that moves. */
  readonly denoPath?: string;
  /** The path in `program` of the running program, if that is compiled. */
  readonly selfBinary?: string;
  /** The script that Deno runs, as its processes see it. */
  readonly script?: string;
  /** The user and the groups that it is started with, if not those of the master. */
  readonly credentials?: Credentials;
  /** Whether it is started with no_new_privs; always so with credentials. */
  readonly gainsNothing: boolean;
  /** Present if it is started without caches; `owner` as for `withoutCaches` of `deno_dir.ts`. */
  readonly cacheless?: { readonly owner?: string };
  /** How Deno runs its script; missing where the master can't find the modules of the program. */
  readonly scriptRun?: ScriptRun;
}
