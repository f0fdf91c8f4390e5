/**
 * Runs the commands of first_steps.txt, a session in a terminal, and compares what they print.
 *
 * After a change of an output, `deno test -A tests/integration/first_steps_test.ts -- --write`
 * writes the new one into the file.
 */
import { assertEquals } from "@std/assert";
import { ifThere } from "../../src/os/fs/path.ts";
import { Site } from "../support/master.ts";
import { installPrograms } from "../support/shell_programs.ts";
import { testCertificate } from "../support/tls.ts";
import { comparable, runInShell, startShell, type Step, stepsOf } from "../support/transcript.ts";
import { eventually } from "../support/wait.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const SESSION = new URL("first_steps.txt", import.meta.url);

/** The port of the session, which has as many digits as the one that is used. */
const PORT = "18080";

function write(steps: readonly Step[]): string {
  return steps.map(({ command, shown, isParted }) =>
    `${isParted ? "\n" : ""}$ ${command}\n${shown === "" ? "" : `${shown}\n`}`
  ).join("");
}

/** The package as it is here, in place of the published one. */
function linkPackage(site: Site): void {
  const manifest = JSON.parse(Deno.readTextFileSync(site.dir.file("hello/deno.json")));
  manifest.links = [ROOT, `${ROOT}links/std_assert`];
  site.dir.write("hello/deno.json", JSON.stringify(manifest));
}

Deno.test("the first steps of a new user show what first_steps.txt says", async () => {
  await using site = new Site();
  const port = String(site.port());
  const path = installPrograms(site);
  const { certFile, keyFile } = testCertificate(site.dir);
  Deno.renameSync(certFile, site.dir.file("localhost.crt"));
  Deno.renameSync(keyFile, site.dir.file("localhost.key"));
  const shell = await startShell(site, { PATH: path });
  const steps = stepsOf(Deno.readTextFileSync(SESSION));
  const begin = steps.find(({ command }) => command === "zc init"), done: Step[] = [];
  for (const step of steps) {
    const { command } = step;
    const output = await runInShell(shell, command.replaceAll(PORT, port));
    const shown = output.replaceAll(site.dir.path, "/home/me").replaceAll(port, PORT);
    done.push({ ...step, shown });
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
