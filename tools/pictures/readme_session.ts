/**
 * The first server of README.md in a terminal: its files are written, its commands run, and what they print is kept
 * with its colours.
 *
 * @module
 */
import { assert } from "@std/assert";
import type { Site } from "../../tests/support/master.ts";
import { installPrograms } from "../../tests/support/shell_programs.ts";
import { PATIENCE_MS } from "../../tests/support/wait.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const HEADING = "## A server";
const TIMEOUT_MS = 5 * PATIENCE_MS;

/** A command and what the terminal shows after it. */
export interface Shown {
  readonly command: string;
  readonly output: string;
}

/** The blocks of code of a section of README.md. */
export function blocksBelow(heading: string): { readonly kind: string; readonly text: string }[] {
  const readme = Deno.readTextFileSync(`${ROOT}README.md`);
  const at = readme.indexOf(`\n${heading}\n`);
  assert(at >= 0, heading);
  const end = readme.indexOf("\n## ", at + heading.length);
  return Array.from(
    readme.slice(at, end < 0 ? undefined : end).matchAll(/^```(\w+)\n([^]*?)^```$/gm),
    ([, kind, text]) => ({ kind, text }),
  );
}

/**
 * Runs the commands of the first server, each in a terminal of its own.
 *
 * @param site Where.
 * @param port The port in the place of that in README.md.
 * @returns What came of them; the comments are left out.
 */
export async function runReadmeServer(site: Site, port = "8080"): Promise<Shown[]> {
  const path = installPrograms(site), shown: Shown[] = [], commands: string[] = [];
  site.dir.write("deno.json", JSON.stringify({ links: [ROOT] }));
  for (const { kind, text } of blocksBelow(HEADING)) {
    if (kind === "sh") commands.push(...text.trimEnd().split("\n"));
    // The first line of each file is its name.
    else site.dir.write(/^(?:#|\/\/) (\S+)\n/.exec(text)![1], text.replaceAll("8080", port));
  }
  for (const line of commands) {
    const [command] = line.split(/ +# /);
    // `zc` is a program in that PATH.
    if (command.startsWith("alias ")) continue;
    const terminal = ["script", "--quiet", "--return", "--command"];
    const process = site.execute(
      ["env", "-u", "NO_COLOR", ...terminal, command.replaceAll("8080", port), "/dev/null"],
      { env: { PATH: path, TERM: "xterm-256color", LC_ALL: "C" } },
    );
    const output = (await process.succeeds(TIMEOUT_MS)).replaceAll("\r\n", "\n");
    shown.push({ command, output: output.replaceAll(port, "8080") });
  }
  return shown;
}
