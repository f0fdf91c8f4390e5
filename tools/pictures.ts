/**
 * Draws the pictures of README.md into docs/pictures: a terminal, from a run of the commands that stand there.
 *
 * Run by `deno task pictures`. The port of README.md has to be free.
 *
 * @module
 */
import { Site } from "../tests/support/master.ts";
import { runReadmeServer } from "./pictures/readme_session.ts";
import { TERMINAL_PICTURE, TRANSCRIPT, writeTerminal } from "./pictures/terminal_files.ts";

await using site = new Site();
writeTerminal(await runReadmeServer(site));
console.log(`${TRANSCRIPT}\n${TERMINAL_PICTURE}`);
