import { assert, assertEquals, assertMatch } from "@std/assert";
import { Client, greeted, isRefused } from "../support/client.ts";
import { example, MODES, pidIn, SERVERS, Site } from "../support/master.ts";
import {
  CMaster,
  denoExecutable,
  executable,
  gone,
  isRunning,
  successorOf,
  withDenoInPath,
} from "../support/peers.ts";
import { descriptorsOf, listenerInode } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

/** A server of this project in one executable file, for a command without arguments. */
function wrapped(site: Site, script: string, args = ""): string {
  const text = `#!/bin/sh\nexec deno run -A ${script} "$@" ${args}\n`;
  return executable(site, { name: "server", text });
}

/** Clients that come one after the other, so that each finds the service in another moment. */
class ClientLoop {
  readonly #served: Promise<number>;
  #running = true;

  constructor(port: number) {
    this.#served = this.#run(port);
  }

  /** Tells how many were served; rejects if one was not. */
  stop(): Promise<number> {
    this.#running = false;
    return this.#served;
  }

  async #run(port: number): Promise<number> {
    let served = 0;
    while (this.#running) {
      using client = await greeted(port);
      assertEquals(await client.ask(`echo ${served}`), `${served}`);
      served++;
    }
    return served;
  }
}

for (const mode of MODES) {
  Deno.test(`a ${mode} server under a master in C serves all of its services`, async () => {
    await using site = new Site();
    const ports = [site.port(), site.port()];
    const [path, fifo] = [site.dir.file("u"), site.dir.file("f")];
    const service = `127.0.0.1:${ports[0]};ssl://127.0.0.1:${ports[1]}\t${path},in://fifo:${fifo}`;
    const command = denoExecutable(site, SERVERS[mode]);
    site.write("x.cf", { "server-command": command, "server-service": service, color: "blue" });
    site.write("all.gcf", { color: "red", shape: "round" });
    const master = await CMaster.start(site);
    using client = await greeted(ports[0]);
    assertMatch(client.greeting, new RegExp(`^${mode} \\d+ - inet$`));
    using ssl = await greeted(ports[1]);
    assertMatch(ssl.greeting, new RegExp(`^${mode} \\d+ ssl inet$`));
    using unix = await greeted(path);
    assertMatch(unix.greeting, new RegExp(`^${mode} \\d+ - unix$`));
    assertEquals(await unix.ask("echo hello"), "hello");
    assertEquals(await client.ask("setting color"), "blue");
    assertEquals(await client.ask("setting shape"), "round");
    for (const line of ["one", "two"]) {
      await Deno.writeTextFile(fifo, `${line}\n`, { create: false });
      await master.logs(new RegExp(`from the fifo: ${line}`));
    }
    assertEquals(master.servers().map(({ pid }) => pid), [pidIn(client)]);
    const descriptors = descriptorsOf(pidIn(client));
    assertMatch([3, 4].map((fd) => descriptors.get(fd)).join(), /^pipe:.*,pipe:/);
    assertEquals(
      [...descriptors.values()].filter((name) => name === `socket:[${listenerInode(ports[0])}]`),
      [`socket:[${listenerInode(ports[0])}]`],
    );
    for (const each of [client, ssl, unix]) each.close();
    await master.stop();
  });

  Deno.test(`a ${mode} server under a master in C that reloads drains, and no connection is lost`, async () => {
    await using site = new Site();
    const port = site.port();
    const command = denoExecutable(site, SERVERS[mode]);
    const settings = { "server-command": command, "server-service": `127.0.0.1:${port}` };
    site.write("x.cf", { ...settings, "server-proc-count": 2 });
    const master = await CMaster.start(site);
    using before = await greeted(port);
    const inode = listenerInode(port);
    const clients = new ClientLoop(port);
    try {
      for (const [reloads, color] of ["red", "blue"].entries()) {
        site.write("x.cf", { ...settings, "server-proc-count": 2, color });
        await master.reload();
        await master.logs(/serviceRegister/, 2 * (reloads + 2));
      }
      // Those of before may still accept for a moment.
      await eventually(async () => {
        using after = await greeted(port);
        return await after.ask("setting color") === "blue";
      }, { what: "an answer of the last version" });
    } finally {
      assert(await clients.stop() > 0);
    }
    assertEquals(listenerInode(port), inode);
    // The old one finishes what it has, and takes nothing new.
    assertEquals(await before.ask("echo still"), "still");
    before.close();
    await gone(pidIn(before));
    await master.stop();
  });

  Deno.test(`a ${mode} server under a master in C that detaches gets a replacement, and is left alone`, async () => {
    await using site = new Site();
    const port = site.port();
    const command = denoExecutable(site, SERVERS[mode]);
    const settings = { "server-command": command, "server-service": `127.0.0.1:${port}` };
    site.write("x.cf", settings);
    const master = await CMaster.start(site);
    using detached = await greeted(port);
    assertEquals(await detached.ask("detach"), "detached");
    await master.logs(new RegExp(`lost ${pidIn(detached)}\n`));
    using next = await successorOf(pidIn(detached), port);
    await master.reload();
    next.close();
    await gone(pidIn(next));
    assertEquals(await detached.ask("echo still"), "still");
    detached.close();
    // It can't outlive the process that started it, as its like in C can't.
    await master.stop();
  });

  Deno.test(`no ${mode} server outlives a master in C that is killed by more than 2 s`, async () => {
    await using site = new Site();
    const ports = [site.port(), site.port()];
    const command = denoExecutable(site, SERVERS[mode]);
    site.write("x.cf", {
      "server-command": command,
      "server-service": `127.0.0.1:${ports[0]}`,
      "server-proc-count": 2,
    });
    const master = await CMaster.start(site);
    await master.serving("x.cf", 2);
    // A client that stays does not keep it.
    using _ = await greeted(ports[0]);
    master.process.signal("SIGKILL");
    await master.process.ended();
    await site.isGone();
  });

  Deno.test(`a ${mode} server under a master in C that is killed is replaced`, async () => {
    await using site = new Site();
    const port = site.port();
    const command = denoExecutable(site, SERVERS[mode]);
    site.write("x.cf", { "server-command": command, "server-service": `127.0.0.1:${port}` });
    const master = await CMaster.start(site);
    using first = await greeted(port);
    Deno.kill(pidIn(first), "SIGKILL");
    using second = await successorOf(pidIn(first), port);
    assertEquals(await second.ask("echo hello"), "hello");
    second.close();
    await master.stop();
  });

  Deno.test(`a ${mode} server whose address a master in C names no longer drains`, async () => {
    await using site = new Site();
    const ports = [site.port(), site.port()];
    const command = denoExecutable(site, SERVERS[mode]);
    const settings = { "server-command": command };
    site.write("x.cf", { ...settings, "server-service": `127.0.0.1:${ports[0]}` });
    const master = await CMaster.start(site);
    using before = await greeted(ports[0]);
    site.write("x.cf", { ...settings, "server-service": `127.0.0.1:${ports[1]}` });
    await master.reload();
    using after = await greeted(ports[1]);
    // It was told twice: by the status pipe, and by SIGTERM.
    assertEquals(await before.ask("echo still"), "still");
    await eventually(() => isRefused(ports[0]), { what: "the old listener's end" });
    before.close();
    await gone(pidIn(before));
    assert(isRunning(pidIn(after)));
    after.close();
    await master.stop();
  });
}

/** How a server under a master in C ends: after how long, in seconds, or not so soon (undefined). */
const softstops: readonly {
  readonly after: number | undefined;
  readonly hook: boolean;
  readonly ends: number | undefined;
}[] = [
  { after: 0, hook: false, ends: 0 },
  { after: 1, hook: false, ends: 1 },
  { after: 0, hook: true, ends: undefined },
  { after: 1, hook: true, ends: 1 },
  { after: undefined, hook: false, ends: undefined },
];

for (const [index, { after, hook, ends }] of softstops.entries()) {
  const mode = MODES[index % MODES.length];
  const name = `${hook ? "with" : "without"} a hook and with M = ${after ?? "nothing"}`;
  const what = ends === undefined ? "goes on" : `ends after ${ends} s`;
  Deno.test(`a ${mode} server ${name} ${what} at a reload of a master in C`, async () => {
    await using site = new Site();
    const port = site.port();
    const command = wrapped(site, SERVERS[mode], hook ? "--before-softstop" : "");
    site.write("x.cf", {
      "server-command": command,
      "server-service": `127.0.0.1:${port}`,
      "server-stop-on-softstop-after": after,
    });
    const master = await CMaster.start(site);
    using client = await greeted(port);
    const startedAt = performance.now();
    await master.reload();
    if (hook) await master.logs(/beforeSoftstop/);
    if (ends === undefined) {
      using next = await successorOf(pidIn(client), port);
      assertEquals(await client.ask("echo still"), "still");
      assertEquals(await next.ask("echo hello"), "hello");
      client.close();
    } else {
      if (ends > 0) assertEquals(await client.ask("echo still"), "still");
      assertEquals(await client.ending(), "end of file");
      await gone(pidIn(client));
      const elapsed = performance.now() - startedAt;
      assert(elapsed > ends * 1000 - 5 && elapsed < ends * 1000 + 3000, `${elapsed} ms`);
    }
    await master.stop();
  });
}

const examples = [
  {
    file: "aio_server.ts",
    welcome: "echo server, support command: exit, DETACH",
    answer: "your input:   hello",
  },
  { file: "coroutine_server.ts", welcome: "welcome coroutine", answer: "hello" },
];

for (const { file, welcome, answer } of examples) {
  Deno.test(`examples/${file} runs under a master in C, and detaches from it`, async () => {
    await using site = new Site();
    const port = site.port();
    const command = wrapped(site, example(file));
    site.write("x.cf", { "server-command": command, "server-service": `127.0.0.1:${port}` });
    const master = await CMaster.start(site);
    using client = await Client.connect(port);
    assertEquals(await client.line(), welcome);
    assertEquals(await client.ask("hello"), answer);
    const [{ pid }] = master.servers();
    await client.ask("DETACH");
    await master.logs(new RegExp(`lost ${pid}\n`));
    using next = await Client.connect(port);
    assertEquals(await next.line(), welcome);
    assert(isRunning(pid));
    client.close();
    next.close();
    await master.stop();
  });
}

Deno.test("one executable server file runs under both masters", async () => {
  await using site = new Site();
  const port = site.port();
  const command = denoExecutable(site, SERVERS.coroutine);
  site.write("x.cf", { "server-command": command, "server-service": `127.0.0.1:${port}` });
  const old = await CMaster.start(site);
  {
    using client = await greeted(port);
    assertEquals(await client.ask("echo hello"), "hello");
    assert(!old.servers()[0].argv.includes("-server-control"));
  }
  await old.stop();
  const master = await site.start({ env: withDenoInPath(site) });
  {
    using client = await greeted(port);
    assertEquals(await client.ask("echo hello"), "hello");
    assert(master.servers("x.cf")[0].argv.includes("-server-control"));
  }
  await master.stop();
});

Deno.test("a server that is started with MASTER by hand says what is missing", async () => {
  await using site = new Site();
  const args = ["MASTER", "-server-service", ":i5"];
  const { code, stderr } = await site.run(args, { program: SERVERS.coroutine }).ended();
  assertEquals(code, 1);
  assertMatch(stderr, /Cannot start "MASTER": no -server-control, and descriptors 3 and 4 are no/);
});

Deno.test("a server whose master is gone before it has started ends at once", async () => {
  await using site = new Site();
  const port = site.port();
  // The wrapper holds it back until its master has been killed.
  const text = `#!/bin/sh\necho waiting $$ >&2\nread _ <${site.dir.file("go")}\n` +
    `exec deno run -A ${SERVERS.aio} "$@"\n`;
  new Deno.Command("mkfifo", { args: [site.dir.file("go")] }).outputSync();
  const command = executable(site, { name: "server", text });
  site.write("x.cf", { "server-command": command, "server-service": `127.0.0.1:${port}` });
  const master = await CMaster.start(site);
  const [, pid] = await master.logs(/waiting (\d+)\n/);
  master.process.signal("SIGKILL");
  await Deno.writeTextFile(site.dir.file("go"), "\n", { create: false });
  await gone(Number(pid));
  await site.isGone();
});

Deno.test("a server under a master in C serves with settings that servers in C pass over", async () => {
  await using site = new Site();
  const port = site.port();
  Deno.symlinkSync("/no/such/file", `${site.conf}/dead.gcf`);
  site.write("all.gcf", { color: "red", "run-user": "nosuchuser", "run-chdir": "/no/such" });
  site.write("x.cf", {
    "server-command": denoExecutable(site, SERVERS.coroutine),
    "server-service": `127.0.0.1:${port}`,
    "server-proc-count": "1 # one",
    "server-log": "syslog,mial",
    "server-stop-on-softstop-after": "5sec",
    "exit-after": "-1",
    "debug": "3",
    "max-memory": "10mb",
    "core-file-size": "lots",
    "server-proc-cuont": "4",
  });
  const master = await CMaster.start(site);
  using client = await greeted(port);
  assertEquals(await client.ask("setting color"), "red");
  assertEquals(await client.ask("setting server-proc-cuont"), "4");
  assertEquals(master.servers().map(({ pid }) => pid), [pidIn(client)]);
  client.close();
  await master.stop();
});
