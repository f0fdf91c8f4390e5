/**
 * Draws the pictures of README.md into docs/pictures: a terminal, from a run of the commands that stand there, and
 * charts, from the figures of the last runs of the benchmarks.
 *
 * Run by `deno task pictures`. The port of README.md has to be free.
 *
 * @module
 */
import { Site } from "../tests/support/master.ts";
import { writeCharts } from "./pictures/chart_files.ts";
import { runReadmeServer } from "./pictures/readme_session.ts";
import { TERMINAL_PICTURE, writeTerminal } from "./pictures/terminal_files.ts";

await using site = new Site();
writeTerminal(await runReadmeServer(site));
for (const path of [TERMINAL_PICTURE, ...await writeCharts()]) console.log(path);
