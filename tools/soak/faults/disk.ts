/**
 * The disk of the log service is full.
 *
 * @module
 */
import { greeted } from "../../../tests/support/client.ts";
import { eventually } from "../../../tests/support/wait.ts";
import type { FaultScenario, FaultStage } from "../fault.ts";
import { Witness } from "./measure.ts";

const CHATTY = new URL("../servers/chatty.ts", import.meta.url).pathname;

/** More than the log service keeps while it can't write: 16 MiB. */
const LINES = 2_600, LINE_BYTES = 9_000;

/** The disk, when it is full and when it is not. */
const SMALL = "64k", LARGE = "128m";

/** How long lines may take to be on the disk once there is room, and the server to log them all. */
const WRITTEN_MS = 10_000, LOGGED_MS = 60_000;

/** A file system that is full, and that gets room. */
interface FullDisk extends Disposable {
  readonly how: string;
  grow(): void;
}

function run(command: string, ...args: readonly string[]): boolean {
  return new Deno.Command(command, { args: [...args], stderr: "null" }).outputSync().success;
}

/** A small tmpfs; where that is not allowed, /dev/full in the place of each day's file. */
function fullDisk(directory: string): FullDisk {
  if (Deno.uid() === 0 && run("mount", "-t", "tmpfs", "-o", `size=${SMALL}`, "none", directory)) {
    return {
      how: `a tmpfs of ${SMALL}`,
      grow() {
        if (!run("mount", "-o", `remount,size=${LARGE}`, directory)) {
          throw new Error(`Cannot make "${directory}" larger`);
        }
      },
      [Symbol.dispose]: () => void run("umount", directory),
    };
  }
  const dayMs = 86_400_000;
  const links = [Date.now(), Date.now() + dayMs].map((ms) => {
    const date = new Date(ms);
    const digits = (value: number) => `${value}`.padStart(2, "0");
    const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()].map(digits).join("");
    return `${directory}/log.${day}.log`;
  });
  for (const link of links) Deno.symlinkSync("/dev/full", link);
  return {
    how: "/dev/full as the file; a full tmpfs needs root",
    grow: () => links.forEach((link) => Deno.removeSync(link)),
    [Symbol.dispose]() {},
  };
}

/** How large the log files are together, in bytes. */
function sizeOf(directory: string): number {
  return [...Deno.readDirSync(directory)].filter(({ isFile }) => isFile)
    .reduce((sum, { name }) => sum + Deno.statSync(`${directory}/${name}`).size, 0);
}

/** What is in the log files. */
function linesIn(directory: string): { lines: number; dropped: number } {
  let lines = 0, dropped = 0;
  for (const { name, isFile } of Deno.readDirSync(directory)) {
    if (!isFile) continue;
    const text = Deno.readTextFileSync(`${directory}/${name}`);
    // Counted by their end too: one that was cut in the middle is none.
    lines += text.match(/ LINE \d+ x+.*\n/g)?.length ?? 0;
    for (const [, count] of text.matchAll(/(\d+) log lines? dropped/g)) dropped += Number(count);
  }
  return { lines, dropped };
}

async function diskIsFull({ site, shows, showsAtMost, fault }: FaultStage): Promise<void> {
  const directory = site.dir.file("disk"), socket = site.dir.file("log");
  Deno.mkdirSync(directory);
  using disk = fullDisk(directory);
  shows("how the disk is full", disk.how);
  const port = site.port();
  site.write("chatty.cf", {
    "server-command": CHATTY,
    "server-service": `127.0.0.1:${port}`,
    "server-log": `masterlog,${socket}`,
  });
  const master = await site.start({ args: ["-log-service", `${socket},${directory}/log.,day`] });
  using client = await greeted(port);
  const witness = new Witness(port);
  await client.write(`log ${LINES} ${LINE_BYTES}\n`);
  if (await client.line(LOGGED_MS) !== "logged") throw new Error("the server has not logged");
  const [told] = await master.logs(/Cannot write log file.*/);
  shows("what the master says", told.replaceAll(directory, "DIRECTORY"));
  const { answered, longestMs, failures } = await witness.end();
  shows("answers while the disk was full", answered);
  showsAtMost({ what: "failures meanwhile", value: failures.length }, 0);
  shows("longest answer, ms", longestMs);
  const grownMs = performance.now();
  disk.grow();
  let found = linesIn(directory), size = 0;
  await eventually(() => {
    const before = size;
    size = sizeOf(directory);
    // All of the files is read for this: only when nothing more seems to come.
    if (size === before) found = linesIn(directory);
    return found.lines + found.dropped >= LINES;
  }, { what: "all lines to be there or told to be dropped", withinMs: WRITTEN_MS })
    .catch((error) => fault(`${error.message}: ${JSON.stringify(found)} of ${LINES}`));
  shows("from the end of the fault until all was written, ms", performance.now() - grownMs);
  shows("lines logged", LINES);
  shows("lines in the files", found.lines);
  shows("lines dropped, as the files say", found.dropped);
  const excess = found.lines + found.dropped - LINES;
  showsAtMost({ what: "lines counted twice", value: excess }, 0);
  client.close();
  await master.stop();
}

/** The disk of the log files is full. */
export const diskFullScenario: FaultScenario = {
  name: "disk-full",
  loses: "Log lines beyond the 16 MiB that are kept; the files say how many. No request.",
  describe: () =>
    `the log service's files on a full disk while a server logs ${LINES} lines of ${LINE_BYTES} bytes`,
  act: diskIsFull,
};
