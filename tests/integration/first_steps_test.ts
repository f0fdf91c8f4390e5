/**
 * Runs the commands of first_steps.txt, a session in a terminal, and compares what they print.
 *
 * What differs from run to run counts as equal: process ids, times, sizes, versions, and the width of
 * columns. After a change of an output, `deno test -A tests/integration/first_steps_test.ts -- --write`
 * writes the new one into the file.
 */
import { assertEquals } from "@std/assert";
import { ifThere } from "../../src/os/fs/path.ts";
import { Site } from "../support/master.ts";
import type { TestProcess } from "../support/processes.ts";
import { installPrograms } from "../support/shell_programs.ts";
import { testCertificate } from "../support/tls.ts";
import { eventually, PATIENCE_MS } from "../support/wait.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const SESSION = new URL("first_steps.txt", import.meta.url);

/** The port of the session, which has as many digits as the one that is used. */
const PORT = "18080";

/** What the shell prints after each command. */
const MARK = "<end of the command> ";

/** Lines that come only if something takes long, or is not in a cache yet. */
const OCCASIONAL = /^(waiting for|Download|Initialize) .*\n/gm;

/** A command of the session, and what the terminal shows after it. */
interface Step {
  readonly command: string;
  /** The lines, with `(exit code N)` behind them if it is not 0. */
  readonly shown: string;
  /** Whether an empty line comes before it. */
  readonly isParted: boolean;
}

function parse(session: string): Step[] {
  return `\n${session}`.split(/\n\$ /).slice(1).map((text, index, all) => {
    const [command, ...lines] = text.split("\n");
    return {
      command,
      shown: lines.join("\n").trimEnd(),
      isParted: all[index - 1]?.endsWith("\n") ?? false,
    };
  });
}

function write(steps: readonly Step[]): string {
  return steps.map(({ command, shown, isParted }) =>
    `${isParted ? "\n" : ""}$ ${command}\n${shown === "" ? "" : `${shown}\n`}`
  ).join("");
}

/** What differs from run to run, and what stands for it in a comparison. */
const VARYING: readonly (readonly [pattern: RegExp, text: string])[] = [
  [/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)/g, "TIME"],
  [/\b\d+(\.\d+)? (ms|s|min)\b( \d+ s\b)?/g, "N s"],
  // As Deno writes them, such as (905µs) and (1m2s).
  [/\((\d+(µs|ms|s|m|h))+\)/g, "(N s)"],
  [/\b\d+(\.\d+)? [KM]iB\b/g, "N MiB"],
  [/(?<![\d.])\d+\.\d+\.\d+(?![\d.])/g, "N.N.N"],
  [/("atMs":)\d+/g, "$1N"],
  [/("key":")\d+-\d+/g, "$1N-N"],
  [/("pid":)\d+/g, "$1N"],
  [/("process\.pid":)\d+/g, "$1N"],
  [/\b(process|master|from) \d+/g, "$1 N"],
  [/\b(master|web)\[\d+\]/g, "$1[N]"],
  // The first column of the processes.
  [/^ *\d+(  +web\.cf )/gm, "N$1"],
  [/ {2,}/g, "  "],
];

function comparable({ command, shown }: Step): string {
  const same = VARYING.reduce((text, [pattern, to]) => text.replace(pattern, to), shown);
  return `$ ${command}\n${same}\n`;
}

/** The package as it is here, in place of the published one. */
function linkPackage(site: Site): void {
  const manifest = JSON.parse(Deno.readTextFileSync(site.dir.file("hello/deno.json")));
  manifest.links = [ROOT, `${ROOT}links/std_assert`];
  site.dir.write("hello/deno.json", JSON.stringify(manifest));
}

/** Gives a command to the shell, and waits for its end. */
async function run(shell: TestProcess, command: string): Promise<string> {
  await shell.write(`${command}\necho "${MARK}$?"\n`);
  const end = new RegExp(`^([^]*?)${MARK}(\\d+)\n`);
  // Deno checks the types of all the modules at its first start.
  const [, output, code] = await shell.prints(end, 5 * PATIENCE_MS);
  return code === "0" ? output : `${output}(exit code ${code})\n`;
}

Deno.test("the first steps of a new user show what first_steps.txt says", async () => {
  await using site = new Site();
  const port = String(site.port());
  const path = installPrograms(site);
  const { certFile, keyFile } = testCertificate(site.dir);
  Deno.renameSync(certFile, site.dir.file("localhost.crt"));
  Deno.renameSync(keyFile, site.dir.file("localhost.key"));
  const shell = site.execute(["bash"], { env: { PATH: path, LC_ALL: "C" } });
  await shell.write("exec 2>&1; umask 022\n");
  const steps = parse(Deno.readTextFileSync(SESSION));
  const begin = steps.find(({ command }) => command === "zc init"), done: Step[] = [];
  for (const step of steps) {
    const { command } = step;
    const output = await run(shell, command.replaceAll(PORT, port));
    const shown = output.replaceAll(site.dir.path, "/home/me").replaceAll(port, PORT);
    done.push({ ...step, shown: shown.replaceAll(OCCASIONAL, "").trimEnd() });
    if (step === begin) linkPackage(site);
    const file = / > (\S+) 2> \S+ &$/.exec(command)?.[1];
    if (file !== undefined) {
      // Its output must have begun before anything is done that it is to show.
      const hasText = () => ifThere(() => Deno.statSync(site.dir.file(`hello/${file}`)))?.size;
      await eventually(() => (hasText() ?? 0) > 0, { what: `the output of ${command}` });
    }
  }
  await shell.closeInput();
  await shell.ended();
  await site.isGone();
  const changed = steps.map((step, index) => [step, done[index]] as const).filter(
    ([step, now]) => comparable(step) !== comparable(now),
  );
  if (Deno.args.includes("--write")) {
    const isChanged = new Set(changed.map(([, now]) => now));
    Deno.writeTextFileSync(
      SESSION,
      write(steps.map((step, index) => isChanged.has(done[index]) ? done[index] : step)),
    );
    return;
  }
  const text = (all: readonly Step[]) => all.map(comparable).join("");
  assertEquals(text(changed.map(([, now]) => now)), text(changed.map(([step]) => step)));
});
