/**
 * Signals, to each kind of process: what docs/signals.md says, and that none of them makes a process
 * listen on an address that nobody has asked for.
 */

import { assertEquals } from "@std/assert";
import { SIGNALS } from "../../src/os/process/signals.ts";
import { type Client, greeted, greetedOnceOpen } from "../support/client.ts";
import { hasSignal } from "../support/credentials.ts";
import { giveTimeToOpen, startWitness, untilGrownUp } from "../support/inspector.ts";
import { type Master, MASTER_PROGRAM, pidIn, SERVERS, Site } from "../support/master.ts";
import { peer } from "../support/peers.ts";
import { listeningSockets } from "../support/proc.ts";
import { plainPython } from "../support/python.ts";
import { eventually } from "../support/wait.ts";

const OUTLET = new URL("../support/outlet.py", import.meta.url).pathname;
const PAGE = new URL("../../docs/signals.md", import.meta.url);
const PROGRAM = new URL("../peers/activated.py", import.meta.url).pathname;
/** Far less than a process takes to become able to handle a signal. */
const FLOOD_PAUSE_MS = 5;
const LARGEST_FILE_BYTES = 2 ** 30;

/** The columns of the page. */
type Kind = "master" | "server" | "alone";

/** What the page says: by signal, what it does to each kind of process. */
function effects(): Map<Deno.Signal, Record<Kind, string>> {
  const rows = Deno.readTextFileSync(PAGE).matchAll(
    /^\| (SIG\w+)(?:, …)? *\| (.+?) *\| (.+?) *\| (.+?) *\|$/gm,
  );
  return new Map([...rows].map(([, signal, master, server, alone]) => [
    signal as Deno.Signal,
    { master, server, alone },
  ]));
}

/** The signals that a kind of process survives, and whether it pauses. */
function survived(kind: Kind): { readonly signal: Deno.Signal; readonly pauses: boolean }[] {
  return [...effects()].flatMap(([signal, effect]) =>
    /^(ends|stops|starts)/.test(effect[kind])
      ? []
      : [{ signal, pauses: effect[kind].startsWith("pauses") }]
  );
}

/** Sends all signals that a process survives. */
function sendAll(pid: number, kind: Kind): void {
  for (const { signal, pauses } of survived(kind)) {
    Deno.kill(pid, signal);
    if (pauses) Deno.kill(pid, "SIGCONT");
  }
}

/** Has a process turn its event loop some times after a signal. */
async function turns(client: Client): Promise<void> {
  for (let turn = 0; turn < 20; turn++) assertEquals(await client.ask("echo on"), "on");
}

Deno.test("docs/signals.md has every signal of the system", () => {
  assertEquals(
    [...effects().keys()].toSorted(),
    [...SIGNALS.slice(1), "SIGRTMIN"].toSorted() as Deno.Signal[],
  );
});

/** What a process does not leave at its default: signals that it catches, ignores or blocks. */
function handled(pid: number): Deno.Signal[] {
  const sets = ["SigCgt", "SigIgn", "SigBlk"];
  return SIGNALS.flatMap((signal, number) =>
    number > 0 && sets.some((set) => hasSignal(pid, set, number)) ? [signal as Deno.Signal] : []
  );
}

/** The default of these is to do nothing, or to go on. */
const HARMLESS: readonly string[] = ["SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"];
/** Pause no process in a session of its own. */
const OF_TERMINAL: readonly string[] = ["SIGTSTP", "SIGTTIN", "SIGTTOU"];
/** The runtime catches these itself, for the terminal and to tell an overflow of the stack, and ends. */
const OF_RUNTIME: readonly string[] = ["SIGHUP", "SIGBUS", "SIGSEGV"];

/** The signals of which the page says something else than what a process does with them. */
function mistold(pid: number, kind: Kind): string[] {
  const own = new Set<string>(handled(pid));
  return [...effects()].filter(([signal]) => signal as string !== "SIGRTMIN").flatMap(
    ([signal, { [kind]: effect }]) => {
      const isLeft = /^(ends|pauses)/.test(effect) && !OF_RUNTIME.includes(signal);
      const mayBeLeft = isLeft || signal === "SIGKILL" || HARMLESS.includes(signal) ||
        OF_RUNTIME.includes(signal) || kind === "server" && OF_TERMINAL.includes(signal);
      const isRight = own.has(signal) ? !isLeft : mayBeLeft;
      return isRight ? [] : [`${signal} of a ${kind}: ${effect}`];
    },
  );
}

Deno.test("docs/signals.md says of each signal what processes of all kinds have set for it", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  site.serve("b.cf", { mode: "aio", service: site.port(), "server-permissions": "none" });
  const master = await site.start();
  const pids = [...await master.serving("a.cf", 1), ...await master.serving("b.cf", 1)];
  const path = site.socket("s");
  const argv = [Deno.execPath(), "run", "-A", SERVERS.coroutine];
  const alone = site.execute([...argv, "alone", "-server-service", path]);
  await alone.complains(/serviceRegister/);
  assertEquals([
    ...mistold(master.pid, "master"),
    ...pids.flatMap((pid) => mistold(pid, "server")),
    ...mistold(alone.pid, "alone"),
  ], []);
  alone.signal("SIGTERM");
  assertEquals((await alone.ended()).code, 0);
  await master.stop();
});

/** The services of all kinds, which begin to serve when the file `go` is there. */
function serveAll(site: Site): Record<string, number> {
  const ports: Record<string, number> = {};
  const kinds: Record<string, Record<string, unknown>> = {
    coroutine: { mode: "coroutine", "server-standby-count": 1 },
    aio: { mode: "aio" },
    "coroutine-none": { mode: "coroutine", "server-permissions": "none" },
    "aio-none": { mode: "aio", "server-permissions": "none" },
    // By way of the shim, which is another program at first.
    shim: { mode: "coroutine", "master-chdir": site.dir.path },
  };
  for (const [name, { mode, ...settings }] of Object.entries(kinds)) {
    const service = ports[name] = site.port();
    site.serve(`${name}.cf`, { mode: mode as "aio", service, ...settings });
  }
  return ports;
}

/** Sends SIGUSR1 to each server of a master from the moment on that it can be seen. */
function flood(master: Master): { readonly seen: Set<number>; end(): Promise<void> } {
  const seen = new Set<number>();
  let isOver = false;
  const sending = (async () => {
    while (!isOver) {
      for (const { pid } of master.servers()) {
        seen.add(pid);
        Deno.kill(pid, "SIGUSR1");
      }
      // All processes of the system are looked at for this, and the servers need the time, too.
      await new Promise((resolve) => setTimeout(resolve, FLOOD_PAUSE_MS));
    }
  })();
  return {
    seen,
    async end() {
      isOver = true;
      await sending;
    },
  };
}

Deno.test("no signal opens a port in a server, from its first moment on, whatever it is", async () => {
  await using site = new Site();
  const ports = serveAll(site);
  const master = await site.start();
  const { seen, end } = flood(master);
  for (const port of Object.values(ports)) {
    const connected = () => greeted(port).then((client) => (client.close(), true), () => false);
    await eventually(connected, { what: `port ${port}` });
  }
  await master.logs(/loaded is process \d+/);
  await untilGrownUp(seen);
  await end();
  // None has died of it.
  assertEquals(new Set(master.servers().map(({ pid }) => pid)), seen, master.log);
  assertEquals(seen.size, 6);

  const before = new Map([...seen].map((pid) => [pid, listeningSockets(pid)]));
  const clients = await Promise.all(Object.values(ports).map(greeted));
  await using witness = startWitness();
  await giveTimeToOpen(witness, () => seen.forEach((pid) => sendAll(pid, "server")));
  for (const client of clients) await turns(client);
  for (const [pid, sockets] of before) {
    assertEquals(listeningSockets(pid), sockets, `process ${pid}\n${master.log}`);
  }
  assertEquals(new Set(master.servers().map(({ pid }) => pid)), seen, master.log);
  clients.forEach((client) => client.close());
  await master.stop();
});

Deno.test("a program of another kind has SIGUSR1 as it is, which opens no port in one of Deno behind env --block-signal=USR1", async () => {
  await using site = new Site();
  const script = site.dir.write("app.ts", "setInterval(() => {}, 60_000);\n");
  const commands = {
    deno: `env --block-signal=USR1 deno run -A ${script}`,
    systemd: [...plainPython(), PROGRAM].join(" "),
    libzc: peer("server"),
  };
  for (
    const [name, command, protocol] of [
      ["deno-systemd", commands.deno, "systemd"],
      ["deno-libzc", commands.deno, "libzc"],
      ["systemd", commands.systemd, "systemd"],
      ["libzc", commands.libzc, "libzc"],
    ]
  ) {
    site.write(`${name}.cf`, {
      "server-command": command,
      "server-service": `127.0.0.1:${site.port()}`,
      "server-protocol": protocol,
    });
  }
  const master = await site.start();
  // Neither the shim nor env any more.
  const ofDeno = () => master.servers().filter(({ argv }) => argv[3] === script);
  const others = () =>
    master.servers().filter(({ argv }) => /^(.*python3|c_server)$/.test(argv[0] ?? ""));
  await eventually(() => ofDeno().length === 2 && others().length === 2, {
    what: "the programs",
  });
  for (const { pid, argv } of others()) {
    for (const mask of ["SigBlk", "SigIgn"]) {
      assertEquals(hasSignal(pid, mask, SIGNALS.indexOf("SIGUSR1")), false, `${mask} of ${argv}`);
    }
  }
  const pids = () => ofDeno().map(({ pid }) => pid);
  const seen = pids(), before = seen.map(listeningSockets);
  await untilGrownUp(seen, () => seen.forEach((pid) => Deno.kill(pid, "SIGUSR1")));
  await using witness = startWitness();
  await giveTimeToOpen(witness, () => seen.forEach((pid) => Deno.kill(pid, "SIGUSR1")));
  assertEquals([pids(), seen.map(listeningSockets)], [seen, before], master.log);
  await master.stop(20_000);
});

Deno.test("no signal opens a port in a master, before an upgrade, after it, and while it drains", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  const client = await greeted(port);
  await untilGrownUp([master.pid]);
  const before = listeningSockets(master.pid);
  const send = async (pid: number) => {
    await using witness = startWitness();
    await giveTimeToOpen(witness, () => sendAll(pid, "master"));
    const count = master.logged(/reopened the log files/);
    Deno.kill(pid, "SIGUSR1");
    // What comes in its log says that its event loop has gone round.
    await eventually(() => master.logged(/reopened the log files/) > count, { what: "its log" });
  };
  await send(master.pid);
  await master.logs(/\] reloaded/);
  assertEquals(listeningSockets(master.pid), before);

  const old = await master.upgrade();
  await untilGrownUp([master.pid]);
  const pids = [old, master.pid], sockets = pids.flatMap(listeningSockets);
  await send(master.pid);
  await send(old);
  // The old one may have closed what it had.
  const added = pids.flatMap(listeningSockets).filter((socket) => !sockets.includes(socket));
  assertEquals(added, [], master.log);
  assertEquals(await client.ask("echo served"), "served");
  client.close();
  await master.stop();
});

Deno.test("no signal opens a port in a server that was started by hand", async () => {
  await using site = new Site();
  const path = site.socket("s");
  const server = site.execute([
    Deno.execPath(),
    "run",
    "-A",
    SERVERS.coroutine,
    "alone",
    "-server-service",
    path,
  ]);
  await server.complains(/serviceRegister/);
  const client = await greeted(path);
  await untilGrownUp([server.pid]);
  await using witness = startWitness();
  await giveTimeToOpen(witness, () => sendAll(server.pid, "alone"));
  await turns(client);
  assertEquals(listeningSockets(server.pid), []);
  client.close();
  server.signal("SIGQUIT");
  assertEquals((await server.ended()).code, 0);
});

Deno.test("SIGQUIT stops a master in order, and a second one shortens that", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  site.serve("b.cf", { mode: "aio", service: site.port(), "server-permissions": "none" });
  const master = await site.start();
  await master.serving("a.cf", 1);
  const client = await greeted(port);
  master.signal("SIGQUIT");
  await master.logs(new RegExp(`softstop of process ${pidIn(client)}`));
  assertEquals(await client.ask("echo finishing"), "finishing");
  master.signal("SIGQUIT");
  assertEquals(await client.ending(), "end of file");
  client.close();
  await master.stopped();
});

Deno.test("Ctrl-\\ in a terminal lets the servers finish, as Ctrl-C does", async () => {
  await using site = new Site();
  const ports = [site.port(), site.port()];
  site.serve("a.cf", { mode: "coroutine", service: ports[0] });
  site.serve("b.cf", { mode: "aio", service: ports[1], "server-permissions": "none" });
  const argv = [Deno.execPath(), "run", "-A", MASTER_PROGRAM];
  const process = site.execute([...argv, "-C", site.conf, "-pid-file", site.pidFile, "--DEBUG"], {
    prefix: [...plainPython(), OUTLET, "terminal"],
  });
  await process.prints(/serviceRegister[^]*serviceRegister/);
  const clients = await Promise.all(ports.map(greeted));
  await process.write("\x1c");
  await process.prints(/softstop of process/);
  for (const client of clients) {
    assertEquals(await client.ask("echo finishing"), "finishing");
    assertEquals(await client.ask("quit"), "bye");
    client.close();
  }
  assertEquals((await process.ended()).code, 0);
  await site.isGone();
});

Deno.test("an output that is as large as a file may be ends no process", async () => {
  await using site = new Site();
  const port = site.port();
  site.serve("a.cf", { mode: "coroutine", service: port });
  const log = site.dir.write("log", "");
  // More than what the runtime keeps in its own files; there is nothing in it.
  Deno.truncateSync(log, LARGEST_FILE_BYTES);
  const limited = `ulimit -f ${LARGEST_FILE_BYTES / 512}; exec "$@" 2>> "$0"`;
  const argv = [Deno.execPath(), "run", "-A", MASTER_PROGRAM];
  const process = site.execute([...argv, "-C", site.conf, "-pid-file", site.pidFile], {
    prefix: ["sh", "-c", limited, log],
  });
  const client = await greetedOnceOpen(port);
  Deno.kill(process.pid, "SIGUSR1");
  await turns(client);
  client.close();
  process.signal("SIGTERM");
  assertEquals((await process.ended()).code, 0);
  assertEquals(Deno.statSync(log).size, LARGEST_FILE_BYTES);
});
