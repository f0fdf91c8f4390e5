/**
 * What servers print, on its way to the log of the master and to files.
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { LogLine } from "../../src/control/messages.ts";
import { zcHere } from "../support/commands.ts";
import { Site } from "../support/master.ts";
import { eventually } from "../support/wait.ts";

const LEVELS = new URL("../support/servers/levels.ts", import.meta.url).pathname;
const PRINTING = new URL("../support/servers/printing.py", import.meta.url).pathname;

/** The settings of a server that prints all the time. */
const printing = (site: Site, settings: Readonly<Record<string, string>> = {}) => ({
  "server-command": `/usr/bin/python3 ${PRINTING}`,
  "server-protocol": "systemd",
  "server-service": `127.0.0.1:${site.port()}`,
  ...settings,
});

/** Fails unless a log has every line of each ended process of a service, in order and whole; returns their number. */
function assertWhole(log: string, service: string): number {
  const ends = [...log.matchAll(new RegExp(`${service}\\[(\\d+)\\] last (out|err) (\\d+)$`, "gm"))];
  for (const [, pid, output, last] of ends) {
    const line = new RegExp(`${service}\\[${pid}\\] ${output} (\\d+) (x*)\\.$`, "gm");
    const numbers = Array.from(log.matchAll(line), ([, number, text]) => {
      assertEquals(text.length, Number(number) % 150, `line ${number} of ${service} ${pid}`);
      return Number(number);
    });
    assertEquals(numbers, Array.from({ length: Number(last) }, (_, index) => index + 1));
  }
  return ends.length;
}

Deno.test("no line of a server is lost or torn over a reload, an upgrade and the stop, in log and files", async () => {
  await using site = new Site();
  const own = { "server-command": site.server("printing"), "server-protocol": "auto" };
  const services: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    python: {},
    all: own,
    none: { ...own, "server-permissions": "none" },
  };
  for (const [name, settings] of Object.entries(services)) {
    site.write(`${name}.cf`, {
      ...printing(site, settings),
      "server-output-file": site.dir.file(`${name}.log`),
      "server-output-rotate": "100k",
      "server-output-keep": "1000",
    });
  }
  const names = Object.keys(services);
  const master = await site.start();
  /** Waits until a further process of each service has printed for a while. */
  const printed = async (processes: number) => {
    for (const name of names) {
      await master.logs(new RegExp(` ${name}\\[\\d+\\] out 300 `), processes);
    }
  };
  await printed(1);
  await master.reload();
  await printed(2);
  await master.upgrade();
  await printed(3);
  for (const name of names) await master.logs(new RegExp(` ${name}\\[\\d+\\] last err`), 2);
  await master.stop();
  for (const name of names) {
    assertEquals(assertWhole(master.log, name), 6, name);
    const files = Array.from(Deno.readDirSync(site.dir.path), (entry) => entry.name)
      .filter((file) => file.startsWith(`${name}.log`));
    assert(files.length > 1, `${files}`);
    // The present file has the last lines.
    const inOrder = [...files.filter((file) => file !== `${name}.log`).sort(), `${name}.log`];
    const text = inOrder.map((file) => Deno.readTextFileSync(site.dir.file(file))).join("");
    assertEquals(assertWhole(text, name), 6, name);
  }
});

Deno.test("a server that prints a million empty lines keeps its master from nothing", async () => {
  await using site = new Site();
  // A million lines; the log of the test must not grow without end.
  const flood =
    "import os, time\nfor _ in range(16): os.write(1, b'\\n' * 65536)\ntime.sleep(1000)\n";
  site.write("flood.cf", {
    ...printing(site),
    "server-command": `/usr/bin/python3 ${site.dir.write("flood.py", flood)}`,
  });
  const master = await site.start();
  await master.logs(
    / flood\[\d+\] \d+ lines dropped: more than 10000 of the service within a second$/m,
  );
  await master.reload();
  const status = await zcHere(site, "status");
  assertEquals(status.code, 0, status.err);
  await master.stop();
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

/** Programs with an error that nothing awaits, and the level of the line that tells it. */
const BROKEN: readonly (readonly [program: string, level: string, protocol?: string])[] = [
  ["coroutine module", "error"],
  ["aio module", "error"],
  ["serve module", "error"],
  ["serve callback", "error"],
  ["unchanged module", "error", "deno"],
  ["unchanged callback", "error", "deno"],
  ["unchanged line", "error", "deno"],
  ["unchanged 'handled by listener'", "info", "deno"],
  ["unchanged 'handled by node'", "info", "deno"],
  // Its process knows of no master.
  ["plain module", "info"],
];

for (const permissions of ["all", "none"]) {
  Deno.test(`the message about an error that ends a server has the level error, with permissions = ${permissions}`, async () => {
    await using site = new Site();
    for (const [index, [program, , protocol]] of BROKEN.entries()) {
      site.write(`broken${index}.cf`, {
        "server-command": `${site.server("broken")} ${program}`,
        "server-permissions": permissions,
        "server-service": `127.0.0.1:${site.port()}`,
        ...(protocol !== undefined && { "server-protocol": protocol }),
      });
    }
    const master = await site.start();
    for (const [index, [program, level]] of BROKEN.entries()) {
      const text = "(?:error: Uncaught [^\\n]*Error: |handled )boom$";
      const [, found] = await master.logs(
        new RegExp(`(\\w+) broken${index}\\[\\d+\\] ${text}`, "m"),
      );
      assertEquals(found, level, program);
    }
    await master.logs(/ info broken\d\[\d+\] a line without its end$/m);
    await master.stop();
  });
}

Deno.test("a trace is one record of a log service: whole, with its service and process", async () => {
  await using site = new Site();
  const program = site.dir.write(
    "broken.ts",
    "function inner(): never {\n  throw new Error('boom');\n}\ninner();\n",
  );
  site.write("bad.cf", {
    "server-command": `${Deno.execPath()} run ${program}`,
    "server-service": `127.0.0.1:${site.port()}`,
  });
  const socket = site.dir.file("log"), prefix = site.dir.file("lines.");
  const args = ["-log-service", `${socket},${prefix},day`, "-server-log", `masterlog,${socket}`];
  const process = site.run(["-C", site.conf, "-pid-file", site.pidFile, ...args]);
  const trace =
    /bad\[\d+\] error: Uncaught .*Error: boom .*throw new Error.* at inner \(.*broken\.ts:2:9\) .*broken\.ts:4:1$/m;
  const lines = () =>
    Array.from(Deno.readDirSync(site.dir.path), ({ name }) => name)
      .filter((name) => name.startsWith("lines."))
      .map((name) => Deno.readTextFileSync(site.dir.file(name))).join("");
  await eventually(() => trace.test(lines()), { what: "the trace" });
  await eventually(() => /bad\.cf: process \d+ ended after .* Error: boom/.test(lines()), {
    what: "the line of the end",
  });
  process.signal("SIGTERM");
  assertEquals((await process.ended()).code, 0);
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

/** Runs `logs` for a site. */
async function logs(
  site: Site,
  ...args: readonly string[]
): Promise<{ code: number; out: string; err: string }> {
  const process = site.run(["logs", ...args, "-C", site.conf, "-pid-file", site.pidFile]);
  const { code } = await process.ended();
  return { code, out: process.stdout, err: process.stderr };
}

Deno.test("logs shows the last lines of a service, or of all and of the master", async () => {
  await using site = new Site();
  const program = site.dir.write(
    "speaking.py",
    "print('<4>careful', flush=True)\nimport time; time.sleep(1000)\n",
  );
  for (const name of ["one.cf", "two.cf"]) {
    site.write(name, { ...printing(site), "server-command": `/usr/bin/python3 ${program}` });
  }
  const master = await site.start();
  await master.logs(
    /one\[\d+\] careful[^]*two\[\d+\] careful|two\[\d+\] careful[^]*one\[\d+\] careful/,
  );
  const one = await logs(site, "one.cf");
  assertMatch(one.out, /^\d{4}-\S+T\S+ warn one\[\d+\] careful$/m);
  assertMatch(one.out, /^(\S+ (\w+ one\[\d+\] careful|\w+ master\[\d+\] one\.cf: .*)\n)+$/);
  assertEquals(one.code, 0);
  const all = await logs(site);
  for (
    const line of [
      / one\[\d+\] careful$/m,
      / two\[\d+\] careful$/m,
      / master\[\d+\] .*added one\.cf two\.cf/,
    ]
  ) {
    assertMatch(all.out, line);
  }
  assertEquals((await logs(site, "-n", "0")).out, "");
  assertEquals((await logs(site, "-n", "1", "two.cf")).out.split("\n").length, 2);
  const { out } = await logs(site, "--json", "two.cf");
  const pid = Number(/two\[(\d+)\]/.exec(master.log)![1]);
  const lines: LogLine[] = out.trim().split("\n").map((text) => JSON.parse(text));
  const { atMs, key, ...line } = lines.find(({ stream }) => stream === "stdout")!;
  assertMatch(key, /^\d+-\d+$/);
  assertEquals(line, { level: "warn", service: "two.cf", pid, stream: "stdout", text: "careful" });
  assert(Math.abs(Date.now() - atMs) < 600_000);
  // Without an output, the lines of the master say what has happened to it.
  Deno.kill(pid, "SIGKILL");
  const end = await eventually(async () => {
    const { out } = await logs(site, "two.cf");
    return out.includes("ended") && out;
  }, { what: "the line about the end" });
  assertMatch(
    end,
    new RegExp(` two\\[${pid}\\] careful\\n[^]* master\\[\\d+\\] two\\.cf: process ${pid} ended`),
  );
  const unknown = await zcHere(site, "logs", "tow.cf");
  assertEquals([unknown.code, unknown.out], [2, ""]);
  assertMatch(unknown.err, /"tow\.cf".*two\.cf/);
  const wrong = await zcHere(site, "logs", "-n", "many");
  assertEquals(wrong.code, 64);
  assertMatch(wrong.err, /Cannot show "many": .*expected a whole number from 0/);
  await master.stop();
  assertEquals((await zcHere(site, "logs")).code, 3);
});

Deno.test("logs --follow shows equal lines each, and log-format = json has the output in a field", async () => {
  await using site = new Site();
  const program = site.dir.write(
    "same.py",
    "import os, time\nos.write(1, b'same\\n' * 3)\ntime.sleep(1000)\n",
  );
  site.write("same.cf", { ...printing(site), "server-command": `/usr/bin/python3 ${program}` });
  const master = await site.start({ args: ["-log-format", "json"] });
  const args = ["logs", "-f", "--json", "-C", site.conf, "-pid-file", site.pidFile];
  const following = site.run(args);
  await eventually(() => following.stdout.match(/"text":"same"/g)?.length === 3, { what: "lines" });
  master.signal("SIGHUP");
  await eventually(() => following.stdout.match(/"text":"same"/g)?.length === 6, { what: "more" });
  await master.logs(/"Body":"same"/, 6);
  const lines = master.log.split("\n").filter((line) => line.includes('"Body":"same"'));
  assertEquals(lines.length, 6);
  const { Resource, Attributes } = JSON.parse(lines[0]);
  assertEquals([Resource["zc.service"], Attributes["log.iostream"]], ["same.cf", "stdout"]);
  await master.stop();
  await following.ended();
});

Deno.test("logs --follow goes on over an upgrade, with the last lines of the servers before it", async () => {
  await using site = new Site();
  site.write("p.cf", printing(site));
  const master = await site.start();
  const args = ["logs", "-f", "-n", "1", "-C", site.conf, "-pid-file", site.pidFile];
  const following = site.run(args);
  const printers = () => [...following.stdout.matchAll(/ p\[(\d+)\] out /g)].map(([, pid]) => pid);
  const [first] = await eventually(() => printers().length > 100 && printers(), {
    what: "lines of the first server",
  });
  await master.upgrade();
  await eventually(
    () => new RegExp(` p\\[${first}\\] last out \\d+$`, "m").test(following.stdout),
    {
      what: "the first server's end",
    },
  );
  await eventually(() => printers().filter((pid) => pid !== first).length > 100, {
    what: "lines of the second",
  });
  await master.stop();
  assertEquals((await following.ended()).code, 3);
  assertMatch(following.stderr, /^the master has ended$/m);
});

Deno.test("log lines of a captured server with and without permissions have one time, and the level of their call", async () => {
  await using site = new Site();
  const names = ["all", "none"];
  for (const name of names) {
    site.write(`${name}.cf`, {
      "server-command": LEVELS,
      "server-permissions": name,
      "server-service": site.socket(name),
      "server-standby-count": "1",
    });
  }
  const master = await site.start();
  for (const name of names) {
    await master.logs(new RegExp(`${name}\\[\\d+\\] wrong\\n`));
    const ofService = new RegExp(
      `^\\d{4}-\\S+ (\\w+) ${name}\\[\\d+\\] (.*(?:\\n    and more)?)$`,
      "gm",
    );
    const texts = Array.from(
      master.log.matchAll(ofService),
      ([, level, text]) => `${level}: ${text}`,
    )
      .filter((text) => !text.includes("--allow-ffi"));
    assertEquals(texts, ["info: as usual", "warn: odd\n    and more", "error: wrong"], name);
  }
  await master.stop();
});
