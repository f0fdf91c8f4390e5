import { assert, assertEquals } from "@std/assert";
import { greeted } from "../support/client.ts";
import { example, MODES, pidIn, Site } from "../support/master.ts";
import { eventually, PATIENCE_MS, within } from "../support/wait.ts";

const LIMIT = 20, CLIENTS = 4;
/** Of two places: each has been filled anew, and one of them again. */
const PROCESSES = 5;

/**
 * Connects again and again, each time to be served, until so many processes have; not one of the
 * connections may fail.
 */
async function connectOften(exchange: () => Promise<number>): Promise<void> {
  const pids = new Set<number>();
  const client = async () => {
    while (pids.size < PROCESSES) pids.add(await exchange());
  };
  const clients = Promise.all(Array.from({ length: CLIENTS }, client));
  const what = () => `${PROCESSES} processes, not ${pids.size}`;
  await within(clients, { what, withinMs: 3 * PATIENCE_MS });
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
  await Promise.all([
    connectOften(() => echo(ports.coroutine)),
    connectOften(() => echo(ports.aio)),
    connectOften(() => hello(ports.http)),
  ]);
  const spent = /process \d+ is to be replaced: reached server-max-connections/;
  assert(master.logged(spent) >= 3 * (PROCESSES - 2));
  for (const name of ["coroutine", "aio", "http"]) {
    await eventually(() => master.servers(`${name}.cf`).length === 2, { what: `two of ${name}` });
  }
  assertEquals(master.logged(/ended after|FAILED|error/), 0);
  await master.stop();
});

Deno.test("a process that is old, or uses too much memory for ten seconds, is replaced before it stops", async () => {
  await using site = new Site();
  const [port, heavyPort] = [site.port(), site.port()];
  site.serve("old.cf", { mode: "coroutine", service: port, "server-max-age": "3" });
  site.serve("heavy.cf", { mode: "aio", service: heavyPort, "server-max-memory": "150m" });
  const master = await site.start();
  using heavy = await greeted(heavyPort);
  const startedAt = performance.now();
  assertEquals(await heavy.ask("hold 200"), "held");

  using kept = await greeted(port);
  const old = pidIn(kept);
  await eventually(async () => await echo(port) !== old, { what: "another process" });
  await master.logs(new RegExp(`softstop of process ${old}`));
  // The one that was ready first, since the next one may be old already, too.
  const [before] = master.log.split(`softstop of process ${old}`);
  const ready = [...before.matchAll(/old\.cf: ready is process (\d+)/g)].map(([, pid]) =>
    Number(pid)
  );
  assert(ready.length > 1 && ready.at(-1) !== old, master.log);
  assertEquals(await kept.ask("echo still served"), "still served");
  await kept.write("quit\n");
  await master.logs(new RegExp(`reaped process ${old}, which was draining`));

  await eventually(
    () => /is to be replaced: exceeded server-max-memory with \d+ MB/.exec(master.log) ?? undefined,
    { what: "the end of patience" },
  );
  assert(performance.now() - startedAt > 9_000, "a spike was enough");
  await master.logs(new RegExp(`softstop of process ${pidIn(heavy)}`));
  // It may accept one more until the message has reached it.
  await eventually(async () => {
    using instead = await greeted(heavyPort);
    return pidIn(instead) !== pidIn(heavy);
  }, { what: "a client of another process" });
  assertEquals(await heavy.ask("echo still here"), "still here");
  heavy.close();
  await master.stop();
});
