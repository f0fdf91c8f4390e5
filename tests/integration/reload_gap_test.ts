import { assert, assertEquals } from "@std/assert";
import { Client, greeted, type Target } from "../support/client.ts";
import { example, type Master, MODES, Site } from "../support/master.ts";
import { eventually } from "../support/wait.ts";

/** How often the master is reloaded; more for a longer run. */
const RELOADS = Number(Deno.env.get("ZC_TEST_RELOADS") ?? 5);
const CLIENTS = 4;
const ROUNDS = 3;
const CROWD = 50;

/** One exchange on a connection of its own. */
type Exchange = () => Promise<void>;

async function echo(target: Target): Promise<void> {
  using client = await greeted(target);
  assertEquals(await client.ask("echo once"), "once");
  assertEquals(await client.ask("quit"), "bye");
  assertEquals(await client.ending(), "end of file");
}

async function hello(port: number): Promise<void> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  try {
    await conn.write(
      new TextEncoder().encode("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
    );
    const text = await new Response(conn.readable).text();
    assert(
      text.startsWith("HTTP/1.1 200 ") && text.includes("hello from process "),
      JSON.stringify(text),
    );
  } finally {
    try {
      conn.close();
    } catch {
      // Its stream has closed it.
    }
  }
}

/** A service under load, and what has become of its clients. */
interface Loaded {
  readonly file: string;
  readonly exchange: Exchange;
  done: number;
  failed: number;
  readonly errors: Set<string>;
}

/** Reloads again and again while clients of each service connect without a pause; not one of them may fail. */
async function reloadUnderLoad(
  master: Master,
  exchanges: Readonly<Record<string, Exchange>>,
): Promise<void> {
  const services = Object.entries(exchanges).map(([file, exchange]): Loaded => (
    { file, exchange, done: 0, failed: 0, errors: new Set() }
  ));
  let running = true;
  const client = async (service: Loaded) => {
    while (running) {
      try {
        await service.exchange();
        service.done++;
      } catch (error) {
        service.failed++;
        service.errors.add(String(error));
      }
    }
  };
  const clients = services.flatMap((service) =>
    Array.from({ length: CLIENTS }, () => client(service))
  );
  const ended = () => services.map(({ done, failed }) => done + failed);
  try {
    for (let count = 0; count < RELOADS; count++) {
      const old = master.servers().map(({ pid }) => pid), before = ended();
      await master.reload();
      await master.reaps(old);
      await eventually(() => ended().every((now, index) => now > before[index]), {
        what: "an exchange with each service",
      });
    }
  } finally {
    running = false;
    await Promise.all(clients);
  }
  for (const { file, done, failed, errors } of services) {
    assertEquals([...errors], [], `${failed} of ${done + failed} exchanges with ${file} failed`);
  }
}

Deno.test(`both modes and HTTP: no connection is lost in ${RELOADS} reloads`, async () => {
  await using site = new Site();
  const exchanges: Record<string, Exchange> = {};
  for (const mode of MODES) {
    const file = `${mode}.cf`, port = site.port();
    site.serve(file, { mode, service: port });
    exchanges[file] = () => echo(port);
  }
  const http = site.port();
  site.write("http.cf", {
    "server-command": example("http_server.ts"),
    "server-service": `127.0.0.1:${http}`,
  });
  exchanges["http.cf"] = () => hello(http);
  const master = await site.start();
  await reloadUnderLoad(master, exchanges);
  await master.stop();
});

Deno.test("both modes: connections that come along with the soft stop are served by somebody", async () => {
  await using site = new Site();
  const services = MODES.map((mode) => ({ mode, file: `${mode}.cf`, port: site.port() }));
  const write = (count: number) => {
    for (const { mode, file, port } of services) {
      site.serve(file, { mode, service: port, "server-proc-count": count });
    }
  };
  write(1);
  const master = await site.start();
  for (let round = 0; round < ROUNDS; round++) {
    const pids = await Promise.all(
      services.map(async ({ file }) => (await master.serving(file, 1))[0]),
    );
    // While they are stopped, connections and the soft stop gather before them.
    for (const pid of pids) Deno.kill(pid, "SIGSTOP");
    const clients = await Promise.all(
      services.flatMap(({ port }) => Array.from({ length: CROWD }, () => Client.connect(port))),
    );
    write(0);
    await master.reload();
    const served = Promise.all(clients.map(async (client) => {
      await client.line();
      assertEquals(await client.ask("quit"), "bye");
      client.close();
    }));
    for (const pid of pids) Deno.kill(pid, "SIGCONT");
    await master.reaps(pids);
    write(1);
    await master.reload();
    await served;
  }
  await master.stop();
});
