/**
 * The arguments of MAIL and RCPT (RFC 5321, 4.1.2).
 *
 * @module
 */

/** An address and the parameters behind it. */
export interface Path {
  /** The part before the `@`, without quotes. */
  readonly local: string;
  /** The part behind it, in small letters; empty where there is none. */
  readonly domain: string;
  /** As it was written. */
  readonly address: string;
  /** The parameters, their names in capitals. */
  readonly parameters: ReadonlyMap<string, string>;
}

const ARGUMENT = /^(FROM|TO):\s*<([^<>]*)>((?:\s+\S+)*)\s*$/i;
const ADDRESS =
  /^(?:@[^:]+:)?(?:"((?:[^"\\]|\\.)*)"|([^\s"@,:;\\()[\]]+))(?:@([A-Za-z0-9.:[\]-]+))?$/;
const HAS_CONTROL = /[^\x20-\x7e]/;

/**
 * Reads the argument of MAIL or RCPT. The empty path `<>` is one without any part.
 *
 * @param argument What stands behind the command.
 * @param keyword The word with which it has to begin.
 * @returns The path; undefined when it is of another form.
 */
export function readPath(argument: string, keyword: "FROM" | "TO"): Path | undefined {
  const [, word, address, rest] = ARGUMENT.exec(argument) ?? [];
  if (word?.toUpperCase() !== keyword || HAS_CONTROL.test(address)) return undefined;
  const parameters = new Map(
    rest.trim().split(/\s+/).filter((part) => part !== "").map((part) => {
      const [name, value = ""] = part.split("=", 2);
      return [name.toUpperCase(), value] as const;
    }),
  );
  if (address === "") return { local: "", domain: "", address, parameters };
  const [, quoted, plain, domain = ""] = ADDRESS.exec(address) ?? [];
  const local = plain ?? quoted?.replaceAll(/\\(.)/g, "$1");
  if (local === undefined) return undefined;
  return { local, domain: domain.toLowerCase(), address, parameters };
}
