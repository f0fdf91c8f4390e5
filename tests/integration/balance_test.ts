import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { greeted } from "../support/client.ts";
import { type Master, type ModeName, MODES, pidIn, Site } from "../support/master.ts";
import { descriptorsOf, tcpSockets } from "../support/proc.ts";
import { Storm } from "../support/storm.ts";
import { eventually } from "../support/wait.ts";

/** Enough connections that each of a few processes gets one of them. */
const CROWD = 40;

interface Service {
  readonly mode?: ModeName;
  readonly count: number;
  readonly balance?: string;
}

function serve(site: Site, port: number, { mode, count, balance = "reuseport" }: Service): void {
  site.serve("a.cf", {
    mode: mode ?? "coroutine",
    service: port,
    "server-proc-count": count,
    "server-balance": balance,
  });
}

/** The inodes of the listeners of a port. */
function listeners(port: number): number[] {
  return tcpSockets().filter(({ localPort, listens }) => listens && localPort === port)
    .map(({ inode }) => inode).sort();
}

/** The inodes of those that a process has. */
function listenersOf(pid: number, port: number): number[] {
  const own = new Set(descriptorsOf(pid).values());
  return listeners(port).filter((inode) => own.has(`socket:[${inode}]`));
}

/** The inode of each process, as soon as each has one of its own. */
async function slots(master: Master, { port, count }: { port: number; count: number }) {
  const pids = await master.serving("a.cf", count);
  const found = pids.flatMap((pid) => listenersOf(pid, port));
  assertEquals(found.length, count, "a listener for each process");
  return found.sort();
}

/** Asks for another number of processes. */
async function change(
  master: Master,
  { site, port, ...service }: Service & { readonly site: Site; readonly port: number },
): Promise<void> {
  const old = master.servers("a.cf").map(({ pid }) => pid);
  serve(site, port, service);
  await master.reload();
  await master.reaps(old);
  await master.serving("a.cf", service.count);
}

for (const mode of MODES) {
  Deno.test(`${mode} mode: a successor has the socket of a killed process, and serves who waits there`, async () => {
    await using site = new Site();
    const port = site.port();
    serve(site, port, { mode, count: 3 });
    const master = await site.start();
    const before = await slots(master, { port, count: 3 });
    assertEquals(new Set(before).size, 3, "each has its own");
    const [victim] = master.servers("a.cf").map(({ pid }) => pid);
    const [socket] = listenersOf(victim, port);
    // It accepts no more, and the master takes it for well.
    Deno.kill(victim, "SIGSTOP");
    const clients = await Promise.all(
      Array.from({ length: CROWD }, () => Deno.connect({ hostname: "127.0.0.1", port })),
    );
    Deno.kill(victim, "SIGKILL");
    const greetings = await Promise.all(clients.map(async (conn) => {
      const room = new Uint8Array(64);
      const count = await conn.read(room) ?? 0;
      conn.close();
      return new TextDecoder().decode(room.subarray(0, count)).trim();
    }));
    const pids = greetings.map((greeting) => pidIn({ greeting }));
    const successor = master.servers("a.cf").find(({ pid }) =>
      listenersOf(pid, port).includes(socket)
    );
    assert(successor !== undefined, "somebody else has the socket");
    assert(!pids.includes(victim) && pids.includes(successor.pid), `${pids}`);
    assertEquals(await slots(master, { port, count: 3 }), before);
    await master.stop();
  });

  Deno.test(`${mode} mode: reloads and another number of processes lose nobody in a storm`, async () => {
    await using site = new Site();
    const port = site.port();
    serve(site, port, { mode, count: 3 });
    const master = await site.start();
    const three = await slots(master, { port, count: 3 });
    const storm = new Storm(port);
    await change(master, { site, port, mode, count: 3 });
    assertEquals(await slots(master, { port, count: 3 }), three, "a reload keeps the sockets");
    await change(master, { site, port, mode, count: 2 });
    const two = await slots(master, { port, count: 2 });
    await eventually(() => listeners(port).length === 2, { what: "the others to be closed" });
    assert(two.every((inode) => three.includes(inode)), "the first two stay");
    await change(master, { site, port, mode, count: 4 });
    const four = await slots(master, { port, count: 4 });
    assert(two.every((inode) => four.includes(inode)), "the first two stay");
    const soFar = storm.fate.served;
    await eventually(() => storm.fate.served > soFar + 200, { what: "clients of all four" });
    const { served, refused, reset, cut, shares } = await storm.end();
    assertEquals({ refused, reset, cut }, { refused: 0, reset: 0, cut: 0 }, `of ${served}`);
    for (const { pid } of master.servers("a.cf")) assert(shares.has(pid), `${pid} got nobody`);
    await master.stop();
  });
}

Deno.test("server-balance can be changed both ways in a storm", async () => {
  await using site = new Site();
  const port = site.port();
  serve(site, port, { count: 2, balance: "shared" });
  const master = await site.start();
  await master.serving("a.cf", 2);
  const [shared] = listeners(port);
  assertEquals(listeners(port), [shared]);
  const storm = new Storm(port);
  for (let round = 0; round < 2; round++) {
    await change(master, { site, port, count: 2 });
    const two = await slots(master, { port, count: 2 });
    assertEquals(new Set(two).size, 2);
    assert(two.includes(shared), "the first socket stays");
    await change(master, { site, port, count: 2, balance: "shared" });
    await eventually(() => listeners(port).length === 1, { what: "the others to be closed" });
    assertEquals(listeners(port), [shared]);
  }
  const { served, refused, reset, cut } = await storm.end();
  assertEquals({ refused, reset, cut }, { refused: 0, reset: 0, cut: 0 }, `of ${served}`);
  await master.stop();
});

Deno.test("a reload with more processes that fails leaves no socket behind, and loses nobody", async () => {
  await using site = new Site();
  const port = site.port();
  serve(site, port, { count: 2 });
  const master = await site.start();
  const two = await slots(master, { port, count: 2 });
  const storm = new Storm(port);
  site.serve("a.cf", {
    mode: "coroutine",
    service: port,
    "server-proc-count": 4,
    "server-balance": "reuseport",
    "server-soak": 30,
  });
  await master.reloadBegun();
  await eventually(() => listeners(port).length === 4, { what: "two more sockets" });
  const fresh = (await master.serving("a.cf", 6)).find((pid) =>
    !two.includes(listenersOf(pid, port)[0])
  );
  assert(fresh !== undefined, "no process has a new socket");
  Deno.kill(fresh, "SIGKILL");
  await master.logs(/reload over, rolled back for a\.cf/);
  await eventually(() => listeners(port).length === 2, { what: "the new sockets to be closed" });
  assertEquals(listeners(port), two);
  const { served, refused, reset, cut } = await storm.end();
  assertEquals({ refused, reset, cut }, { refused: 0, reset: 0, cut: 0 }, `of ${served}`);
  await master.stop();
});

Deno.test("an upgrade keeps every socket, also with another number of processes, and loses nobody", async () => {
  await using site = new Site();
  const port = site.port();
  serve(site, port, { count: 3 });
  const master = await site.start();
  const three = await slots(master, { port, count: 3 });
  const storm = new Storm(port);
  await master.upgrade();
  assertEquals(await slots(master, { port, count: 3 }), three);
  serve(site, port, { count: 2 });
  await master.upgrade();
  const two = await slots(master, { port, count: 2 });
  assert(two.every((inode) => three.includes(inode)));
  serve(site, port, { count: 4 });
  await master.upgrade();
  const four = await slots(master, { port, count: 4 });
  assert(three.every((inode) => four.includes(inode)), "the third is used again");
  const { served, refused, reset, cut } = await storm.end();
  assertEquals({ refused, reset, cut }, { refused: 0, reset: 0, cut: 0 }, `of ${served}`);
  await master.stop();
});

Deno.test("an address that somebody listens on is refused, whatever options both have", async () => {
  await using site = new Site();
  const port = site.port();
  serve(site, port, { count: 2 });
  const master = await site.start();
  await master.serving("a.cf", 2);
  await using other = new Site();
  serve(other, port, { count: 2 });
  const rival = other.run(["-C", other.conf, "-pid-file", other.pidFile]);
  await rival.complains(/address in use by process \d+ \("deno"\) \(bind: EADDRINUSE\)/);
  assertNotEquals((await rival.ended()).code, 0);
  (await greeted(port)).close();
  await master.stop();
});

Deno.test("unix sockets have one queue for all, with server-balance = reuseport, too", async () => {
  await using site = new Site();
  const path = site.socket("sock");
  site.serve("a.cf", {
    mode: "coroutine",
    service: path,
    "server-proc-count": 2,
    "server-balance": "reuseport",
  });
  const master = await site.start();
  await master.serving("a.cf", 2);
  (await greeted(path)).close();
  await master.stop();
});

Deno.test("a service that sleeps is woken up by whoever connects, with a socket for each process, too", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", {
    mode: "coroutine",
    service: port,
    "server-proc-count": 3,
    "server-balance": "reuseport",
    "server-idle-exit": "1",
  });
  const master = await site.start();
  for (let round = 0; round < 2; round++) {
    await eventually(() => master.servers("a.cf").length === 0, { what: "the service to sleep" });
    const clients = await Promise.all(Array.from({ length: 10 }, () => greeted(port)));
    for (const client of clients) {
      assertEquals(await client.ask("echo awake"), "awake");
      client.close();
    }
  }
  assertEquals(listeners(port).length, 3);
  await master.stop();
});
