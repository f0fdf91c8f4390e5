import { assert } from "@std/assert";
import { MODES, Site } from "../support/master.ts";
import { wakeUpsOf } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

const WATCHED_MS = 4_000;

/** Wakes up at most once a second: seen over some seconds, once the start has settled. */
async function isIdle(pids: readonly number[]): Promise<void> {
  await eventually(async () => {
    const before = pids.map(wakeUpsOf);
    await new Promise((resolve) => setTimeout(resolve, WATCHED_MS));
    const wakeUps = pids.map((pid, index) => wakeUpsOf(pid) - before[index]);
    return wakeUps.every((count) => count <= WATCHED_MS / 1_000);
  }, { what: "idle processes", withinMs: 60_000 });
}

Deno.test("with no traffic and no event neither the master nor a server polls", async () => {
  await using site = new Site();
  const fifo = site.dir.file("fifo");
  for (const mode of MODES) {
    site.serve(`${mode}.cf`, { mode, service: `127.0.0.1:${site.port()},${site.socket(mode)}` });
  }
  site.serve("fifo.cf", { mode: "coroutine", service: `fifo:${fifo}` });
  site.serve("none.cf", { mode: "aio", service: site.port(), "server-proc-count": 0 });
  const master = await site.start();
  const servers = await Promise.all(
    ["coroutine.cf", "aio.cf", "fifo.cf"].map((file) => master.serving(file, 1)),
  );
  await isIdle([master.pid, ...servers.flat()]);
  assert(master.logged(/error/) === 0, master.log);
  await master.stop();
});
