import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { greeted } from "../support/client.ts";
import { type Master, MODES, pidIn, Site } from "../support/master.ts";
import { serveSmall } from "../support/peers.ts";
import { eventually } from "../support/wait.ts";

Deno.test("both modes: the connection after a SIGKILL of the only process is answered by another, and a process that ends by itself is replaced, its exit code logged", async () => {
  await using site = new Site();
  const services = MODES.map((mode) => {
    const killed = { file: `${mode}_killed.cf`, port: site.port() };
    const ending = { file: `${mode}_ending.cf`, port: site.port() };
    for (const { file, port } of [killed, ending]) site.serve(file, { mode, service: port });
    return { killed, ending };
  });
  const master = await site.start();
  await Promise.all(services.flatMap(({ killed, ending }) => [
    isAnsweredByAnother(master, killed),
    isReplaced(master, ending),
  ]));
  await master.stop();
});

interface Service {
  readonly file: string;
  readonly port: number;
}

async function isAnsweredByAnother(master: Master, { file, port }: Service): Promise<void> {
  let [pid] = await master.serving(file, 1);
  for (let round = 0; round < 2; round++) {
    Deno.kill(pid, "SIGKILL");
    using client = await greeted(port);
    assertNotEquals(pidIn(client), pid);
    pid = pidIn(client);
    assertEquals(await client.ask("echo served"), "served");
  }
  const death = new RegExp(`${file}: process \\d+ ended after \\S+ \\S+: signal SIGKILL`);
  await master.logs(death, 2);
  assertEquals(master.logged(death), 2);
  assertEquals(await master.serving(file, 1), [pid]);
}

async function isReplaced(master: Master, { port }: Service): Promise<void> {
  using first = await greeted(port);
  await first.write("exit 3\n");
  assertEquals(await first.ending(), "end of file");
  using second = await greeted(port);
  assertNotEquals(pidIn(second), pidIn(first));
  second.close();
  await master.logs(new RegExp(`process ${pidIn(first)} ended after \\S+ \\S+: exit code 3`));
}

Deno.test("after many deaths a service has exactly as many processes as before", async () => {
  await using site = new Site();
  serveSmall(site, "a.cf", site.port(), { "server-proc-count": 3 });
  serveSmall(site, "b.cf", site.port(), { "server-proc-count": 1 });
  const master = await site.start();
  const others = await master.serving("b.cf", 1);
  const seen = new Set<number>();
  for (let round = 0; round < 2; round++) {
    const pids = await master.serving("a.cf", 3);
    for (const pid of pids) Deno.kill(pid, "SIGKILL");
    pids.forEach((pid) => seen.add(pid));
    await eventually(() => {
      const now = master.servers("a.cf");
      assert(now.length <= 3, `${now.length} processes`);
      return now.length === 3 && now.every(({ pid }) => !seen.has(pid));
    }, { what: "three new processes" });
  }
  assertEquals(seen.size, 6);
  await master.serving("a.cf", 3);
  assertEquals(await master.serving("b.cf", 1), others);
  await master.stop();
});

Deno.test("with server-backoff-max = 0 a program that ends at once is started every 100 ms, and disturbs no other service", async () => {
  await using site = new Site();
  const port = site.port();
  site.write("bad.cf", {
    "server-command": "false",
    "server-protocol": "control",
    "server-backoff-max": "0",
    "server-service": `127.0.0.1:${site.port()}`,
  });
  serveSmall(site, "good.cf", port);
  const master = await site.start();
  using client = await greeted(port);
  const death = /bad\.cf: process \d+ ended after \S+ \S+: exit code 1/;
  const pauses = 8, before = master.logged(death), startedAt = performance.now();
  for (let count = 1; count <= pauses + 1; count++) {
    await master.logs(death, before + count);
    assertEquals(await client.ask(`echo ${count}`), `${count}`);
  }
  const elapsed = performance.now() - startedAt;
  // Timers may fire up to a millisecond early. A busy machine makes it slower, but none of the pauses longer.
  assert(elapsed > pauses * 99, `${pauses} pauses in ${elapsed} ms`);
  const ends = master.log.matchAll(/bad\.cf: process \d+ ended .*; the next one is started (.*)/g);
  for (const [line, when] of ends) assertMatch(when, /^in (?:0\.1 s|\d+ ms)$/, line);
  assert(master.servers("bad.cf").length <= 1);
  assertEquals(await master.serving("good.cf", 1), [pidIn(client)]);
  client.close();
  // It is enough to say how they ended.
  assertEquals(master.logged(/bad\.cf: process \d+:? (?!ended)/), 0);
  await master.stop();
});

Deno.test("a program that can't be started is tried again until it can", async () => {
  await using site = new Site();
  const script = "#!/bin/sh\necho started >&2\nexec sleep 100\n";
  const program = site.dir.write("server", script);
  Deno.chmodSync(program, 0o755);
  site.write("a.cf", {
    "server-command": program,
    "server-protocol": "control",
    "server-service": `127.0.0.1:${site.port()}`,
  });
  const master = await site.start({ args: ["-master-stop-timeout", "0"] });
  const [, pid] = await master.logs(/ a\[(\d+)\] started/);
  Deno.removeSync(program);
  Deno.kill(Number(pid), "SIGKILL");
  await master.logs(/a\.cf: .*server.* it is tried again in \S+ \S+/, 2);
  site.dir.write("new", script);
  Deno.chmodSync(site.dir.file("new"), 0o755);
  Deno.renameSync(site.dir.file("new"), program);
  const [, next] = await master.logs(new RegExp(` a\\[((?!${pid}\\])\\d+)\\] started`));
  assertEquals(site.processes().filter((one) => one.pid === Number(next)).length, 1);
  await master.stop();
});
