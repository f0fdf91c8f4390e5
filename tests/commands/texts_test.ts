import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { run as complete } from "../../src/commands/completions.ts";
import { renderCommandHelp, renderProgramHelp } from "../../src/commands/help.ts";
import { COMMANDS } from "../../src/commands/table.ts";
import { TestProcess } from "../support/processes.ts";

Deno.test("the help names every command, and that of a command all options and exit codes", () => {
  const help = renderProgramHelp();
  for (const command of COMMANDS) {
    assertStringIncludes(help, command.summary);
    const own = renderCommandHelp(command);
    for (const { name, doc } of command.options ?? []) {
      assertStringIncludes(own, `--${name}`);
      assertStringIncludes(own, doc);
    }
    for (const [code, meaning] of command.exits) {
      assertStringIncludes(own, `${code}  ${meaning}`);
    }
    assert(own.split("\n").every((line) => line.length <= 100), own);
  }
});

Deno.test("each command's code can be loaded", async () => {
  for (const { name, load } of COMMANDS) assertEquals(typeof (await load()).run, "function", name);
});

/** What a shell is given for `completions`. */
async function completionsOf(shell: string): Promise<string> {
  const lines: string[] = [], { log } = console;
  console.log = (text: string) => lines.push(text);
  try {
    await complete({
      operands: [shell],
      options: {},
      masterArgs: [],
      settings: { settings: [], configFiles: [], rest: [] },
      warnings: [],
      hooks: {},
      commands: COMMANDS,
    });
  } finally {
    console.log = log;
  }
  return lines.join("\n");
}

Deno.test("bash completes commands, options and arguments of the master", async () => {
  const script = await completionsOf("bash");
  const ask = async (...words: readonly string[]) => {
    const list = words.map((word) => `'${word}'`).join(" ");
    const program = `${script}
COMP_WORDS=(${list}) COMP_CWORD=${words.length - 1}
_zc; printf '%s\\n' "\${COMPREPLY[@]}"`;
    await using process = new TestProcess(["bash", "-c", program]);
    assertEquals((await process.ended()).code, 0, process.stderr);
    return process.stdout.trim().split("\n");
  };
  assertEquals(await ask("zc", "stat"), ["status"]);
  assertEquals(await ask("zc", "reload", "--no"), ["--no-wait"]);
  assertEquals(await ask("zc", "status", "-pid"), ["-pid-file"]);
});

Deno.test("zsh and fish get each command with its summary", async () => {
  for (const shell of ["zsh", "fish"]) {
    const script = await completionsOf(shell);
    for (const { name, summary } of COMMANDS) {
      assertStringIncludes(script, name);
      assertStringIncludes(script, summary.replace(/[[\]:']/g, " "));
    }
  }
});
