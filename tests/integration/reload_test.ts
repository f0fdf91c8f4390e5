import { assert, assertEquals } from "@std/assert";
import { Client, Clients, greeted, isRefused } from "../support/client.ts";
import { answering, MODES, pidIn, Site } from "../support/master.ts";
import { serveSmall } from "../support/peers.ts";
import { listenerInode } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

Deno.test("both modes: a connection that waits while nobody serves is answered after a reload, with the changed settings, own and shared ones", async () => {
  await using site = new Site();
  const services = MODES.map((mode) => {
    const file = `${mode}.cf`, port = site.port(), path = site.socket(mode);
    return { mode, file, port, targets: [port, path], service: `127.0.0.1:${port},${path}` };
  });
  site.write("all.gcf", { shared: "first", both: "shared" });
  for (const { mode, file, service } of services) {
    site.serve(file, { mode, service, "server-proc-count": 0 });
  }
  const settings = async ({ port }: typeof services[number], pid: number) => {
    using client = await greeted(port);
    assertEquals(pidIn(client), pid);
    return [
      await client.ask("setting shared"),
      await client.ask("setting own"),
      await client.ask("setting both"),
    ];
  };
  const master = await site.start();
  const waiting = await Promise.all(services.map(async ({ targets }) => ({
    inodes: targets.map(listenerInode),
    clients: await Promise.all(targets.map(Client.connect)),
  })));
  for (const { clients: [first] } of waiting) await first.write("echo patience\n");
  for (const { mode, file, service } of services) {
    site.serve(file, { mode, service, "server-proc-count": 1, own: "first", both: "own" });
  }
  await master.reload();
  const old = await Promise.all(services.map(async (service, index) => {
    const { mode, file, targets } = service, { inodes, clients: [first, second] } = waiting[index];
    const [pid] = await master.serving(file, 1);
    assertEquals(await first.line(), `${mode} ${pid} - inet`);
    assertEquals(await first.line(), "patience");
    assertEquals(await second.line(), `${mode} ${pid} - unix`);
    assertEquals(targets.map(listenerInode), inodes, file);
    first.close(), second.close();
    assertEquals(await settings(service, pid), ["first", "first", "own"], file);
    return pid;
  }));
  site.write("all.gcf", { shared: "second", both: "shared" });
  for (const { mode, file, service } of services) {
    site.serve(file, { mode, service, own: "second" });
  }
  await master.reload();
  await master.reaps(old);
  for (const service of services) {
    const [pid] = await master.serving(service.file, 1);
    assertEquals(await settings(service, pid), ["second", "second", "shared"], service.file);
  }
  await master.stop();
});

Deno.test("a reload keeps the listeners that are named again, opens new ones and closes the others, also of new and removed files", async () => {
  await using site = new Site();
  const [kept, closed, opened] = [site.port(), site.port(), site.port()];
  const [keptPath, closedPath, openedPath] = ["k", "c", "o"].map((name) => site.socket(name));
  const service = (...addresses: (number | string)[]) =>
    addresses.map((at) => typeof at === "number" ? `127.0.0.1:${at}` : at).join(" ");
  site.serve("a.cf", { mode: "aio", service: service(kept, closed, keptPath, closedPath) });
  const [removed, added, moved] = [site.port(), site.port(), site.port()];
  site.serve("removed.cf", { mode: "coroutine", service: removed });
  site.serve("old.cf", { mode: "coroutine", service: moved, "server-proc-count": 0 });
  const unchanged = site.port();
  site.serve("unchanged.cf", { mode: "aio", service: unchanged, "server-reload": "changed" });
  const master = await site.start();
  await Promise.all([master.serving("a.cf", 1), master.serving("removed.cf", 1)]);
  const [same] = await master.serving("unchanged.cf", 1);
  const inodes = [kept, keptPath, moved].map(listenerInode);
  const file = Deno.statSync(keptPath).ino;
  site.serve("a.cf", { mode: "aio", service: service(opened, kept, openedPath, keptPath) });
  for (const file of ["removed.cf", "old.cf"]) site.remove(file);
  site.serve("added.cf", { mode: "coroutine", service: added });
  using waiting = await Client.connect(moved);
  site.serve("new.cf", { mode: "aio", service: `name://127.0.0.1:${moved}` });
  await master.reload();
  await Promise.all([master.serving("removed.cf", 0), master.serving("added.cf", 1)]);
  // A process that has ended by its name may still hold its descriptors.
  await eventually(() => isRefused(removed), { what: "the removed listener to be closed" });
  const [pid] = await master.serving("new.cf", 1);
  assertEquals(await waiting.line(), `aio ${pid} name inet`);
  waiting.close();
  assertEquals(await answering(unchanged), same);
  for (const target of [kept, opened, keptPath, openedPath, added]) (await greeted(target)).close();
  assertEquals([kept, keptPath, moved].map(listenerInode), inodes);
  assertEquals(Deno.statSync(keptPath).ino, file);
  // The old process may still hold what the master has closed, until it has stopped.
  await eventually(async () => await isRefused(closed) && await isRefused(closedPath), {
    what: "the closed listeners to be closed by the old process too",
  });
  await master.stop();
});

Deno.test("a reload starts and stops processes until there are as many as the file asks for", async () => {
  await using site = new Site();
  const service = site.port();
  serveSmall(site, "a.cf", service, { "server-proc-count": 1 });
  const master = await site.start();
  let old = await master.serving("a.cf", 1);
  for (const count of [3, 2, 0, 1]) {
    serveSmall(site, "a.cf", service, { "server-proc-count": count });
    await master.reload();
    await master.reaps(old);
    old = await master.serving("a.cf", count);
  }
  await master.stop();
});

Deno.test("an old process serves while the new ones only die, and until those of the next reload are ready", async () => {
  await using site = new Site();
  const services = MODES.map((mode) => ({ mode, file: `${mode}.cf`, port: site.port() }));
  const write = (settings: Readonly<Record<string, string | number>>) => {
    for (const { mode, file, port } of services) {
      site.serve(file, { mode, service: port, ...settings });
    }
  };
  write({});
  const master = await site.start();
  using clients = new Clients();
  const begun = await Promise.all(services.map(async (service) => {
    const [old] = await master.serving(service.file, 1);
    return { ...service, old, during: await clients.greeted(service.port) };
  }));
  write({ "exit-at-start": 4 });
  const undone = await master.reloadUndone();
  assertEquals(undone.split(" ").sort(), services.map(({ file }) => file).sort());
  for (const { file } of services) {
    await master.logs(
      new RegExp(`reload rolled back for ${file}: process \\d+ ended after \\S+ \\S+: exit code 4`),
    );
  }
  const ready = site.dir.file("ready"), starts = master.logged(/\] beforeService/);
  write({ "server-proc-count": 2, "ready-when": ready });
  await master.reloadBegun();
  await master.logs(/\] beforeService/, starts + 4);
  for (const { file, port, old } of begun) {
    for (let count = 0; count < 5; count++) {
      using client = await greeted(port);
      assertEquals(pidIn(client), old);
      assertEquals(await client.ask("echo still here"), "still here");
    }
    assertEquals(master.servers(file).length, 3);
  }
  Deno.writeTextFileSync(ready, "");
  for (const { during } of begun) assertEquals(await during.ask("echo finishing"), "finishing");
  clients.dispose();
  for (const { file, port, old } of begun) {
    await master.reaps(old);
    assert((await master.serving(file, 2)).includes(await answering(port)));
  }
  await master.stop();
});

Deno.test("a hundred SIGHUPs in a burst end in the right state", async () => {
  await using site = new Site();
  const port = site.port();
  const settings = { "server-proc-count": 2 };
  serveSmall(site, "a.cf", port, { ...settings, own: "first" });
  const master = await site.start();
  const old = await master.serving("a.cf", 2);
  serveSmall(site, "a.cf", port, { ...settings, own: "last" });
  let most = 0;
  for (let count = 0; count < 100; count++) {
    master.process.signal("SIGHUP");
    if (count % 10 === 0) most = Math.max(most, master.servers().length);
  }
  await master.logs(/ reloaded\n/);
  await eventually(() => {
    const pids = master.servers().map(({ pid }) => pid);
    most = Math.max(most, pids.length);
    return pids.length === 2 && pids.every((pid) => !old.includes(pid));
  }, { what: "two new processes", withinMs: 20_000 });
  // The burst may have brought a second reload, which replaces them once more.
  const pids = await eventually(async () => {
    const pids = await master.serving("a.cf", 2);
    using client = await greeted(port);
    assertEquals(await client.ask("setting own"), "last");
    return pids.includes(pidIn(client)) && pids;
  }, { what: "an answer of the processes that stay" });
  // No reload is under way any more.
  await master.reload();
  await master.reaps(pids);
  await master.serving("a.cf", 2);
  await master.stop();
});

Deno.test("a reload takes the master's log to where the shared settings say", async () => {
  await using site = new Site();
  serveSmall(site, "a.cf", site.port());
  const master = await site.start();
  await master.reload();
  assertEquals(master.process.stdout, "");
  site.write("all.gcf", { "server-log": "stdout" });
  master.process.signal("SIGHUP");
  await master.process.prints(/ info master\[\d+\] reloaded/m);
  await master.stop();
});
