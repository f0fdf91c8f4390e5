/**
 * The files of the picture of a terminal: what the commands have printed, and the picture drawn from it.
 *
 * @module
 */
import type { Shown } from "./readme_session.ts";
import { drawTerminal } from "./terminal.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

/** What the commands have printed, with its escape sequences, from the root. */
export const TRANSCRIPT = "docs/pictures/terminal.txt";

/** The picture of it, from the root. */
export const TERMINAL_PICTURE = "docs/pictures/terminal.svg";

/** The commands that the picture leaves out. */
const UNSEEN = /^zc stop$/;

/** A session as it is kept, and drawn. */
export function transcriptOf(session: readonly Shown[]): string {
  return session.filter(({ command }) => !UNSEEN.test(command))
    .map(({ command, output }) => `$ ${command}\n${output}`).join("");
}

/** Draws a transcript. */
export function terminalPicture(transcript: string): string {
  return drawTerminal(transcript, "A server of two processes is started, shown and reloaded");
}

/** Writes both files. */
export function writeTerminal(session: readonly Shown[]): void {
  const transcript = transcriptOf(session);
  Deno.writeTextFileSync(`${ROOT}${TRANSCRIPT}`, transcript);
  Deno.writeTextFileSync(`${ROOT}${TERMINAL_PICTURE}`, terminalPicture(transcript));
}
