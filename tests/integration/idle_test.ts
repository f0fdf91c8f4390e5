import { assert } from "@std/assert";
import { greeted } from "../support/client.ts";
import { type Master, MODES, Site } from "../support/master.ts";
import { wakeUpsOf } from "../support/proc.ts";

/** How long is looked at; more for a longer run. */
const WINDOW_SECONDS = Number(Deno.env.get("ZC_TEST_IDLE_SECONDS") ?? 5);
/** What was begun before the window may come to its end in it: garbage collection, a thread's end. */
const REMNANTS = 5;

/** Fails if a process wakes up more than once a second while nothing happens. */
async function assertIdle(master: Master): Promise<void> {
  const processes = [{ pid: master.pid, argv: ["master"] }, ...master.servers()];
  const before = processes.map(({ pid }) => wakeUpsOf(pid));
  await new Promise((resolve) => setTimeout(resolve, WINDOW_SECONDS * 1000));
  for (const [index, { pid, argv }] of processes.entries()) {
    const count = wakeUpsOf(pid) - before[index];
    const most = WINDOW_SECONDS + REMNANTS;
    assert(count <= most, `${count} wake-ups in ${WINDOW_SECONDS} s, of ${argv.join(" ")}`);
  }
}

Deno.test("with no traffic neither the master nor a server wakes up more than once a second", async () => {
  await using site = new Site();
  const clients: Disposable[] = [];
  const draining: Disposable[] = [];
  for (const mode of MODES) {
    const port = site.port();
    const service = `127.0.0.1:${port},fifo:${site.dir.file(mode)}`;
    site.serve(`${mode}.cf`, { mode, service, "server-proc-count": 2 });
  }
  const ports = MODES.map((mode) => {
    const port = site.port();
    site.serve(`old_${mode}.cf`, { mode, service: port });
    return port;
  });
  const master = await site.start();
  for (const mode of MODES) await master.serving(`${mode}.cf`, 2);
  for (const port of ports) draining.push(await greeted(port));
  // The first processes drain from here on, since their clients stay.
  await master.reload();
  for (const mode of MODES) await master.serving(`old_${mode}.cf`, 2);
  for (const port of ports) clients.push(await greeted(port));
  for (const mode of MODES) await master.serving(`${mode}.cf`, 2);
  await assertIdle(master);
  for (const client of [...clients, ...draining]) client[Symbol.dispose]();
  await master.stop();
});
