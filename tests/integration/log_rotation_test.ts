/** Log files that are renamed while a master and its servers write to them, and SIGUSR1. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { greeted } from "../support/client.ts";
import { MASTER_PROGRAM, Site } from "../support/master.ts";
import { descriptorsOf } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

/** Waits for a text in a file that may not be there yet. */
async function comes(path: string, text: string): Promise<void> {
  const read = () => {
    try {
      return Deno.readTextFileSync(path);
    } catch {
      return "";
    }
  };
  await eventually(() => read().includes(text), { what: `"${text}" in ${path}` });
}

/** The file of the log service, once it is there. */
function serviceLog(site: Site): string | undefined {
  const names = [...Deno.readDirSync(site.dir.path)].map(({ name }) => name);
  const name = names.find((name) => /^svc\.\d+\.log$/.test(name));
  return name === undefined ? undefined : site.dir.file(name);
}

Deno.test("after a rename and SIGUSR1 nothing is written to the old log files any more", async () => {
  await using site = new Site();
  const log = site.dir.file("master.log"), socket = site.dir.file("log.sock");
  const ports = [site.port(), site.port(), site.port(), site.port()];
  // Captured output is in the log of the master itself.
  const own = { "server-output": "inherit" };
  site.serve("a.cf", { mode: "coroutine", service: ports[0], "server-standby-count": 1, ...own });
  site.serve("b.cf", { mode: "aio", service: ports[1], ...own });
  site.serve("c.cf", {
    mode: "coroutine",
    service: ports[2],
    "server-permissions": "none",
    ...own,
  });
  const masterlog = { "server-log": `masterlog,${socket}`, ...own };
  site.serve("d.cf", { mode: "aio", service: ports[3], ...masterlog });
  const process = site.execute([
    ...[Deno.execPath(), "run", "-A", MASTER_PROGRAM, "-C", site.conf, "-pid-file", site.pidFile],
    ...["-log-service", `${socket},${site.dir.file("svc.")},day`],
  ], { prefix: ["sh", "-c", 'exec "$@" >> "$0" 2>&1', log] });
  const clients = [];
  for (const port of ports) {
    const connected = () => greeted(port).catch(() => undefined);
    clients.push(await eventually(connected, { what: `port ${port}` }));
  }
  for (const [index, client] of clients.entries()) await client.ask(`log before-${index}`);
  for (const index of [0, 1, 2]) await comes(log, `before-${index}`);
  await eventually(() => site.processes().length === 6, { what: "the standby" });
  const writers = () =>
    site.processes().filter(({ pid }) => [...descriptorsOf(pid).values()].includes(`${log}.1`));

  const service = await eventually(() => serviceLog(site), { what: "the log service's file" });
  await comes(service, "before-3");
  Deno.renameSync(log, `${log}.1`);
  Deno.renameSync(service, `${service}.1`);
  assertEquals(writers().length, 5, "all but the one that prints by way of the master");
  Deno.kill(process.pid, "SIGUSR1");
  await comes(log, "reopened the log files");
  await eventually(() => writers().length === 0, {
    what: "the end of all writing to the old file",
  });
  for (const [index, client] of clients.entries()) await client.ask(`log after-${index}`);
  for (const index of [0, 1, 2]) await comes(log, `after-${index}`);
  await comes(service, "after-3");

  // A process that is started now, and the standby, which the master has started before.
  const pid = Number(clients[0].greeting.split(" ")[1]);
  Deno.kill(pid, "SIGKILL");
  const again = await eventually(() => greeted(ports[0]).catch(() => undefined), { what: "it" });
  await again.ask("log from-the-standby");
  await comes(log, "from-the-standby");
  again.close();
  clients.forEach((client) => client.close());
  process.signal("SIGTERM");
  assertEquals((await process.ended()).code, 0);
  const later = /after-\d|from-the-standby|reopened|stopping/;
  for (const old of [log, service]) assert(!later.test(Deno.readTextFileSync(`${old}.1`)), old);
  assertStringIncludes(Deno.readTextFileSync(log), "stopped");
});

Deno.test("a master that drains after an upgrade opens its log files anew with the new one", async () => {
  await using site = new Site();
  const log = site.dir.file("master.log"), port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port, "server-output": "inherit" });
  const argv = [Deno.execPath(), "run", "-A", MASTER_PROGRAM];
  site.execute([...argv, "-C", site.conf, "-pid-file", site.pidFile], {
    prefix: ["sh", "-c", 'exec "$@" >> "$0" 2>&1', log],
  });
  using client = await eventually(() => greeted(port).catch(() => undefined), { what: "it" });
  Deno.kill(Number(Deno.readTextFileSync(site.pidFile)), "SIGUSR2");
  await comes(log, "has taken over");
  Deno.renameSync(log, `${log}.1`);
  const writers = () =>
    site.processes().filter(({ pid }) => [...descriptorsOf(pid).values()].includes(`${log}.1`));
  assertEquals(writers().length, 4);
  Deno.kill(Number(Deno.readTextFileSync(site.pidFile)), "SIGUSR1");
  await eventually(() => writers().length === 0, {
    what: "the end of all writing to the old file",
  });
  await client.ask("log from-the-one-that-drains");
  await comes(log, "from-the-one-that-drains");
});
