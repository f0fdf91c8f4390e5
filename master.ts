/**
 * The master, as a program and as a function.
 *
 * As a program it needs no code. It opens the ports of every `conf/*.cf`, starts the processes that each asks for,
 * and keeps them running. `init` writes a first project, `--help` lists the commands.
 *
 * @example As a program
 * ```sh
 * deno run -A jsr:@zc/master/master init     # in an empty folder, or beside a program of yours
 * deno run -A jsr:@zc/master/master -C conf
 * ```
 *
 * @example As a function
 * ```ts
 * import { masterServerMain } from "@zc/master/master";
 *
 * if (import.meta.main) Deno.exit(await masterServerMain());
 * ```
 *
 * @module
 */
import { masterServerMain } from "./src/commands/main.ts";

export { masterServerMain } from "./src/commands/main.ts";
export { masterServerLoadConfigFromDirname } from "./src/master/main.ts";
export type { MasterServerHooks, OwnServer } from "./src/master/services/hooks.ts";
export type { LoadConfigHook } from "./src/master/services/load.ts";
export { Config } from "./src/config/config.ts";
export { selfName } from "./src/config/own_server.ts";

if (import.meta.main) Deno.exit(await masterServerMain({ servers: {} }));
