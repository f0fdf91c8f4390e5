import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { greeted } from "../support/client.ts";
import { example, type Master, MODES, pidIn, Site } from "../support/master.ts";
import { eventually } from "../support/wait.ts";

const SECOND = 1_000;

/** The two examples, and what they say to a new client and to a line. */
const EXAMPLES = [
  {
    file: "aio_server.ts",
    greeting: "echo server, support command: exit, DETACH",
    answer: (line: string) => `your input:   ${line}`,
  },
  {
    file: "coroutine_server.ts",
    greeting: "welcome coroutine",
    answer: (line: string) => line,
  },
];

function pidsOf(master: Master): number[] {
  return master.servers().map(({ pid }) => pid);
}

for (const { file, greeting, answer } of EXAMPLES) {
  Deno.test(`${file}: DETACH puts another process in its place, which outlives no master`, async () => {
    await using site = new Site();
    const port = site.port();
    site.write("a.cf", {
      "server-command": example(file),
      "server-service": `127.0.0.1:${port}`,
    });
    const master = await site.start();
    using kept = await greeted(port);
    assertEquals(kept.greeting, greeting);
    const [detached] = pidsOf(master);
    {
      using asking = await greeted(port);
      assertEquals(await asking.ask("DETACH"), answer("DETACH"));
      assertEquals(await asking.ending(), "end of file");
    }
    await master.logs(new RegExp(`a\\.cf: process ${detached} has detached`));
    using next = await greeted(port);
    assertEquals(await next.ask("new"), answer("new"));
    const [first, second] = pidsOf(master);
    assertEquals([first, second].filter((pid) => pid === detached).length, 1);
    const replacement = first === detached ? second : first;
    assertEquals(await kept.ask("old"), answer("old"));

    next.close();
    for (let count = 0; count < 2; count++) await master.reload();
    await eventually(() => pidsOf(master).length === 2 && !pidsOf(master).includes(replacement), {
      what: "another process in the place of the replacement",
    });
    assert(pidsOf(master).includes(detached));
    assertEquals(await kept.ask("older"), answer("older"));

    master.process.signal("SIGKILL");
    await site.isGone();
  });
}

for (const mode of MODES) {
  Deno.test(`${mode} mode: a detached process is not waited for, and ends when the master has`, async () => {
    await using site = new Site();
    const port = site.port();
    site.serve("a.cf", { mode, service: port });
    const master = await site.start();
    using client = await greeted(port);
    assertEquals(await client.ask("detach"), "detached");
    await master.serving("a.cf", 2);
    assertEquals(await client.ask("echo on its own"), "on its own");
    master.process.signal("SIGTERM");
    const { code } = await master.process.ended();
    assertEquals(code, 0);
    await site.isGone();
  });

  Deno.test(`${mode} mode: a detached process ends after server-stop-on-softstop-after, unreplaced`, async () => {
    await using site = new Site();
    const port = site.port();
    site.serve("a.cf", { mode, service: port, "server-stop-on-softstop-after": 5 });
    const master = await site.start();
    using client = await greeted(port);
    const startMs = performance.now();
    assertEquals(await client.ask("detach"), "detached");
    // Its time may be over when the next one has started.
    assertEquals(await client.ask("echo still there"), "still there");
    using next = await greeted(port);
    assertNotEquals(pidIn(next), pidIn(client));
    assertEquals(await client.ending(), "end of file");
    assert(performance.now() - startMs > 4.9 * SECOND);
    await eventually(() => !pidsOf(master).includes(pidIn(client)), { what: "its end" });
    assertEquals(await master.serving("a.cf", 1), [pidIn(next)]);
    assertEquals(master.logged(/ended after/), 0);
    next.close();
    await master.stop();
  });
}
