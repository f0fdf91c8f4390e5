import { assert, assertEquals } from "@std/assert";
import { Client, greeted, type Target } from "../support/client.ts";
import { example, type Master, MODES, Site } from "../support/master.ts";
import { eventually } from "../support/wait.ts";

/** How often the master is reloaded; more for a longer run. */
const RELOADS = Number(Deno.env.get("ZC_TEST_RELOADS") ?? 5);
/** The same for HTTP, where an old process always takes its time to end. */
const HTTP_RELOADS = Math.ceil(RELOADS / 3);
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

/** Reloads again and again while clients connect without a pause; not one of them may fail. */
async function reloadUnderLoad(
  master: Master,
  { exchange, reloads = RELOADS }: { readonly exchange: Exchange; readonly reloads?: number },
): Promise<void> {
  let done = 0, failed = 0, running = true;
  const errors = new Set<string>();
  const client = async () => {
    while (running) {
      try {
        await exchange();
        done++;
      } catch (error) {
        failed++;
        errors.add(String(error));
      }
    }
  };
  const clients = Array.from({ length: CLIENTS }, client);
  try {
    for (let count = 0; count < reloads; count++) {
      const old = master.servers().map(({ pid }) => pid);
      const before = done + failed;
      await master.reload();
      await master.reaps(old);
      await eventually(() => done + failed > before, { what: "an exchange" });
    }
  } finally {
    running = false;
    await Promise.all(clients);
  }
  assertEquals([...errors], [], `${failed} of ${done + failed} exchanges failed`);
}

for (const mode of MODES) {
  Deno.test(`${mode} mode: no connection is lost in ${RELOADS} reloads`, async () => {
    await using site = new Site();
    const port = site.port();
    site.serve("a.cf", { mode, service: port });
    const master = await site.start();
    await reloadUnderLoad(master, { exchange: () => echo(port) });
    await master.stop();
  });
}

for (const mode of MODES) {
  Deno.test(`${mode} mode: connections that come along with the soft stop are served by somebody`, async () => {
    await using site = new Site();
    const port = site.port();
    const change = async (count: number) => {
      site.serve("a.cf", { mode, service: port, "server-proc-count": count });
      await master.reload();
    };
    site.serve("a.cf", { mode, service: port });
    const master = await site.start();
    for (let round = 0; round < ROUNDS; round++) {
      const [pid] = await master.serving("a.cf", 1);
      // While it is stopped, connections and the soft stop gather before it.
      Deno.kill(pid, "SIGSTOP");
      const clients = await Promise.all(Array.from({ length: CROWD }, () => Client.connect(port)));
      await change(0);
      const served = Promise.all(clients.map(async (client) => {
        await client.line();
        assertEquals(await client.ask("quit"), "bye");
        client.close();
      }));
      Deno.kill(pid, "SIGCONT");
      await master.reaps(pid);
      await change(1);
      await served;
    }
    await master.stop();
  });
}

Deno.test(`HTTP: no connection is lost in ${HTTP_RELOADS} reloads`, async () => {
  await using site = new Site();
  const port = site.port();
  site.write("http.cf", {
    "server-command": example("http_server.ts"),
    "server-service": `127.0.0.1:${port}`,
  });
  const master = await site.start();
  await reloadUnderLoad(master, { exchange: () => hello(port), reloads: HTTP_RELOADS });
  await master.stop();
});
