import { assert, assertEquals, assertMatch } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { greeted, isRefused } from "../support/client.ts";
import { type Expected, type Fault, FAULTS } from "../support/faults.ts";
import { Site } from "../support/master.ts";
import { serveSmall } from "../support/peers.ts";
import { listenerInode } from "../support/proc.ts";

/** Fails unless a message consists of exactly these problems, one a line. */
function assertTells(text: string, { conf }: Site, problems: readonly Expected[]): void {
  // A start waits for an address that is in use, and says so in a line of its own.
  const lines = text.trimEnd().split("\n").filter((line) => !line.includes("] waiting for up to "));
  for (const { place, text: problem } of problems) {
    const start = place.startsWith("argument ")
      ? `${place}: ${problem}`
      : `${conf}/${place}: ${problem}`;
    assert(lines.some((line) => line.startsWith(start)), `no line begins with ${start}\n${text}`);
  }
  assertEquals(lines.length, problems.length, text);
  for (const line of lines) assertMatch(line, /: Cannot .*".*": .+, expected .+/);
}

/** Makes a mistake in files whose names begin with a number, so that several mistakes have their place. */
function makeNumbered(site: Site, { make }: Fault, number: number): Expected[] {
  const before = new Set(Array.from(Deno.readDirSync(site.conf), ({ name }) => name));
  const problems = make(site);
  const numbered = (text: string) => text.replace(/\b([xy])\.cf/g, `${number}-$1.cf`);
  for (const { name } of [...Deno.readDirSync(site.conf)]) {
    if (!before.has(name)) {
      Deno.renameSync(`${site.conf}/${name}`, `${site.conf}/${numbered(name)}`);
    }
  }
  return problems.map(({ place, text }) => ({ place: numbered(place), text: numbered(text) }));
}

Deno.test("the master does not start with any mistake in files and arguments, and reports all of them", async () => {
  await using site = new Site();
  const port = site.port(), path = site.socket("good");
  site.serve("good.cf", { mode: "coroutine", service: `127.0.0.1:${port},${path}` });
  const problems = FAULTS.flatMap((fault, number) => makeNumbered(site, fault, number));
  const wrong = [["-master-max-generations", "many"], ["-master-stop-timeout", "soon"]];
  const args = ["-C", site.conf, "-pid-file", site.pidFile, ...wrong.flat()];
  for (const [name, value] of wrong) {
    problems.push({ place: `argument ${name}`, text: `Cannot read "${value}": ` });
  }
  const { code, stderr } = await site.run(args).ended();
  assertEquals(code, 1);
  assertTells(stderr, site, problems);
  await site.isGone();
  assertEquals(Deno.readTextFileSync(site.dir.file("file")), "precious");
});

Deno.test("the master waits for an address in use, and then does not start", async () => {
  await using site = new Site();
  const address = `127.0.0.1:${site.busyPort()}`;
  site.serve("x.cf", { mode: "coroutine", service: address });
  const stderr = await site.refusal();
  assertMatch(stderr, /^.* waiting for up to 2 s: .*\n/);
  const text = `Cannot listen on "${address}": address in use`;
  assertTells(stderr, site, [{ place: "x.cf:2: server-service", text }]);
});

Deno.test("a reload with any mistake is refused, and changes nothing", async (t) => {
  await using site = new Site();
  const port = site.port(), path = site.socket("good");
  const service = `127.0.0.1:${port},${path}`;
  serveSmall(site, "good.cf", service, { "server-proc-count": 2 });
  const master = await site.start();
  const pids = await master.serving("good.cf", 2);
  const inodes = [port, path].map(listenerInode);
  for (const { what, make } of FAULTS) {
    await t.step(what, async () => {
      const other = site.port();
      site.serve("good.cf", { mode: "aio", service: other });
      const problems = make(site);
      assertTells(await master.reloadRefused(), site, problems);
      assertEquals(await master.serving("good.cf", 2), pids);
      assertEquals([port, path].map(listenerInode), inodes);
      assert(await isRefused(other));
      for (const target of [port, path]) {
        using client = await greeted(target);
        assertEquals(await client.ask("echo as before"), "as before");
      }
      for (const { name } of [...Deno.readDirSync(site.conf)]) site.remove(name);
    });
  }
  serveSmall(site, "good.cf", service);
  await master.reload();
  await master.serving("good.cf", 1);
  await master.stop();
});

/** Arguments that a master can't start with, and what it says. */
const BAD_ARGUMENTS: Readonly<Record<string, (site: Site) => [args: string[], said: RegExp]>> = {
  "no directory": () => [[], /^Cannot read argument "-C": it is missing, expected -C DIR/],
  "a directory that isn't there": (site) => [
    ["-C", site.dir.file("none")],
    /\/none: Cannot read settings directory ".*\/none": no such file or directory, expected /,
  ],
  "a file for a directory": (site) => [
    ["-C", site.dir.write("file", "")],
    /\/file: Cannot read settings directory ".*\/file": .*, expected a directory/,
  ],
  "a pid file in a missing folder": (site) => [
    ["-C", site.conf, "-pid-file", site.dir.file("none/pid")],
    /^argument -pid-file: Cannot lock ".*\/none\/pid": no such file or directory.*, expected a file/,
  ],
  "a directory for a pid file": (site) => [
    ["-C", site.conf, "-pid-file", site.conf],
    /^argument -pid-file: Cannot lock ".*\/conf": is a directory.*, expected a file/,
  ],
  "a misspelt name": (site) => [
    ["-C", site.conf, "-pidfile", site.pidFile],
    /^Cannot read argument "-pidfile": .*, expected -pid-file FILE/,
  ],
};

for (const [what, give] of Object.entries(BAD_ARGUMENTS)) {
  Deno.test(`the master does not start with ${what} in its arguments`, async () => {
    await using site = new Site();
    site.serve("good.cf", { mode: "coroutine", service: `127.0.0.1:${site.port()}` });
    const [args, said] = give(site);
    const { code, stderr } = await site.run(args).ended();
    assertEquals(code, 1);
    assertMatch(stderr, said);
    assertEquals(stderr.trimEnd().split("\n").length, 1, stderr);
    await site.isGone();
  });
}

Deno.test("a directory without any service is no mistake: the next reload may bring one", async () => {
  await using site = new Site();
  const port = site.port();
  const master = await site.start();
  serveSmall(site, "a.cf", port);
  await master.reload();
  (await greeted(port)).close();
  assert(existsSync(site.pidFile));
  await master.stop();
});
