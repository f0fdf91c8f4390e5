import { assertEquals } from "@std/assert";
import { type Client, greeted } from "../support/client.ts";
import { example, Site } from "../support/master.ts";
import { type ProcessInfo, wakeUpsOf } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

/** How long is looked at; more for a longer run. */
const WINDOW_SECONDS = Number(Deno.env.get("ZC_TEST_IDLE_SECONDS") ?? 5);
/** What the last event has begun may go on at first, longer on a busy machine: a thread's end, a drain. */
const WINDOWS = 12;

/** Fails unless there soon is a time in which no process wakes up more than once a second. */
async function assertIdle(processes: readonly Pick<ProcessInfo, "pid" | "argv">[]): Promise<void> {
  let restless: string[] = [];
  for (let count = 0; count < WINDOWS; count++) {
    const before = processes.map(({ pid }) => wakeUpsOf(pid));
    await new Promise((resolve) => setTimeout(resolve, WINDOW_SECONDS * 1000));
    restless = processes.flatMap(({ pid, argv }, index) => {
      const count = wakeUpsOf(pid) - before[index];
      return count <= WINDOW_SECONDS ? [] : [`${count} wake-ups of ${argv.join(" ")}`];
    });
    if (restless.length === 0) return;
  }
  assertEquals(restless, [], `in ${WINDOW_SECONDS} s`);
}

Deno.test("with no traffic no process wakes up more than once a second", async () => {
  await using site = new Site();
  const services = {
    aio: { mode: "aio" },
    coroutine: { mode: "coroutine" },
    streams: { mode: "coroutine", args: ["--streams"] },
  } as const;
  const names = Object.keys(services), ports = names.map(() => site.port());
  for (const [index, [name, settings]] of Object.entries(services).entries()) {
    const service = `127.0.0.1:${ports[index]},fifo:${site.dir.file(name)}`;
    site.serve(`${name}.cf`, { ...settings, service });
  }
  site.write("http.cf", {
    "server-command": example("http_server.ts"),
    "server-service": site.socket("http"),
  });
  const master = await site.start();
  const clients: Client[] = [];
  for (const port of ports) clients.push(await greeted(port));
  await master.reload();
  // The first processes drain from here on, since their clients stay.
  for (const name of names) await master.serving(`${name}.cf`, 2);
  for (const port of ports) clients.push(await greeted(port));
  await eventually(() => master.servers("http.cf").length === 1, { what: "one HTTP server" });
  assertEquals(master.servers().length, 2 * names.length + 1);
  const itself = { pid: master.pid, argv: ["master"] };
  await assertIdle([itself, ...master.servers(), ...site.guardians()]);
  clients.forEach((client) => client.close());
  await master.stop();
});
