import { assertEquals } from "@std/assert";
import { type Client, greeted } from "../support/client.ts";
import { example, Site } from "../support/master.ts";
import { type ProcessInfo, wakeUpsOf, wakeUpsSince } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

/** How long is looked at; more for a longer run. */
const WINDOW_SECONDS = Number(Deno.env.get("ZC_TEST_IDLE_SECONDS") ?? 5);
/** What the last event has begun may go on at first, longer on a busy machine: a thread's end, a drain. */
const WINDOWS = 12;

type Watched = Pick<ProcessInfo, "pid" | "argv">;

/** Fails unless each process soon has a time in which it wakes up no more than once a second. */
async function assertIdle(processes: readonly Watched[]): Promise<void> {
  let restless = processes.map((process) => ({ process, count: 0 }));
  for (let round = 0; round < WINDOWS && restless.length > 0; round++) {
    const before = restless.map(({ process }) => ({ process, counts: wakeUpsOf(process.pid) }));
    await new Promise((resolve) => setTimeout(resolve, WINDOW_SECONDS * 1000));
    restless = before
      .map(({ process, counts }) => ({ process, count: wakeUpsSince(counts, process.pid) }))
      .filter(({ count }) => count > WINDOW_SECONDS);
  }
  const told = restless.map(({ process, count }) =>
    `${count} wake-ups of ${process.pid} ${process.argv.join(" ")}`
  );
  assertEquals(told, [], `in ${WINDOW_SECONDS} s`);
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
    // Without it a drain looks at connections that may be in use, and ends after 30 s.
    const drain = { "server-stop-on-softstop-after": 3600 };
    site.serve(`${name}.cf`, { ...settings, ...drain, service });
  }
  site.write("http.cf", {
    "server-command": example("http_server.ts"),
    "server-service": site.socket("http"),
  });
  const master = await site.start({ args: ["-master-stop-timeout", "1"] });
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
