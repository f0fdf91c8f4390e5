import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { leaveOut } from "../support/left_out.ts";
import { hasProgram, runClient } from "../support/mail_clients.ts";
import { example, type Master } from "../support/master.ts";
import type { InBrowser } from "../support/browser.ts";
import { PostgreSql } from "../support/postgresql.ts";
import { remotePortsOf, suspend } from "../support/proc.ts";
import { OCCASIONAL } from "../support/transcript.ts";
import { type FollowerEnd, WebClients, type WebReport, WebSystem } from "../support/web_system.ts";
import { eventually, within } from "../support/wait.ts";

/** How many processes the settings file of the board names. */
const COUNT = 3;

/** Runs curl, and fails if it does. */
async function curl(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runClient(["curl", "-sS", ...args]);
  assertEquals(code, 0, `${args.join(" ")}: ${stderr}`);
  return stdout;
}

/** The ends of connections that have come between two reports. */
function endsSince(before: WebReport, after: WebReport, kind: "WebSocket" | "SSE"): FollowerEnd[] {
  return after.followers.flatMap((follower, index) =>
    follower.kind === kind ? follower.ends.slice(before.followers[index].ends.length) : []
  );
}

/** Kills a process that a follower is connected to; its id, and the ports of its clients. */
async function killOne({ followers }: WebReport): Promise<{ pid: number; ports: Set<number> }> {
  const pid = followers.map(({ process }) => process).find((process) => process !== undefined)!;
  // A suspended process accepts no more, so what it holds now is what ends with it.
  await suspend(pid);
  const ports = remotePortsOf(pid);
  Deno.kill(pid, "SIGKILL");
  return { pid, ports };
}

/** Posts a message on one page, and waits until the page for the wall shows it; both are live. */
async function postInOneTab({ page, arg }: InBrowser<string>): Promise<void> {
  const [, wall] = page.context().pages();
  for (const tab of [page, wall]) await tab.waitForSelector("small[data-live]");
  await page.fill("[name=author]", "browser");
  await page.fill("[name=text]", arg);
  await page.click("button");
  for (const tab of [page, wall]) await tab.waitForSelector(`li:has-text("${arg}")`);
}

async function haveProcesses(master: Master, except: readonly number[]): Promise<void> {
  await eventually(() => {
    const pids = master.servers().map(({ pid }) => pid);
    return pids.length === COUNT && !pids.some((pid) => except.includes(pid));
  }, { what: "other processes", withinMs: 60_000 });
}

Deno.test("examples/web: pages, JSON, uploads, WebSockets and event streams over PostgreSQL, for clients that others have written", async (t) => {
  await using database = await PostgreSql.start();
  if (database === undefined) return leaveOut(t, "without initdb");
  await using system = new WebSystem(database);
  const { site, web, secure, certFile } = system, url = `http://127.0.0.1:${web}`;

  await t.step("a server says once why it can't start, with the exit code for it", async () => {
    const start = async (url: string, env = database.env) => {
      const args = ["alone", "-server-service", `web://127.0.0.1:${web}`, "-web-database", url];
      const process = site.run(args, { program: example("web/main.ts"), env });
      const { code, stderr } = await process.ended();
      const told = stderr.replaceAll(OCCASIONAL, "");
      return { code, stderr: told.replaceAll(/^\S+ error \S+ /gm, "") };
    };
    const { code, stderr } = await start(database.url);
    assertEquals(code, 78, stderr);
    assertMatch(stderr, /^Cannot use .*: its schema is at step 0, .*; run "deno run .*" first\n$/);
    const refused = await start(database.url, { PGPASSWORD: "wrong" });
    assertEquals(refused.code, 78, refused.stderr);
    assertMatch(refused.stderr, /^Cannot use .*: password authentication failed .*\n$/);
    const wrong = await start(`${database.url}/nowhere`);
    assertEquals(wrong.code, 69, wrong.stderr);
    assertMatch(wrong.stderr, /^Cannot use .*: .*ENOENT.*; start PostgreSQL, or .*\n$/);
  });

  const master = await system.start();
  await t.step("curl has pages, JSON, a form, an upload, an event stream, and HTTPS", async (t) => {
    if (!hasProgram("curl")) return leaveOut(t, "without curl");
    const json = JSON.stringify({ author: "<i>", text: "by curl" });
    const added = await curl(`${url}/api/messages`, "--json", json);
    assertEquals(added, '{"id":1}');
    const form = ["-F", "author=form", "-F", "text=a file", "-F", `file=@${certFile}`];
    assertEquals(await curl(`${url}/`, ...form, "-w", "%{http_code}"), "303");
    assertEquals(await curl(`${url}/files/2`), Deno.readTextFileSync(certFile));
    const page = await curl(url);
    assertStringIncludes(page, "<b>&lt;i&gt;</b>");
    assertStringIncludes(page, '<a href="/files/2">web.crt</a>');
    const [first] = JSON.parse(await curl(`${url}/api/messages`));
    assertEquals([first.id, first.author, first.text], [1, "<i>", "by curl"]);
    const overTls = ["--cacert", certFile, "-w", "\n%{http_version} %{http_code}"];
    const health = await curl(`https://localhost:${secure}/api/health`, ...overTls);
    assertEquals(health, '{"ok":true}\n2 200');
    const big = site.dir.write("big", "x".repeat(6_000_000));
    const tooMuch = ["-F", "author=a", "-F", "text=b", "-F", `file=@${big}`];
    const refused = await curl(`${url}/api/messages`, ...tooMuch, "-w", " %{http_code}");
    assertEquals(refused, '{"error":"expected 5242880 bytes at most"} 413');
    const wrong = await curl(`${url}/api/messages`, "--json", "{", "-w", " %{http_code}");
    assertEquals(wrong, '{"error":"Cannot read the message, expected a JSON object"} 400');
    const none = await curl(`${url}/api/messages`, "--json", "null", "-w", " %{http_code}");
    assertEquals(none, wrong);
  });

  await t.step("a WebSocket answers what is no message, and goes on", async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${web}/live?after=0`);
    const key = crypto.randomUUID(), answers: { answered?: string; error?: string }[] = [];
    socket.onopen = () => {
      const message = JSON.stringify({ key, author: "socket", text: "by WebSocket" });
      for (const text of ["null", "{", message]) socket.send(text);
    };
    socket.onmessage = ({ data }) => answers.push(JSON.parse(data));
    await eventually(() => answers.some(({ answered }) => answered === key), { what: "an answer" });
    const errors = answers.flatMap(({ error }) => error ?? []);
    assertEquals(errors, Array(2).fill("Cannot read the message, expected a JSON object"));
    const closed = Promise.withResolvers<void>();
    socket.onclose = () => closed.resolve();
    socket.close();
    await within(closed.promise, { what: "the end of the WebSocket" });
  });

  // Without a browser the rest is tested all the same.
  const { Browser, hasBrowser } = await import("../support/browser.ts");
  await using browser = hasBrowser() ? new Browser() : undefined;
  await t.step("a message of one tab of a browser appears in another", async (t) => {
    if (browser === undefined) return leaveOut(t, "without a browser");
    await browser.run(async ({ page, arg }) => {
      const wall = await page.context().newPage();
      await page.goto(arg);
      await wall.goto(`${arg}/wall`);
      for (const tab of [page, wall]) await tab.evaluate("globalThis.isFirst = true");
    }, url);
    await browser.run(postInOneTab, "before the reload");
  });

  await using clients = new WebClients(web);
  let before = await clients.haveMore();
  await t.step("a reload loses nothing: WebSockets get 1001, and event streams end", async () => {
    const old = master.servers().map(({ pid }) => pid);
    await master.reload();
    await haveProcesses(master, old);
    const after = await clients.haveMore();
    assertEquals(after.lost, [], master.log);
    const sockets = endsSince(before, after, "WebSocket"),
      streams = endsSince(before, after, "SSE");
    assertEquals(sockets.map(({ how }) => how), sockets.map(() => 1001));
    assertEquals(streams.map(({ how }) => how), streams.map(() => "end"));
    // Each of them at least once.
    assert(sockets.length >= 2 && streams.length >= 2, `${sockets.length} ${streams.length}`);
    before = after;
  });

  await t.step("the pages of the browser have connected again by themselves", async (t) => {
    if (browser === undefined) return leaveOut(t, "without a browser");
    await browser.run(postInOneTab, "after the reload");
    const areFirst = await browser.run(({ page }) =>
      Promise.all(page.context().pages().map((tab) => tab.evaluate("globalThis.isFirst")))
    );
    assertEquals(areFirst, [true, true]);
    assertEquals((await browser.run(({ seen }) => seen)).errors, []);
  });

  await t.step("a killed process takes its own connections with it, and no others", async () => {
    const { pid, ports } = await killOne(before);
    await haveProcesses(master, [pid]);
    const after = await clients.haveMore();
    const lost = after.lost.slice(before.lost.length);
    assertEquals(lost.filter(({ localPort }) => !ports.has(localPort)), [], master.log);
    const ends = [
      ...endsSince(before, after, "WebSocket"),
      ...endsSince(before, after, "SSE"),
    ];
    // One that has just been accepted knows no process yet.
    assertEquals(ends.filter(({ process }) => process !== undefined && process !== pid), []);
    assert(ends.some(({ process }) => process === pid));
    before = after;
  });

  await t.step(
    "requests are answered 503 while the database is away, and all goes on after that",
    async () => {
      const health = async () => {
        const response = await fetch(`${url}/api/health`);
        await response.body?.cancel();
        return response.status;
      };
      await database.stop();
      await eventually(async () => await health() === 503, { what: "a refusal" });
      await database.start();
      await eventually(async () => await health() === 200, { what: "the database" });
      const after = await clients.haveMore();
      const lost = after.lost.slice(before.lost.length).map(({ error }) => error);
      assertEquals(lost.filter((error) => !error.includes(": 503 ")), [], master.log);
      // Nobody is sent away: their processes have in memory what these followers have not seen.
      const ends = (["WebSocket", "SSE"] as const)
        .flatMap((kind) => endsSince(before, after, kind));
      assertEquals(ends, []);
      const told = master.logged(/Cannot reach the database: .*503 until it is back/);
      assert(told > 0 && told <= COUNT, master.log);
      before = after;
    },
  );

  await t.step("everybody has seen every message, once and in order", async () => {
    const { followers, posted } = await clients.finish();
    const all = (await database.query("select id from message order by id")).split("\n").map(
      Number,
    );
    assertEquals(posted.filter((id) => !all.includes(id)), []);
    for (const { ids } of followers) assertEquals(ids, all.slice(0, ids.length));
    const keys = await database.query("select count(*) - count(distinct key) from message");
    assertEquals(keys, "0");
  });

  await master.stop();
  const open = await database.query(
    "select count(*) from pg_stat_activity where application_name = 'postgres.js'",
  );
  assertEquals(open, "0", "connections are left");
});
