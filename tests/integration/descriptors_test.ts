import { assert, assertEquals } from "@std/assert";
import { greeted } from "../support/client.ts";
import { type Master, MODES, pidIn, Site } from "../support/master.ts";
import { descriptorsOf, listenerInode, type ProcessInfo } from "../support/proc.ts";
import { flagsOf } from "../support/descriptors.ts";
import { plainPython } from "../support/python.ts";
import { eventually } from "../support/wait.ts";

/** How much is done before the descriptors are counted; more for a longer run. */
const RESTARTS = Number(Deno.env.get("ZC_TEST_RESTARTS") ?? 60);
const RELOADS = Number(Deno.env.get("ZC_TEST_RELOADS") ?? 12);

/** How many processes are killed at the same time. */
const CROWD = 20;

const LISTING = new URL("../support/servers/descriptors.py", import.meta.url).pathname;

/** A service that lists its descriptors at its start. */
function listing(site: Site, settings: Record<string, string | number> = {}) {
  return {
    "server-command": [...plainPython(), LISTING].join(" "),
    "server-protocol": "control",
    "server-service": `127.0.0.1:${site.port()},${site.socket(crypto.randomUUID().slice(0, 8))}`,
    ...settings,
  };
}

/** Fails unless each of the processes that have listed their descriptors had none too many. */
function assertNoneTooMany(master: Master): void {
  for (const [, pid, list] of master.log.matchAll(/\] descriptors (\d+): (.*)$/gm)) {
    const numbers = list.split(" ").map(Number);
    assertEquals(numbers.slice(0, 3), [0, 1, 2], `process ${pid}: ${list}`);
    assertEquals(numbers.length, 4, `process ${pid}: ${list}`);
  }
}

/** Waits until a crowd of processes of a service has listed its descriptors. */
async function crowd(master: Master, file: string): Promise<ProcessInfo[]> {
  return await eventually(() => {
    const servers = master.servers(file);
    const have = servers.filter(({ pid }) => master.log.includes(`descriptors ${pid}: `));
    return have.length === CROWD && have;
  }, { what: `${CROWD} processes of ${file}` });
}

/** What a descriptor refers to, without numbers that change. */
function kindsOf(pid: number): string[] {
  return [...descriptorsOf(pid).values()].map((target) => target.replace(/\[\d+\]$/, "")).sort();
}

/** Fails unless a process has what it had before, as soon as it has done with all that has ended. */
async function assertAsBefore(pid: number, before: readonly string[]): Promise<void> {
  const isEqual = () => kindsOf(pid).join() === before.join();
  await eventually(isEqual, { what: "the descriptors to be as before" }).catch(() => {});
  assertEquals(kindsOf(pid), before);
}

Deno.test("a server starts with 0, 1, 2 and its worker socket, whatever its master was given", async () => {
  await using site = new Site();
  site.write("a.cf", listing(site, { "server-proc-count": 3 }));
  site.serve("b.cf", { mode: "coroutine", service: site.port() });
  // The master gets a file, a pipe and a directory too many, as from a careless script.
  const leaky = 'exec 9>"$0.leak" 8</ 7<&0; exec "$@"';
  const prefix = ["sh", "-c", leaky, site.dir.file("sh")];
  const master = await site.start({ prefix });
  assertEquals(descriptorsOf(master.pid).get(9), site.dir.file("sh.leak"));
  await master.logs(/\] descriptors /, 3);
  await master.reload();
  await master.logs(/\] descriptors /, 6);
  assertNoneTooMany(master);
  await master.stop();
});

Deno.test("both modes: a server has its own listeners and no others, not to be inherited further, and a listener stays non-blocking, however often processes are started and killed", async () => {
  await using site = new Site();
  const services = MODES.map((mode) => {
    const own = [site.port(), site.port()], file = `${mode}.cf`;
    site.serve(file, { mode, service: own.map((port) => `127.0.0.1:${port}`).join(",") });
    return { file, own };
  });
  const master = await site.start();
  for (const { file, own } of services) {
    const [pid] = await master.serving(file, 1);
    // Its services are registered, and it has closed what it needs no more.
    (await greeted(own[1])).close();
    const found = [...descriptorsOf(pid)];
    const socketOf = (port: number) => `socket:[${listenerInode(port)}]`;
    for (const port of own) {
      assertEquals(found.filter(([, it]) => it === socketOf(port)).length, 1, `${file} ${port}`);
    }
    const others = services.filter((other) => other.file !== file).flatMap(({ own }) => own);
    for (const port of others) {
      assert(listenerInode(port) !== undefined);
      assert(!found.some(([, it]) => it === socketOf(port)), `${file} ${port}`);
    }
    assertEquals(found.filter(([fd]) => fd > 2 && isInheritable(fd, pid)), [], file);
  }

  await isNonBlocking(master, services[MODES.indexOf("coroutine")].own[0]);
  await master.stop();
});

/** Fails unless a listener stays non-blocking, however often processes are started and killed. */
async function isNonBlocking(master: Master, port: number): Promise<void> {
  const target = `socket:[${listenerInode(port)}]`;
  const fd = [...descriptorsOf(master.pid)].find(([, it]) => it === target)![0];
  for (let round = 0; round < 3; round++) {
    using client = await greeted(port);
    assert(flagsOf(fd, master.pid).nonblocking);
    Deno.kill(pidIn(client), "SIGKILL");
    await client.ending();
  }
  await master.reload();
  (await greeted(port)).close();
  assert(flagsOf(fd, master.pid).nonblocking);
}

/** Whether a program that the process starts would get the descriptor; false for one that is gone. */
function isInheritable(fd: number, pid: number): boolean {
  try {
    return !flagsOf(fd, pid).closeOnExec;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

Deno.test(`after ${RESTARTS} restarts and ${RELOADS} reloads and refused ones, a master has as many descriptors as before`, async () => {
  await using site = new Site();
  const settings = listing(site);
  const restless = { ...listing(site), "server-backoff-max": 0 };
  site.write("a.cf", settings);
  site.write("b.cf", { ...restless, "server-proc-count": 0 });
  const master = await site.start();
  await master.logs(/\] descriptors /);
  await master.logs(/all services are ready/);
  const isSettled = () => master.servers().length === 1;
  await eventually(isSettled, { what: "one process" });
  const before = kindsOf(master.pid);

  site.serve("c.cf", { mode: "aio", service: `${site.socket("c")},127.0.0.1:${site.busyPort()}` });
  for (let count = 0; count < 3; count++) await master.reloadRefused();
  await assertAsBefore(master.pid, before);
  site.remove("c.cf");

  site.write("b.cf", { ...restless, "server-proc-count": CROWD });
  await master.reload();
  for (let count = 0; count < RESTARTS; count += CROWD) {
    for (const { pid } of await crowd(master, "b.cf")) Deno.kill(pid, "SIGKILL");
    // On a busy machine one may be told to end before the kernel has done with it.
    await master.logs(/b\.cf: (process \d+ ended|reaped process)/, count + CROWD);
  }
  await crowd(master, "b.cf");
  site.write("b.cf", { ...restless, "server-proc-count": 0 });
  for (let count = 0; count < RELOADS; count++) {
    const started = master.logged(/\] descriptors /);
    await master.reload();
    await master.logs(/\] descriptors /, started + 1);
  }
  await eventually(isSettled, { what: "one process" });
  await assertAsBefore(master.pid, before);
  assertNoneTooMany(master);
  await master.stop();
});

Deno.test("a program that a server with FFI or without starts inherits neither its worker socket nor its listeners", async () => {
  await using site = new Site();
  const services = { with: "all", without: "--allow-run=/bin/sh" };
  const ports = Object.entries(services).map(([how, permissions]) => {
    const port = site.port();
    site.write(`${how}.cf`, {
      "server-command": site.server("starting"),
      "server-service": `127.0.0.1:${port} ${site.socket(how)}`,
      "server-permissions": permissions,
    });
    return port;
  });
  const master = await site.start();
  for (const [index, how] of Object.keys(services).entries()) {
    await master.logs(new RegExp(` ${how}\\[\\d+\\] started before: none$`, "m"));
    await master.logs(new RegExp(`${how}\\.cf: ready`));
    await servedOnce(ports[index]);
    await master.logs(new RegExp(` ${how}\\[\\d+\\] started while serving: none$`, "m"));
  }
  // Without FFI a module can't be kept from its inheritance before the main function runs.
  await master.logs(/ with\[\d+\] started at import: none$/m);
  await master.stop();
});

async function servedOnce(port: number): Promise<void> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  assertEquals(await conn.read(new Uint8Array(1)), null);
}
