/**
 * Writes docs/commands.md from the tables that the help of the programs is made of.
 *
 * Run by `deno task docs`.
 *
 * @module
 */
import { renderCommandHelp } from "../src/commands/help.ts";
import { COMMANDS } from "../src/commands/table.ts";
import { type Exit, EXITS, renderHelp } from "../src/config/reference.ts";
import { tableText } from "./page_part.ts";

/** The page's path from the root of the project. */
export const COMMANDS_PAGE = "docs/commands.md";

/** Each exit code with its meanings, and the programs and commands that it is of. */
function renderExits(): string {
  const all: [who: string, exits: readonly Exit[]][] = [
    ["a master", EXITS.master],
    ["a server", EXITS.server],
    ...COMMANDS.map(({ name, exits }) => [`\`zc ${name}\``, exits] as [string, readonly Exit[]]),
  ];
  const rows = Map.groupBy(
    all.flatMap(([who, exits]) => exits.map(([code, meaning]) => ({ code, who, meaning }))),
    ({ code, meaning }) => `${code} ${meaning}`,
  );
  const sorted = [...rows.values()].sort(([a], [b]) => a.code - b.code);
  return tableText([
    ["code", "of", "meaning"],
    ...sorted.map((those) => [
      String(those[0].code),
      those.map(({ who }) => who).join(", "),
      those[0].meaning,
    ]),
  ]);
}

const block = (text: string): string => `\`\`\`text\n${text.trimEnd()}\n\`\`\`\n`;

/** The whole page. */
export function renderCommandsPage(): string {
  const commands = COMMANDS.map((command) =>
    `### zc ${command.name}\n\n${block(renderCommandHelp(command))}`
  );
  return `# Commands, arguments and exit codes

\`zc\` is the master as a program, and its commands find a running one ([operating](operating.md)).
\`zc --help\`, \`zc COMMAND --help\` and \`SERVER --help\` print these texts, \`zc --version\` the versions.
This page is written by \`deno task docs\` from the tables that the help is made of.

## Commands

${commands.join("\n")}
## Exit codes

${renderExits()}
A process that a signal has ended has no exit code; a shell shows 128 and the number of the signal.

## Arguments of a master

[settings.md](settings.md) explains each argument, and the settings of the files.

${block(renderHelp("master"))}
## Arguments of a server

A master gives them to the servers that it starts ([protocol](protocol.md#the-command-line)). By
hand \`alone\` comes first.

${block(renderHelp("server"))}`;
}

if (import.meta.main) Deno.writeTextFileSync(COMMANDS_PAGE, renderCommandsPage());
