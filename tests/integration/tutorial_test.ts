/**
 * Follows docs/tutorial.md: writes the files that it shows, runs its commands in a shell, and compares what they
 * print.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { OWN_INSTALLATION } from "../support/installation.ts";
import { Site } from "../support/master.ts";
import type { TestProcess } from "../support/processes.ts";
import { installPrograms } from "../support/shell_programs.ts";
import { comparable, runInShell, startShell, type Step, stepsOf } from "../support/transcript.ts";
import { eventually } from "../support/wait.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const PAGE = `${ROOT}docs/tutorial.md`;
const UNIT = ".config/systemd/user/web.service";

/** The port of the tutorial. */
const PORT = "8080";

/** Commands that change nothing: their output is compared once it is what it will become. */
const LOOKING = /^(curl|zc (status|logs)) /;

/** The command of the tutorial that the test can't run, since it needs JSR; it follows the way of a clone. */
const INSTALL = "deno install -gA -n zc jsr:@zc/master/master\n";

/** systemctl(1), as far as the tutorial uses it: the commands of its unit, without a systemd. */
const SYSTEMCTL = `#!/bin/bash
of() { sed -n "s|%h|$HOME|g; s|^$1=-\\?||p" "$HOME/${UNIT}"; }
cd "$(of WorkingDirectory)"
export "$(of Environment)"
case "$*" in
  "--user --quiet enable --now web") $(of ExecStart) < /dev/null > journal 2>&1 & ;;
  "--user reload web") $(of ExecReload) > journal 2>&1 ;;
  "--user stop web") $(of ExecStop) > journal 2>&1 ;;
  *) exit 1 ;;
esac
`;

/** A block of code in the page. */
interface Block {
  readonly language: string;
  readonly text: string;
}

function blocksOf(page: string): Block[] {
  return [...page.matchAll(/^```(\w+)\n([^]*?)^```$/gm)]
    .map(([, language, text]) => ({ language, text }));
}

/** Where the file belongs whose text a block has. */
function pathOf({ text }: Block): string {
  const [, path] = /^(?:\/\/|#) (\S+)\n/.exec(text) ?? [];
  return path.startsWith("~/") ? path.slice(2) : `hello/${path}`;
}

Deno.test("docs/tutorial.md shows what its commands do", async () => {
  await using site = new Site();
  const port = String(site.port()), home = site.dir.path;
  const local = (text: string) =>
    text.replaceAll(PORT, port).replaceAll("/path/to/clone/", ROOT).replaceAll(
      "/path/to/clone",
      ROOT,
    );
  const path = installPrograms(site, ".deno/bin");
  // The tutorial makes it, from a clone.
  Deno.removeSync(site.dir.file(".deno/bin/zc"));
  Deno.chmodSync(site.dir.write(".deno/bin/systemctl", SYSTEMCTL), 0o755);
  const shell = await startShell(site, {
    HOME: home,
    PATH: path,
    DENO_DIR: OWN_INSTALLATION.denoDir,
  });
  const run = async ({ command }: Step): Promise<Step> => {
    const shown = await runInShell(shell, local(command));
    return { command, shown: shown.replaceAll(home, "/home/me").replaceAll(port, PORT) };
  };

  const wanted: string[] = [], found: string[] = [];
  for (const block of blocksOf(Deno.readTextFileSync(PAGE))) {
    if (block.language === "sh") {
      if (block.text === INSTALL) continue;
      assertEquals(await runInShell(shell, local(block.text.trimEnd())), "");
    } else if (block.language !== "console") site.dir.write(pathOf(block), local(block.text));
    else {
      for (const step of stepsOf(block.text)) {
        wanted.push(comparable(step));
        found.push(comparable(await follow(step, run)));
      }
    }
  }
  assertEquals(found.join(""), wanted.join(""));
  await endOf(shell);
  await site.isGone();
});

/** Runs a command, and again while it may still come to show what the page says. */
async function follow(step: Step, run: (step: Step) => Promise<Step>): Promise<Step> {
  let done = await run(step);
  const isAsTold = () => comparable(done) === comparable(step);
  if (!LOOKING.test(step.command) || isAsTold()) return done;
  try {
    await eventually(async () => {
      done = await run(step);
      return isAsTold();
    }, { what: step.command });
  } catch {
    // The comparison shows how it differs.
  }
  return done;
}

async function endOf(shell: TestProcess): Promise<void> {
  await shell.closeInput();
  await shell.ended();
}

Deno.test("docs/tutorial.md shows the columns of a change as wide as the command does", () => {
  for (const { text } of blocksOf(Deno.readTextFileSync(PAGE))) {
    const changes = stepsOf(text).map(({ shown }) =>
      shown.match(/^(service|listener) .*$/gm) ?? []
    );
    for (const lines of changes) {
      const parts = lines.map((line) => /^(\S+ \S+)( +)/.exec(line)!);
      const widest = Math.max(...parts.map(([, name]) => name.length));
      assertEquals(parts.map(([column]) => column.length), lines.map(() => widest + 2));
    }
  }
});

Deno.test("docs/tutorial.md tells to install zc as docs/operating.md does", () => {
  assertStringIncludes(Deno.readTextFileSync(`${ROOT}docs/operating.md`), INSTALL.trim());
});
