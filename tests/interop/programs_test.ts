import { assert, assertEquals, assertGreater } from "@std/assert";
import { type Master, Site } from "../support/master.ts";
import { remotePortsOf, suspend, tcpSockets } from "../support/proc.ts";
import { startDeno, type TestProcess } from "../support/processes.ts";
import type { ClientReport, ClientTarget } from "../support/program_clients.ts";
import { type Program, PROGRAMS, PROGRAMS_FOLDER, versionOf } from "../support/programs.ts";
import { eventually } from "../support/wait.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const CLIENTS = `${ROOT}tests/support/program_clients.ts`;

/** A first run fetches all packages, and a build keeps a processor busy. */
const PREPARE_MS = 240_000;

/** How long 28 processes may take to start on a busy machine, and the old ones to end. */
const CHANGE_MS = 120_000;

/** How much each program has to answer in each part of the test. */
const ENOUGH = 20;

/** How many processes serve each program. */
const COUNT = 2;

/** What the test finds out, once for all programs. */
interface Findings {
  readonly reload: ReadonlyMap<string, ClientReport>;
  readonly kill: ReadonlyMap<string, ClientReport>;
  /** The client's ports of the connections that the killed process of each program had. */
  readonly held: ReadonlyMap<string, ReadonlySet<number>>;
}

/** The folders of all programs, with their packages and what they build. */
async function prepare(site: Site): Promise<string> {
  const folder = site.dir.file("programs");
  await copy(PROGRAMS_FOLDER, folder);
  Deno.copyFileSync(CLIENTS, `${folder}/clients/main.ts`);
  await run(["install", "--frozen", "--quiet"], folder);
  await Promise.all(
    PROGRAMS.filter(({ isBuilt }) => isBuilt)
      .map((program) => run(["task", "build"], `${folder}/${program.folder}`)),
  );
  // In a clone, the module that is loaded first finds its packages by the links.
  const file = `${folder}/deno.json`, config = JSON.parse(Deno.readTextFileSync(file));
  const linked = { ...config, nodeModulesDir: "manual", lock: false, links: [ROOT] };
  Deno.writeTextFileSync(file, JSON.stringify(linked));
  return folder;
}

async function copy(from: string, to: string): Promise<void> {
  const { success } = await new Deno.Command("cp", { args: ["-rL", from, to] }).output();
  assert(success);
}

async function run(args: readonly string[], cwd: string): Promise<void> {
  await using process = startDeno(args, { cwd, env: { ASTRO_TELEMETRY_DISABLED: "1" } });
  await process.succeeds(PREPARE_MS);
}

/** The clients of all programs, in one process. */
class Clients {
  readonly #process: TestProcess;

  constructor(process: TestProcess) {
    this.#process = process;
  }

  /** What they have seen so far. */
  async report(): Promise<ReadonlyMap<string, ClientReport>> {
    await this.#process.write("\n");
    return read(await this.#process.nextLine());
  }

  /** Waits until each program has answered enough since a report. */
  async haveMoreThan(before?: ReadonlyMap<string, ClientReport>): Promise<void> {
    let all: ReadonlyMap<string, ClientReport> = new Map();
    const isBehind = ({ folder }: Program) =>
      all.get(folder)!.answered < (before?.get(folder)?.answered ?? 0) + ENOUGH;
    try {
      await eventually(async () => {
        all = await this.report();
        return !PROGRAMS.some(isBehind);
      }, { what: "answers", withinMs: CHANGE_MS });
    } catch (cause) {
      const behind = PROGRAMS.filter(isBehind).map(({ folder }) =>
        `${folder}: ${JSON.stringify(all.get(folder))}`
      );
      throw new Error(`Cannot get enough answers\n${behind.join("\n")}`, { cause });
    }
  }

  /** Ends them, when each has finished what it has begun. */
  async finish(): Promise<ReadonlyMap<string, ClientReport>> {
    await this.#process.closeInput();
    const all = read(await this.#process.nextLine());
    await this.#process.succeeds();
    return all;
  }
}

function read(line: string): ReadonlyMap<string, ClientReport> {
  return new Map(Object.entries(JSON.parse(line)));
}

/** What came in between two reports. */
function since(
  before: ReadonlyMap<string, ClientReport>,
  after: ReadonlyMap<string, ClientReport>,
): ReadonlyMap<string, ClientReport> {
  return new Map(
    after.entries().map(([name, { answered, lost }]) => {
      const { answered: less, lost: { length } } = before.get(name)!;
      return [name, { answered: answered - less, lost: lost.slice(length) }];
    }),
  );
}

/** The running processes of each program that are ready. */
function readyServers(master: Master): Map<string, number[]> {
  const running = new Set(master.servers().map(({ pid }) => pid));
  const found = new Map(PROGRAMS.map(({ folder }) => [folder, [] as number[]]));
  for (const [, folder, pid] of master.log.matchAll(/ (\w+)\.cf: ready is process (\d+)$/gm)) {
    if (running.has(Number(pid))) found.get(folder)!.push(Number(pid));
  }
  return found;
}

/** Waits until every program has its processes, and nothing else runs. */
async function haveAll(master: Master, old: readonly number[] = []): Promise<void> {
  try {
    await eventually(() => {
      if (master.servers().length !== COUNT * PROGRAMS.length) return false;
      return readyServers(master).values()
        .every((pids) => pids.length === COUNT && !pids.some((pid) => old.includes(pid)));
    }, { what: "the processes of all programs", withinMs: CHANGE_MS });
  } catch (cause) {
    const all = JSON.stringify([master.servers(), [...readyServers(master)]]);
    throw new Error(`${(cause as Error).message}\n${all}\n${master.log}`, { cause });
  }
}

/** Kills a process of each program, and returns the client's ports of the connections that it had. */
async function killOneEach(master: Master): Promise<ReadonlyMap<string, ReadonlySet<number>>> {
  const victims = readyServers(master).entries().map(([name, [pid]]) => ({ name, pid })).toArray();
  // A suspended process accepts no more, so what it holds now is what ends with it.
  for (const { pid } of victims) await suspend(pid);
  const sockets = tcpSockets();
  const held = victims.map(({ name, pid }) => [name, remotePortsOf(pid, sockets)] as const);
  for (const { pid } of victims) Deno.kill(pid, "SIGKILL");
  return new Map(held);
}

/** Runs all programs under load, reloads them, and kills a process of each. */
async function findOut(site: Site): Promise<Findings> {
  const folder = await prepare(site);
  const targets: ClientTarget[] = PROGRAMS.map((program) => {
    const { folder: name, kind, path = "/", answer = "", command, isTold } = program;
    const port = site.port();
    site.write(`${name}.cf`, {
      "server-command": command,
      "server-service": `127.0.0.1:${port}`,
      "server-proc-count": COUNT,
      "server-protocol": isTold ? "deno" : undefined,
      "master-chdir": `${folder}/${name}`,
    });
    return { name, kind, port, path, answer };
  });
  const master = await site.start();
  await haveAll(master);
  await using process = startDeno(["run", "-A", "--no-check", "main.ts", JSON.stringify(targets)], {
    cwd: `${folder}/clients`,
  });
  const clients = new Clients(process);
  await clients.haveMoreThan();
  const before = await clients.report();
  const old = master.servers().map(({ pid }) => pid);
  await master.reload();
  await haveAll(master, old);
  await clients.haveMoreThan(before);
  const between = await clients.report();
  const held = await killOneEach(master);
  await haveAll(master);
  await clients.haveMoreThan(between);
  const after = await clients.finish();
  await master.stop();
  return { reload: since(before, between), kill: since(between, after), held };
}

Deno.test("programs that nobody here wrote run unchanged, each in two processes", async (t) => {
  await using site = new Site();
  const { reload, kill, held } = await findOut(site);
  for (const program of PROGRAMS) {
    const { folder, title } = program, what = `${title} ${versionOf(program)}`;
    await t.step(`${what} loses nothing at a reload, and at a kill what that process held`, () => {
      const { answered, lost } = reload.get(folder)!;
      assertEquals(lost, []);
      assertGreater(answered, ENOUGH);
      const ports = held.get(folder)!;
      const others = kill.get(folder)!.lost.filter(({ localPort }) => !ports.has(localPort));
      assertEquals(others, [], `of connections at ${[...ports]}`);
    });
  }
});
