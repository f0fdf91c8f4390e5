/**
 * The load client as a process of its own: `deno run -A load_client.ts PLAN`, where `PLAN` is a
 * {@linkcode LoadPlan} as JSON.
 *
 * It takes lines on its standard input, and answers each by one line, a {@linkcode Progress}: `count`
 * asks for nothing else, `expect-end` says that the installation is about to stop. At the end of the
 * input, or at SIGTERM, it waits for the answers that are under way, prints its reports, and ends;
 * and of its own accord once all who ask have been refused after `expect-end`.
 *
 * @module
 */
import { Load } from "./load.ts";
import type { LoadPlan } from "./load_plan.ts";
import { lostIn } from "./tally.ts";

/** How far a load has come. */
export interface Progress {
  /** How many answers there were. */
  readonly ok: number;
  /** How many requests were lost. */
  readonly lost: number;
  /** How many answers the one who got the fewest has: a target, asked in one way. */
  readonly least: number;
}

function progressOf(load: Load): Progress {
  const reports = load.report();
  return {
    ok: reports.reduce((sum, { counts }) => sum + counts.ok, 0),
    lost: reports.reduce((sum, report) => sum + lostIn(report), 0),
    least: Math.min(...reports.map(({ counts }) => counts.ok)),
  };
}

async function obeyInput(load: Load): Promise<void> {
  let text = "";
  for await (const chunk of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end; (end = text.indexOf("\n")) >= 0; text = text.slice(end + 1)) {
      const command = text.slice(0, end);
      if (command === "expect-end") load.expectEnd();
      else if (command !== "count") throw new Error(`Cannot obey "${command}"`);
      console.log(JSON.stringify(progressOf(load)));
    }
  }
}

if (import.meta.main) {
  const { targets, ...settings }: LoadPlan = JSON.parse(Deno.args[0]);
  const load = new Load(settings);
  const askers = targets.map((target) => load.ask(target));
  const stop = () => Promise.all(askers.map((asker) => asker.stop()));
  Deno.addSignalListener("SIGTERM", stop);
  const input = obeyInput(load).then(stop);
  await Promise.race([input, Promise.all(askers.map(({ ended }) => ended))]);
  console.log(JSON.stringify(load.report()));
  // The input may still be open.
  Deno.exit(0);
}
