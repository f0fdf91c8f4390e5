/**
 * The programs of a user's terminal: `deno`, `zc` and `curl`, for tests that give commands to a shell.
 *
 * @module
 */
import type { Site } from "./master.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

/** curl(1), as far as the tests use it: the machine may have none. */
const CURL = `
const at = Deno.args.indexOf("--cacert");
const caCerts = at < 0 ? [] : [Deno.readTextFileSync(Deno.args[at + 1])];
try {
  const answer = await fetch(Deno.args.at(-1)!, { client: Deno.createHttpClient({ caCerts }) });
  await answer.body!.pipeTo(Deno.stdout.writable);
} catch {
  if (!Deno.args.includes("-s")) console.error("curl: (7) Failed to connect");
  Deno.exit(7);
}
`;

/**
 * Puts the programs into a directory for a PATH.
 *
 * @param site Where.
 * @param bin The directory, relative to that of the site.
 * @returns That PATH.
 */
export function installPrograms(site: Site, bin = "bin"): string {
  Deno.mkdirSync(site.dir.file(bin), { recursive: true });
  Deno.symlinkSync(Deno.execPath(), site.dir.file(`${bin}/deno`));
  site.dir.write(`${bin}/curl.ts`, CURL);
  for (const [name, program] of [["zc", `${ROOT}master.ts`], ["curl", "$(dirname $0)/curl.ts"]]) {
    const path = site.dir.write(`${bin}/${name}`, `#!/bin/sh\nexec deno run -A ${program} "$@"\n`);
    Deno.chmodSync(path, 0o755);
  }
  return `${site.dir.file(bin)}:${Deno.env.get("PATH")}`;
}
