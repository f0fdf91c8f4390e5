/**
 * The servers that are in the program of the master (`server-command = self NAME`).
 *
 * @module
 */
import { cannot, ConfigError } from "../config/errors.ts";
import { nearest } from "../config/nearest.ts";
import { isServerName, SERVER_NAME_FORM } from "../config/own_server.ts";
import {
  type MasterServerHooks,
  type OwnServer,
  ownServerNames,
} from "../master/services/hooks.ts";

/** What is not a server, as another argument is expected in its place. */
const RESERVED = ["help", "version"];

/**
 * Checks the names and the types of a program's servers.
 *
 * @param hooks The hooks of the program.
 * @param commands The names of the commands.
 * @throws {ConfigError} With every mistake.
 */
export function checkOwnServers(
  { servers = {} }: MasterServerHooks,
  commands: readonly string[],
): void {
  const problems = Object.entries(servers).flatMap(([name, main]) => {
    const about = typeof main !== "function"
      ? { found: typeof main, expected: "a function" }
      : !isServerName(name)
      ? { found: "another character", expected: SERVER_NAME_FORM }
      : [...commands, ...RESERVED].includes(name)
      ? { found: "a command has this name", expected: "another name" }
      : undefined;
    return about === undefined ? [] : [{ message: cannot("use server", name, about) }];
  });
  if (problems.length > 0) throw new ConfigError(problems);
}

/** The server of a program by its name; undefined if it has none of that name. */
export function ownServer(
  { servers = {} }: MasterServerHooks,
  name: string,
): OwnServer | undefined {
  return Object.hasOwn(servers, name) ? servers[name] : undefined;
}

/** Says that a program has no server of a name. */
export function noOwnServer(hooks: MasterServerHooks, name: string): string {
  const names = ownServerNames(hooks) ?? [];
  const all = names.join(", ") || "a call of masterServerMain with this server in servers";
  const found = "no server of this program has this name";
  return cannot("start server", name, { found, expected: nearest(name, names) ?? all });
}
