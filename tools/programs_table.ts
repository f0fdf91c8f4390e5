/**
 * The table of programs in docs/programs.md, written from the one that tests/interop/programs_test.ts runs.
 *
 * Run by `deno task docs`.
 *
 * @module
 */
import { type Program, PROGRAMS, startScriptOf, versionOf } from "../tests/support/programs.ts";
import { tableText, withPart } from "./page_part.ts";

/** The page, from the root. */
export const PROGRAMS_PAGE = "docs/programs.md";

/**
 * Puts the table where the page has room for it.
 *
 * @param page The text of the page.
 * @returns The page with the table as it is now.
 * @throws {Error} When the page has no such room.
 */
export function withPrograms(page: string): string {
  return withPart({ page: PROGRAMS_PAGE, name: "programs" }, page, renderPrograms());
}

function renderPrograms(): string {
  const code = (text: string) => `\`${text}\``;
  const start = (program: Program) => {
    const script = startScriptOf(program);
    return `${code(program.command)}${script === undefined ? "" : `: ${code(script)}`}`;
  };
  return tableText([
    ["program", "version", "`server-command`, and its script", "lost at a reload", "needs"],
    ...PROGRAMS.map((program) => [
      program.title,
      `${program.package} ${versionOf(program)}`,
      start(program),
      "0",
      program.needs ?? "nothing",
    ]),
  ]);
}

if (import.meta.main) {
  Deno.writeTextFileSync(PROGRAMS_PAGE, withPrograms(Deno.readTextFileSync(PROGRAMS_PAGE)));
}
