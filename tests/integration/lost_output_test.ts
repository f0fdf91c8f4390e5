/**
 * Output that nobody takes any more: it costs no client an answer, whoever prints it and however, and
 * the master goes on.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { Client } from "../support/client.ts";
import { Site } from "../support/master.ts";
import type { TestProcess } from "../support/processes.ts";
import { plainPython } from "../support/python.ts";
import { eventually } from "../support/wait.ts";

const OUTLET = new URL("../support/outlet.py", import.meta.url).pathname;
const SERVER = new URL("../support/servers/talkative.ts", import.meta.url).pathname;
const MASTER = new URL("../support/masters/talkative.ts", import.meta.url).pathname;
const HTTP = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
/** The ways of serving, and what their clients say. */
const QUESTIONS = { aio: "hello\n", coroutine: "hello\n", http: HTTP, node: HTTP } as const;
/** How long one answer may take. All that is printed for it stays within a tenth of that. */
const ANSWER_MS = 5_000;

/** Where a way of serving is to be asked. */
interface Service {
  readonly port: number;
  readonly question: string;
}

/** Asks once, on a connection of its own. */
async function answerFrom({ port, question }: Service): Promise<string> {
  using client = await Client.connect(port);
  await client.write(question);
  for (;;) {
    const line = await client.line(ANSWER_MS);
    if (/ 500 |^answer/.test(line)) return line;
  }
}

/** The pid of the process that answers. */
async function pidFrom(service: Service): Promise<number> {
  const answer = await answerFrom(service);
  assertMatch(answer, /^answer of \d+$/);
  return Number(answer.split(" ")[2]);
}

/** Waits until one answers, which tells that all is up. */
async function serves(service: Service): Promise<void> {
  await eventually(() => answerFrom(service).then(() => true, () => false), {
    what: `port ${service.port}`,
  });
}

type Way = keyof typeof QUESTIONS;

/** The ways that one process serves, which has the one main function or the other. */
const TOGETHER: Readonly<Record<"aio" | "coroutine", readonly Way[]>> = {
  aio: ["aio", "http"],
  coroutine: ["coroutine", "node"],
};

/** Two ways in a process, since processes take their time to start: with FFI or without, or all with both. */
function serve(site: Site, { isWhole }: { readonly isWhole: boolean }): Service[] {
  const all = [
    { ways: TOGETHER.aio, permissions: "all" },
    { ways: TOGETHER.coroutine, permissions: "none" },
    { ways: TOGETHER.aio, permissions: "none" },
    { ways: TOGETHER.coroutine, permissions: "all" },
  ];
  const processes = isWhole ? all : all.slice(0, 2);
  return processes.flatMap(({ ways, permissions }) => {
    const services = ways.map((way) => ({ way, port: site.port(), question: QUESTIONS[way] }));
    site.write(`${ways[0]}-${permissions}.cf`, {
      "server-command": ways[0] === "aio" ? `${SERVER} --aio` : SERVER,
      "server-service": services.map(({ way, port }) => `${way}://127.0.0.1:${port}`).join(" "),
      "server-permissions": permissions,
    });
    return services;
  });
}

function startMaster(site: Site, outlet: string): TestProcess {
  return site.execute([
    Deno.execPath(),
    "run",
    "-A",
    MASTER,
    "-pid-file",
    site.pidFile,
    "-services",
    site.conf,
  ], { prefix: [...plainPython(), OUTLET, outlet] });
}

for (const outlet of ["terminal", "closed-pipe", "full-pipe", "full-disk"]) {
  Deno.test(`a ${outlet} for the outputs costs no client an answer, and the master goes on`, async () => {
    await using site = new Site();
    const services = serve(site, { isWhole: outlet === "terminal" });
    const process = startMaster(site, outlet);
    for (const service of services) await serves(service);
    await process.write("\n");
    await process.prints(/nobody listens/);
    for (const service of services) await pidFrom(service);
    const masterPid = Number(Deno.readTextFileSync(site.pidFile));
    // The master passes on what servers without FFI print, and they must not wait for it.
    Deno.kill(masterPid, "SIGSTOP");
    for (const service of services) await pidFrom(service);
    Deno.kill(masterPid, "SIGCONT");
    // A terminal that is closed sends one by itself, too.
    const old = await Promise.all(services.map(pidFrom));
    Deno.kill(masterPid, "SIGHUP");
    for (const [index, service] of services.entries()) {
      const isNew = async () => await pidFrom(service) !== old[index];
      await eventually(isNew, { what: "the reload" });
    }
    Deno.kill(masterPid, "SIGTERM");
    assertEquals((await process.ended()).code, 0);
    await site.isGone();
  });
}
