import { assert, assertEquals, assertMatch } from "@std/assert";
import { mayChangeRoot } from "../../src/os/user/credentials.ts";
import { Client, greeted } from "../support/client.ts";
import { id, statusLine } from "../support/credentials.ts";
import { answering, example, type Master, MODES, pidIn, Site } from "../support/master.ts";
import { gone } from "../support/peers.ts";
import { descriptorsOf, listenerInode, suspend, tcpSockets } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

/** An hour, which no standby is to wait for. */
const LONG = 3_600;

/** Waits until a service has so many standbys that have loaded, and no other process on its way. */
async function standbysOf(master: Master, file: string, count = 1): Promise<number[]> {
  return await eventually(() => {
    const pids = master.servers(file).map(({ pid }) => pid);
    const has = (pid: number, what: string) => master.log.includes(`${what} ${pid}\n`);
    const registered = (pid: number) => master.log.includes(`[${pid}] serviceRegister`);
    const standbys = pids.filter((pid) =>
      has(pid, `${file}: loaded is process`) && !registered(pid)
    );
    const isCalm = pids.every((pid) => standbys.includes(pid) || registered(pid));
    return isCalm && standbys.length === count && standbys;
  }, { what: `${count} standbys of ${file}` });
}

Deno.test("both modes: a standby has loaded before it is needed, holds no listener, and follows a process that is killed", async () => {
  await using site = new Site();
  const services = MODES.map((mode) => {
    const file = `${mode}.cf`, port = site.port(), path = site.socket(mode);
    const service = `127.0.0.1:${port},${path}`;
    site.serve(file, { mode, service, own: "value", "server-standby-count": 1 });
    return { file, port, path };
  });
  const master = await site.start();
  await Promise.all(services.map(async ({ file, port, path }) => {
    let serving = await answering(port);
    for (let round = 0; round < 2; round++) {
      const [standby] = await standbysOf(master, file);
      await master.logs(new RegExp(`\\[${standby}\\] beforeService with value`));
      const held = [...descriptorsOf(standby).values()];
      const listeners = [port, path].map((target) => `socket:[${listenerInode(target)}]`);
      listeners.push(
        ...tcpSockets().flatMap(({ inode, listens }) => listens ? [`socket:[${inode}]`] : []),
      );
      assertEquals(held.filter((target) => listeners.includes(target)), [], file);
      Deno.kill(serving, "SIGKILL");
      const clients = await Promise.all([port, path, port, port].map(greeted));
      assertEquals(clients.map(pidIn), clients.map(() => standby), file);
      // Its line may come later than its greetings; until then it would pass for a standby.
      await master.logs(new RegExp(`\\[${standby}\\] serviceRegister`));
      for (const client of clients) {
        assertEquals(await client.ask("echo served"), "served");
        client.close();
      }
      serving = standby;
    }
    await standbysOf(master, file);
    const loads = new RegExp(`${file.replace(".cf", "")}\\[\\d+\\] beforeService`);
    assertEquals(master.logged(loads), 4, `each process of ${file} loads once`);
  }));
  await master.stop();
});

Deno.test("both modes: a reload replaces standbys by those of the new settings, and none of them outlives a killed master", async () => {
  await using site = new Site();
  const services = MODES.map((mode) => ({ mode, file: `${mode}.cf`, port: site.port() }));
  const write = (own: string) => {
    for (const { mode, file, port } of services) {
      site.serve(file, { mode, service: port, "server-standby-count": 2, own });
    }
  };
  write("old");
  const master = await site.start();
  await Promise.all(services.map(({ file }) => standbysOf(master, file, 2)));
  const old = master.servers().map(({ pid }) => pid);
  write("new");
  await master.reload();
  await master.reaps(old);
  await Promise.all(services.map(async ({ file, port }) => {
    const young = await standbysOf(master, file, 2);
    using before = await greeted(port);
    Deno.kill(pidIn(before), "SIGKILL");
    using after = await greeted(port);
    assert(young.includes(pidIn(after)), file);
    assertEquals(await after.ask("setting own"), "new", file);
    await standbysOf(master, file, 2);
  }));
  master.process.signal("SIGKILL");
  await site.isGone();
});

Deno.test("both modes: standbys end at once and without beforeSoftstop, whoever tells them to", async () => {
  await using site = new Site();
  const services = MODES.map((mode) => {
    const settings = {
      mode,
      args: ["--before-softstop"],
      "server-stop-on-softstop-after": LONG,
      "server-standby-count": 1,
    };
    const file = `${mode}.cf`, removed = `${mode}_removed.cf`;
    site.serve(file, { ...settings, service: site.port() });
    site.serve(removed, { ...settings, service: site.port() });
    return { file, removed };
  });
  const master = await site.start();
  const ended = await Promise.all(services.map(async ({ file, removed }) => {
    const [first] = await standbysOf(master, file);
    Deno.kill(first, "SIGTERM");
    await master.logs(
      new RegExp(`process ${first}, a standby, ended after \\S+ \\S+: exit code 0`),
    );
    return {
      first,
      second: await standbysOf(master, file),
      other: await standbysOf(master, removed),
    };
  }));
  for (const { removed } of services) site.remove(removed);
  await master.reload();
  // Those of the old version go with it, be there a new one or not.
  const old = ended.flatMap(({ second, other }) => [...second, ...other]);
  for (const pid of old) {
    await master.logs(new RegExp(`reaped process ${pid}, which was draining`));
  }
  const last = await Promise.all(services.map(({ file }) => standbysOf(master, file)));
  // Servers would take their hour.
  master.signal("SIGTERM");
  for (const pid of last.flat()) {
    await master.logs(new RegExp(`reaped process ${pid}, which was draining`));
  }
  for (const pid of [...ended.map(({ first }) => first), ...old, ...last.flat()]) {
    assert(!master.log.includes(`[${pid}] beforeSoftstop`), master.log);
  }
  master.signal("SIGTERM");
  await master.stopped();
});

Deno.test("a standby that is killed is replaced, and the server goes on; killed along with the server it makes nobody wait any longer", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", {
    mode: "coroutine",
    service: port,
    "server-standby-count": 1,
    "server-healthy-after": "0",
  });
  const master = await site.start();
  using client = await greeted(port);
  const [standby] = await standbysOf(master, "a.cf");
  Deno.kill(standby, "SIGKILL");
  await master.logs(
    new RegExp(`process ${standby}, a standby, ended after \\S+ \\S+: signal SIGKILL`),
  );
  assert((await standbysOf(master, "a.cf"))[0] !== standby);
  assertEquals(await client.ask("echo still here"), "still here");
  client.close();
  for (let round = 0; round < 2; round++) {
    const [standby] = await standbysOf(master, "a.cf");
    using client = await greeted(port);
    for (const pid of [pidIn(client), standby]) Deno.kill(pid, "SIGKILL");
    using next = await greeted(port);
    assert(![standby, pidIn(client)].includes(pidIn(next)));
  }
  assertEquals(
    master.logged(/a\.cf: process \d+ ended .*; the next one is started in/),
    0,
    master.log,
  );
  await master.stop();
});

Deno.test("a standby that hangs is found and replaced", async () => {
  await using site = new Site();
  site.serve("a.cf", {
    mode: "coroutine",
    service: site.port(),
    "server-watchdog": "1",
    "server-standby-count": 1,
  });
  const master = await site.start();
  const [standby] = await standbysOf(master, "a.cf");
  Deno.kill(standby, "SIGSTOP");
  await master.logs(new RegExp(`process ${standby} hangs`));
  await master.reaps(standby);
  await standbysOf(master, "a.cf");
  await master.stop();
});

Deno.test("a program whose standbys can't load is started ever more rarely for them, and serves", async () => {
  await using site = new Site();
  const port = site.port(), flag = site.dir.file("flag");
  site.serve("a.cf", {
    mode: "coroutine",
    service: port,
    "ready-when": flag,
    // A busy machine takes longer than a second to start a process.
    "server-ready-timeout": "5",
    "server-standby-count": 1,
    "server-backoff-max": "5",
  });
  Deno.writeTextFileSync(flag, "");
  const master = await site.start();
  using client = await greeted(port);
  const [standby] = await standbysOf(master, "a.cf");
  Deno.removeSync(flag);
  Deno.kill(standby, "SIGKILL");
  await master.logs(/a\.cf: process \d+, a standby, has not loaded within/, 2);
  await master.logs(/a\.cf: standbys end early; the next one is in \S+ \S+/);
  assertEquals(await client.ask("echo still here"), "still here");
  assertEquals(master.logged(/FAILED/), 0);
  Deno.writeTextFileSync(flag, "");
  await standbysOf(master, "a.cf");
  client.close();
  await master.stop();
});

Deno.test("a service that sleeps is woken up by a standby", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", {
    mode: "aio",
    service: port,
    "server-idle-exit": "1",
    "server-standby-count": 1,
  });
  const master = await site.start();
  const [standby] = await standbysOf(master, "a.cf");
  await eventually(() => master.servers("a.cf").length === 1, { what: "the sleep of a.cf" });
  using client = await greeted(port);
  assertEquals(pidIn(client), standby);
  client.close();
  await master.stop();
});

Deno.test("a standby takes over the queue of a killed process with server-balance = reuseport, and answers HTTP, on sockets that its master has opened or has got by an upgrade", async () => {
  await using site = new Site();
  const port = site.port(), http = site.port();
  site.serve("a.cf", {
    mode: "coroutine",
    service: port,
    "server-balance": "reuseport",
    "server-proc-count": 2,
    "server-standby-count": 1,
  });
  site.write("http.cf", {
    "server-command": example("http_server.ts"),
    "server-service": `127.0.0.1:${http}`,
    "server-standby-count": 1,
  });
  const master = await site.start();
  /** The standby of the HTTP server, the so manieth one from the first master on. */
  const standbyOfHttp = async (count: number) =>
    Number((await master.logs(/http\.cf: loaded is process (\d+)/, count))[1]);
  const takesOver = async (standbyHttp: number) => {
    const [standby] = await standbysOf(master, "a.cf");
    const [killed] = master.servers("a.cf").map(({ pid }) => pid).filter((pid) => pid !== standby);
    // Once the master knows that it has ended, its slot gets no connection until the standby serves it.
    await suspend(killed);
    const clients = await Promise.all(Array.from({ length: 32 }, () => Client.connect(port)));
    Deno.kill(killed, "SIGKILL");
    const pids = new Set<number>();
    for (const client of clients) {
      pids.add(pidIn({ greeting: await client.line() }));
      client.close();
    }
    assert(!pids.has(killed) && pids.has(standby) && pids.size === 2, `${[...pids]}`);

    const [serving] = master.servers("http.cf").map(({ pid }) => pid)
      .filter((pid) => pid !== standbyHttp);
    Deno.kill(serving, "SIGKILL");
    const response = await fetch(`http://127.0.0.1:${http}/`, { headers: { connection: "close" } });
    assertEquals(response.status, 200);
    await response.body?.cancel();
    await master.logs(new RegExp(`ready is process ${standbyHttp}`));
  };
  await takesOver(await standbyOfHttp(1));

  await Promise.all([standbysOf(master, "a.cf"), standbyOfHttp(2)]);
  const old = master.servers().map(({ pid }) => pid);
  await master.upgrade();
  // Until then they have the same sockets, and may accept.
  for (const pid of old) await gone(pid);
  await takesOver(await standbyOfHttp(3));
  await master.stop();
});

Deno.test("server-user and server-chroot are in force while a standby waits", async () => {
  await using site = new Site();
  const port = site.port(), jail = site.dir.file("jail"), user = "nobody";
  Deno.mkdirSync(jail);
  site.serve("a.cf", {
    mode: "coroutine",
    service: port,
    "server-user": user,
    "server-chroot": jail,
    "server-standby-count": 1,
  });
  if (!mayChangeRoot()) return assertMatch(await site.refusal(), /server-user: .*as root/);
  const master = await site.start();
  const serving = await answering(port);
  const [standby] = await standbysOf(master, "a.cf");
  assertEquals(statusLine(standby, "Uid"), Array(4).fill(id("-u", user)).join(" "));
  assertEquals(Deno.readLinkSync(`/proc/${standby}/root`), jail);
  Deno.kill(serving, "SIGKILL");
  using client = await greeted(port);
  assertEquals(pidIn(client), standby);
  client.close();
  await master.stop();
});

Deno.test("server-standby-count is of no use to a server without --allow-ffi, which is told", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", {
    mode: "coroutine",
    service: port,
    "server-permissions": "none",
    "server-standby-count": 1,
  });
  const master = await site.start();
  await master.logs(
    /a\.cf:\d+: server-standby-count: Cannot use "server-standby-count": .*--allow-ffi/,
  );
  using client = await greeted(port);
  client.close();
  assertEquals(await master.serving("a.cf", 1), [pidIn(client)]);
  await master.stop();
});
