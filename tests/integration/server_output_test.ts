/**
 * What servers print, on its way to the log of the master and to files.
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Site } from "../support/master.ts";
import { eventually } from "../support/wait.ts";

const PRINTING = new URL("../support/servers/printing.py", import.meta.url).pathname;

/** The settings of a server that prints all the time. */
const printing = (site: Site, settings: Readonly<Record<string, string>> = {}) => ({
  "server-command": `/usr/bin/python3 ${PRINTING}`,
  "server-protocol": "systemd",
  "server-service": `127.0.0.1:${site.port()}`,
  ...settings,
});

/** Fails unless a log has every line of each process that has ended, in order and whole; returns their number. */
function assertWhole(log: string): number {
  const ends = [...log.matchAll(/p\[(\d+)\] last (out|err) (\d+)$/gm)];
  for (const [, pid, output, last] of ends) {
    const lines = log.matchAll(new RegExp(`p\\[${pid}\\] ${output} (\\d+) (x*)\\.$`, "gm"));
    const numbers = Array.from(lines, ([, number, text]) => {
      assertEquals(text.length, Number(number) % 150, `line ${number} of ${pid}`);
      return Number(number);
    });
    assertEquals(numbers, Array.from({ length: Number(last) }, (_, index) => index + 1));
  }
  return ends.length;
}

Deno.test("no line of a server is lost or torn over reloads, an upgrade and the stop, in log and files", async () => {
  await using site = new Site();
  const file = site.dir.file("p.log");
  site.write(
    "p.cf",
    printing(site, {
      "server-output-file": file,
      "server-output-rotate": "100k",
      "server-output-keep": "1000",
    }),
  );
  const master = await site.start();
  for (let round = 0; round < 2; round++) {
    await master.logs(/\] out 500 /, round + 1);
    await master.reload();
  }
  await master.logs(/\] out 500 /, 3);
  await master.upgrade();
  await master.logs(/\] out 500 /, 4);
  await master.logs(/last err/, 3);
  await master.stop();
  assertEquals(assertWhole(master.log), 8);
  const names = Array.from(Deno.readDirSync(site.dir.path), ({ name }) => name)
    .filter((name) => name.startsWith("p.log"));
  assert(names.length > 2, `${names}`);
  // The present file has the last lines.
  const inOrder = [...names.filter((name) => name !== "p.log").sort(), "p.log"];
  const text = inOrder.map((name) => Deno.readTextFileSync(site.dir.file(name))).join("");
  assertEquals(assertWhole(text), 8);
});

Deno.test("the trace of an uncaught error arrives whole and in order, and its message in the line of the end", async () => {
  await using site = new Site();
  const program = site.dir.write(
    "broken.ts",
    "function inner(): never {\n  throw new Error('boom', { cause: new Error('deep') });\n}\ninner();\n",
  );
  site.write("bad.cf", {
    "server-command": `${Deno.execPath()} run ${program}`,
    "server-service": `127.0.0.1:${site.port()}`,
  });
  const master = await site.start();
  const [, end] = await master.logs(/bad\.cf: process \d+ (ended after .*)/);
  assertMatch(
    end,
    /: exit code 1; its last words: error: Uncaught.* Error: boom; the next one is /,
  );
  const [trace] = await master.logs(/bad\[\d+\] error: Uncaught[^]*?broken\.ts:4:1/);
  const lines = trace.split("\n").map((line) => line.replace(/^.*bad\[\d+\] /, "").trim());
  assertMatch(lines[0], /^error: Uncaught .*Error: boom$/);
  assertStringIncludes(lines.join("\n"), "throw new Error('boom'");
  assert(lines.some((line) => /^at inner \(.*broken\.ts:2/.test(line)), trace);
  await master.stop();
});

Deno.test("server-output = inherit gives a server the outputs of its master, without anything in front", async () => {
  await using site = new Site();
  site.write("p.cf", printing(site, { "server-output": "inherit" }));
  const master = await site.start();
  await master.logs(/^err 10 x{10}\.$/m);
  await eventually(() => /^out 10 x{10}\.$/m.test(master.process.stdout), { what: "stdout" });
  await master.stop();
});

Deno.test("an output file in a directory that is missing is a problem of the configuration", async () => {
  await using site = new Site();
  const path = site.dir.file("none/p.log");
  site.write("p.cf", printing(site, { "server-output-file": path }));
  const process = site.run(["-C", site.conf, "-pid-file", site.pidFile]);
  assertEquals((await process.ended()).code, 1);
  assertMatch(
    process.stderr,
    /p\.cf:4: server-output-file: Cannot write ".*none\/p\.log": .*, expected a directory that exists/,
  );
});
