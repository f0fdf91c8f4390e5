/** What a reload replaces, and with how many processes at the same time. */
import { assert, assertEquals } from "@std/assert";
import { type Client, greeted } from "../support/client.ts";
import { MODES, pidIn, Site } from "../support/master.ts";
import { serveSmall } from "../support/peers.ts";
import { eventually } from "../support/wait.ts";

const STORM = 1_000;
/** In seconds. */
const HOUR = 3_600;

Deno.test("server-reload = changed leaves a service alone until something of it changes", async () => {
  await using site = new Site();
  const [port, other] = [site.port(), site.port()];
  const server = new URL("../support/servers/aio.ts", import.meta.url).href;
  const project = new URL("../../deno.json", import.meta.url).pathname;
  const script = site.dir.write("serve.ts", `import "${server}";\nimport "./own.ts";\n`);
  site.dir.write("own.ts", `import "./deep.ts";\n`);
  site.dir.write("deep.ts", "export {};\n");
  const write = (own: string) =>
    site.write("a.cf", {
      "server-command": `deno run -A --config ${project} ${script}`,
      "server-service": `127.0.0.1:${port}`,
      "server-reload": "changed",
      own,
    });
  write("first");
  site.write("all.gcf", { shared: "first" });
  serveSmall(site, "b.cf", other);
  site.write("other.cf", {
    "server-command": "sh -c 'exec sleep 47'",
    "server-protocol": "libzc",
    "server-service": site.socket("other"),
    "server-reload": "changed",
  });
  const master = await site.start();
  let pids = await master.serving("a.cf", 1);
  const [always] = await master.serving("b.cf", 1);
  using kept = await greeted(port);

  await master.reload();
  await master.reaps(always);
  // It has shown what it is for, and is not replaced at each further reload.
  serveSmall(site, "b.cf", other, { "server-reload": "changed" });
  assertEquals(await master.serving("a.cf", 1), pids);
  await master.logs(/services: 1 replaced, 2 left alone/);
  // Whatever else that program reads is not known.
  await master.logs(/other\.cf: left alone by the files of its command, without what these load/);
  assertEquals(master.logged(/a\.cf: left alone by/), 0);
  assertEquals(await kept.ask("echo kept"), "kept");
  kept.close();

  const changes: readonly [what: string, change: () => void][] = [
    ["a setting", () => write("second")],
    ["a shared setting", () => site.write("all.gcf", { shared: "second" })],
    ["a module of a module", () => site.dir.write("deep.ts", "export {}; // Another one.\n")],
    ["the script", () => site.dir.write("serve.ts", `// Another one.\nimport "${server}";\n`)],
    ["the time of the script", () => Deno.utimeSync(script, 1_000_000_000, 1_000_000_000)],
  ];
  for (const [what, change] of changes) {
    // One that has changed before is left alone again.
    await master.reload();
    assertEquals(await master.serving("a.cf", 1), pids, `before ${what} has changed`);
    change();
    await master.reload();
    await master.reaps(pids);
    pids = await master.serving("a.cf", 1);
  }
  using last = await greeted(port);
  assertEquals(await last.ask("setting own"), "second");
  assertEquals(await last.ask("setting shared"), "second");
  last.close();
  await master.stop();
});

/** What the detailed log tells of the processes of a service, after each of its lines. */
function* countsOf(log: string, file: string): Generator<{ alive: number; serving: number }> {
  const alive = new Set<string>(), serving = new Set<string>();
  const told = new RegExp(
    `${file.replace(".", "\\.")}: (new process|ready is process|softstop of process|` +
      "reaped process|process) (\\d+)( ended)?",
    "g",
  );
  for (const [, event, pid, ended] of log.matchAll(told)) {
    if (event === "new process") alive.add(pid);
    else if (event === "ready is process") serving.add(pid);
    else if (event === "softstop of process") serving.delete(pid);
    else if (event === "reaped process" || ended !== undefined) {
      alive.delete(pid);
      serving.delete(pid);
    }
    yield { alive: alive.size, serving: serving.size };
  }
}

Deno.test("both modes: server-reload-step bounds the processes of a reload, and all places are filled", async () => {
  await using site = new Site();
  const services = MODES.map((mode) => ({
    mode,
    file: `${mode}.cf`,
    port: site.port(),
    ready: site.dir.write(mode, ""),
  }));
  const write = (settings: (ready: string) => Record<string, string | number>) => {
    for (const { mode, file, port, ready } of services) {
      site.serve(file, {
        mode,
        service: port,
        "server-proc-count": 3,
        "server-reload-step": 1,
        ...settings(ready),
      });
    }
  };
  write(() => ({ own: "old" }));
  const master = await site.start();
  const begun = await Promise.all(services.map(async ({ file, port }) => {
    const old = await master.serving(file, 3);
    await master.logs(new RegExp(`${file}: ready is process`), 3);
    return { old, cold: [...countsOf(master.log, file)].length, kept: await greeted(port) };
  }));
  write(() => ({ own: "new" }));
  const reloaded = master.reload();
  for (const [index, { file }] of services.entries()) {
    // One of the old ones takes its time, and its room.
    await master.logs(new RegExp(`${file}: softstop of process`), 1);
    assert(master.servers(file).length <= 4, file);
    await begun[index].kept.ask("echo kept");
  }
  for (const { kept } of begun) kept.close();
  await reloaded;
  for (const [index, { file }] of services.entries()) {
    await master.reaps(begun[index].old);
    await master.serving(file, 3);
    await master.logs(new RegExp(`${file}: reaped process`), 3);
  }

  // Undone, when some are already replaced: those come back, step by step.
  write((ready) => ({ own: "third", "ready-when": ready, "server-ready-timeout": 3 }));
  const undone = master.reloadUndone();
  for (const { file, ready } of services) {
    await master.logs(new RegExp(`${file}: softstop of process`), 4);
    // Those that come now are never ready.
    Deno.removeSync(ready);
  }
  assertEquals((await undone).split(" ").sort(), services.map(({ file }) => file).sort());
  for (const [index, { file, port }] of services.entries()) {
    await eventually(async () => {
      using client = await greeted(port);
      return await client.ask("setting own") === "new" && master.servers(file).length === 3;
    }, { what: `the settings before of ${file}` });
    const counts = [...countsOf(master.log, file)].slice(begun[index].cold);
    assertEquals(Math.max(...counts.map(({ alive }) => alive)), 4, file);
    assertEquals(Math.min(...counts.map(({ serving }) => serving)), 3, file);
  }
  await master.stop();
});

Deno.test("master-max-generations ends the oldest processes that still drain, and no others", async () => {
  await using site = new Site();
  const port = site.port();
  // An old process has far more time than the test takes.
  serveSmall(site, "a.cf", port, { "server-stop-on-softstop-after": HOUR });
  const master = await site.start({ args: ["-master-max-generations", "2"] });
  const clients: (Client & { readonly greeting: string })[] = [];
  try {
    for (let generation = 0; generation < 4; generation++) {
      if (generation > 0) await master.reload();
      const known = clients.map(pidIn);
      // The one before may still accept for a moment.
      clients.push(
        await eventually(async () => {
          const client = await greeted(port);
          if (!known.includes(pidIn(client))) return client;
          client.close();
        }, { what: "an answer of the new process" }),
      );
    }
    const [first, ...others] = clients;
    await first.ending();
    for (const client of others) assertEquals(await client.ask("echo kept"), "kept");
    await eventually(() => master.servers("a.cf").length === 3, { what: "three generations" });
    assertEquals(master.servers("a.cf").map(({ pid }) => pid), others.map(pidIn));
  } finally {
    for (const client of clients) client.close();
  }
  await master.stop();
});

Deno.test(`a storm of ${STORM} SIGHUPs during a reload brings at most two more`, async () => {
  await using site = new Site();
  const port = site.port();
  const ready = site.dir.file("ready");
  const settings = { mode: "coroutine", service: port, "ready-when": ready } as const;
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  const [old] = await master.serving("a.cf", 1);
  site.serve("a.cf", settings);
  await master.reloadBegun();
  for (let count = 0; count < STORM; count++) master.process.signal("SIGHUP");
  using client = await greeted(port);
  assertEquals(pidIn(client), old);
  Deno.writeTextFileSync(ready, "");
  await master.logs(/\] reloaded\n/, 2);
  client.close();
  // One more is waited for, so that none of the storm can still come.
  const before = master.logged(/\] reloaded$/);
  await master.reload();
  // What was waited for may have been the end of the last one of the storm.
  const reloads = await eventually(() => {
    const reloads = master.logged(/\] reloaded$/);
    return master.logged(/\] listeners: /) - 1 === reloads && reloads;
  }, { what: "the end of each reload" });
  assert(before <= 3 && reloads <= 4, `${before} and then ${reloads} reloads`);
  await eventually(() => master.servers("a.cf").length === 1, { what: "one process" });
  await master.stop();
});
