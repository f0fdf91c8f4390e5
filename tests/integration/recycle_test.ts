import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { greeted } from "../support/client.ts";
import { example, MODES, pidIn, Site } from "../support/master.ts";
import { eventually } from "../support/wait.ts";

const CONNECTIONS = 120, LIMIT = 20, CLIENTS = 4;

/** Connects again and again, each time to be served; not one of the connections may fail. */
async function connectOften(exchange: () => Promise<number>): Promise<Set<number>> {
  const pids = new Set<number>();
  let left = CONNECTIONS;
  const client = async () => {
    while (left-- > 0) pids.add(await exchange());
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return pids;
}

async function echo(port: number): Promise<number> {
  using client = await greeted(port);
  assertEquals(await client.ask("echo once"), "once");
  assertEquals(await client.ask("quit"), "bye");
  assertEquals(await client.ending(), "end of file");
  return pidIn(client);
}

async function hello(port: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" } });
  return Number(/process (\d+)/.exec(await response.text())?.[1]);
}

Deno.test("a process that has had its connections is replaced, and none of its connections is lost", async () => {
  await using site = new Site();
  const ports = { coroutine: site.port(), aio: site.port(), http: site.port() };
  const settings = { "server-max-connections": LIMIT, "server-proc-count": 2 };
  for (const mode of MODES) {
    site.serve(`${mode}.cf`, { mode, service: ports[mode], ...settings });
  }
  site.write("http.cf", {
    "server-command": example("http_server.ts"),
    "server-service": `127.0.0.1:${ports.http}`,
    ...settings,
  });
  const master = await site.start();
  const served = await Promise.all([
    connectOften(() => echo(ports.coroutine)),
    connectOften(() => echo(ports.aio)),
    connectOften(() => hello(ports.http)),
  ]);
  // While a successor starts, its predecessor goes on beyond its limit.
  for (const pids of served) assert(pids.size > 2, `${pids.size} processes`);
  const spent = /process \d+ is to be replaced: it has accepted all of its connections/;
  assert(master.logged(spent) >= served.length);
  for (const name of ["coroutine", "aio", "http"]) {
    await eventually(() => master.servers(`${name}.cf`).length === 2, { what: `two of ${name}` });
  }
  assertEquals(master.logged(/ended after|FAILED|error/), 0);
  await master.stop();
});

Deno.test("a process that is old is replaced before it stops, and finishes what it has", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port, "server-max-age": "2" });
  const master = await site.start();
  using kept = await greeted(port);
  const old = pidIn(kept);
  let next = old;
  await eventually(async () => (next = await echo(port)) !== old, { what: "another process" });
  assert(master.log.includes(`softstop of process ${old}`));
  assert(
    master.log.indexOf(`ready is process ${next}`) < master.log.indexOf(`softstop of process`),
  );
  assertEquals(await kept.ask("echo still served"), "still served");
  await kept.write("quit\n");
  await master.logs(new RegExp(`reaped process ${old}, which was draining`));
  await master.stop();
});

Deno.test("a process that uses too much memory for ten seconds is replaced", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "aio", service: port, "server-max-memory": "150m" });
  const master = await site.start();
  using client = await greeted(port);
  const startedAt = performance.now();
  assertEquals(await client.ask("hold 200"), "held");
  await eventually(() => /is to be replaced: it uses \d+ MB/.exec(master.log) ?? undefined, {
    what: "the end of patience",
    withinMs: 30_000,
  });
  assert(performance.now() - startedAt > 9_000, "a spike was enough");
  await master.logs(new RegExp(`softstop of process ${pidIn(client)}`));
  using next = await greeted(port);
  assertNotEquals(pidIn(next), pidIn(client));
  assertEquals(await client.ask("echo still here"), "still here");
  next.close();
  client.close();
  await master.stop();
});
