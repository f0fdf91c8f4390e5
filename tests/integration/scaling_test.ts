import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { Client, greeted } from "../support/client.ts";
import { example, type Master, MODES, pidIn, Site } from "../support/master.ts";
import { serveSmall } from "../support/peers.ts";
import { eventually } from "../support/wait.ts";

/** Waits until nothing runs of a service. */
async function sleeps(master: Master, file: string): Promise<void> {
  await eventually(() => master.servers(file).length === 0, { what: `the sleep of ${file}` });
}

Deno.test("SIGTTIN and SIGTTOU add and remove a process of each service, until a reload", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port, "server-proc-count": 1 });
  serveSmall(site, "b.cf", site.port(), { "server-proc-count": 1 });
  const master = await site.start();
  const [first] = await master.serving("a.cf", 1);
  await master.serving("b.cf", 1);
  using kept = await greeted(port);
  master.signal("SIGTTIN");
  assert((await master.serving("a.cf", 2)).includes(first));
  await master.serving("b.cf", 2);
  master.signal("SIGTTIN");
  await master.serving("a.cf", 3);
  await master.serving("b.cf", 3);
  master.signal("SIGTTOU");
  await eventually(() => master.servers("b.cf").length === 2, { what: "two processes" });
  await master.logs(/a\.cf: 2 processes from now on/, 2);
  // The oldest one finishes what it has.
  assertEquals(await kept.ask("echo still here"), "still here");
  kept.close();
  await eventually(() => master.servers("a.cf").length === 2, { what: "two processes" });
  await master.reload();
  await eventually(() => master.servers().length === 2, { what: "the configured processes" });
  await master.serving("a.cf", 1);
  await master.serving("b.cf", 1);
  await master.stop();
});

Deno.test("processes that nobody uses end, and what waits on any address starts one", async () => {
  await using site = new Site();
  const services = MODES.map((mode) => {
    const file = `${mode}.cf`;
    const [port, socket, pipe] = [site.port(), site.socket(mode), site.dir.file(`${mode}-fifo`)];
    site.serve(file, {
      mode,
      service: `127.0.0.1:${port} local:${socket} fifo:${pipe}`,
      "server-proc-count": 2,
      "server-idle-exit": "1",
    });
    return { mode, file, port, socket, pipe };
  });
  const master = await site.start();
  const wake = async ({ mode, file, port, socket, pipe }: (typeof services)[number]) => {
    await sleeps(master, file);
    const pids = new Set<number>();
    for (const target of [port, socket]) {
      using client = await greeted(target);
      pids.add(pidIn(client));
      assertEquals(await client.ask("echo awake"), "awake");
      client.close();
      await sleeps(master, file);
    }
    assertEquals(pids.size, 2);
    Deno.writeTextFileSync(pipe, `${mode} as well\n`);
    await master.logs(new RegExp(`from the fifo: ${mode} as well`));
    await sleeps(master, file);
    // Many at once are served, too.
    const clients = await Promise.all(Array.from({ length: 20 }, () => greeted(port)));
    for (const client of clients) {
      assertEquals(await client.ask("quit"), "bye");
      client.close();
    }
  };
  await Promise.all(services.map(wake));
  assertEquals(master.logged(/ended after|FAILED/), 0);
  await master.stop();
});

Deno.test("a process with a connection stays for as long as that, however quiet it is", async () => {
  await using site = new Site();
  const ports = MODES.map(() => site.port());
  for (const [index, mode] of MODES.entries()) {
    site.serve(`${mode}.cf`, {
      mode,
      service: ports[index],
      "server-proc-count": 2,
      "server-idle-exit": "1",
      "server-proc-min": "1",
    });
  }
  const master = await site.start();
  const clients = await Promise.all(ports.map((port) => greeted(port)));
  for (const [index, mode] of MODES.entries()) {
    const client = clients[index];
    // Its sibling ends; with proc-min = 1 that is all.
    await eventually(() => master.servers(`${mode}.cf`).length === 1, { what: "the last one" });
    assertEquals(await client.ask("echo still here"), "still here");
    assertEquals(master.servers(`${mode}.cf`).map(({ pid }) => pid), [pidIn(client)]);
    client.close();
  }
  const [port] = ports;
  await master.logs(/coroutine\.cf: process \d+ is idle/, 2);
  // It is the last one, and stays; when it is in use again, another one comes.
  using again = await greeted(port);
  assertEquals(pidIn(again), pidIn(clients[0]));
  await master.serving("coroutine.cf", 2);
  again.close();
  await master.stop();
});

Deno.test("a server that sleeps wakes up for a client who is gone again, and for an HTTP request", async () => {
  await using site = new Site();
  const [port, httpPort] = [site.port(), site.port()];
  site.serve("a.cf", { mode: "coroutine", service: port, "server-idle-exit": "1" });
  site.write("http.cf", {
    "server-command": example("http_server.ts"),
    "server-service": `127.0.0.1:${httpPort}`,
    "server-idle-exit": "1",
  });
  const master = await site.start();
  const hello = async () => {
    const response = await fetch(`http://127.0.0.1:${httpPort}/`, {
      headers: { connection: "close" },
    });
    return Number(/process (\d+)/.exec(await response.text())?.[1]);
  };
  const first = await hello();
  await sleeps(master, "http.cf");
  assertNotEquals(await hello(), first);
  await sleeps(master, "a.cf");
  (await Client.connect(port)).close();
  await master.logs(/a\.cf: ready is process/, 2);
  await sleeps(master, "a.cf");
  using client = await greeted(port);
  assertEquals(await client.ask("echo here"), "here");
  client.close();
  await master.stop();
});
