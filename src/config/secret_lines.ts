/**
 * What messages show of the lines of a settings file: of a setting whose value is secret only the name.
 *
 * @module
 */
import { settingName } from "./aliases.ts";
import { cannot } from "./errors.ts";
import { isSecret } from "./settings.ts";

/** The text of a line for a message. */
export function shownLine(written: string): string {
  return secretNameIn(written) ?? written;
}

/** Finds the lines in which a secret value goes on, among the lines of a text in their order. */
export class SecretLines {
  #name: string | undefined;

  /**
   * Looks at the next line.
   *
   * @param written The line; no comment.
   * @param line Its number.
   * @returns A message without the line's text; undefined if no secret value goes on in it.
   */
  continuation(written: string, line: number): string | undefined {
    const name = secretNameIn(written);
    if (this.#name === undefined || name !== undefined || written.includes("=")) {
      this.#name = name;
      return undefined;
    }
    const found = `its value goes on in line ${line}`;
    return cannot("read", this.#name, { found, expected: "one line" });
  }
}

/** The setting of a line if its value is secret, also in a line without "=" or with something before the name. */
function secretNameIn(written: string): string | undefined {
  const [word = ""] = /[\w-]+/.exec(written) ?? [], name = settingName(word);
  return isSecret(name) ? name : undefined;
}
