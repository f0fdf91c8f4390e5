import { assert, assertEquals, assertLess, assertMatch, assertNotEquals } from "@std/assert";
import { HttpClient } from "../server/http_client.ts";
import { Client, greeted } from "../support/client.ts";
import { flagsOf } from "../support/descriptors.ts";
import { type Master, MODES, pidIn, SERVERS, Site } from "../support/master.ts";
import { serveSmall, successorOf } from "../support/peers.ts";
import { descriptorsOf, listenerInode } from "../support/proc.ts";
import { plainPython } from "../support/python.ts";
import { eventually, GOES_ON_MS } from "../support/wait.ts";

const CONFINED = new URL("../support/servers/confined.ts", import.meta.url).pathname;
const LISTING = new URL("../support/servers/descriptors.py", import.meta.url).pathname;

/** The descriptors of a process that are the listener of an address. */
function listenersAt(target: number | string, pid: number): number[] {
  const wanted = `socket:[${listenerInode(target)}]`;
  return [...descriptorsOf(pid)].flatMap(([fd, found]) => found === wanted ? [fd] : []);
}

/** Fails if a process was asked whether something is to be allowed. */
function assertNoPrompt(master: Master): void {
  assertEquals(master.logged(/prompt|Allow\?|requests? (all|\w+) access/i), 0, master.log);
}

for (const mode of MODES) {
  Deno.test(`${mode} mode: a server without any permission serves, is reloaded, drains and is replaced`, async () => {
    await using site = new Site();
    const port = site.port(), path = site.socket("u"), other = site.port();
    const fifo = site.dir.file("f");
    const service = `127.0.0.1:${port},${path},fifo:${fifo}`;
    site.serve("a.cf", { mode, service, "server-permissions": "none" });
    serveSmall(site, "b.cf", other);
    const master = await site.start();
    const old = await greeted(port);
    assertEquals(await old.ask("echo hello"), "hello");
    using onUnix = await greeted(path);
    assertEquals(await onUnix.ask("echo unix"), "unix");
    await Deno.writeTextFile(fifo, "through the pipe\n", { create: false });
    await master.logs(/from the fifo: through the pipe/);
    assertEquals(await onUnix.ask("setting server-permissions"), "none");
    assertEquals(await onUnix.ask("quit"), "bye");

    const pid = pidIn(old);
    await master.serving("b.cf", 1);
    for (const target of [port, path]) {
      assertEquals(listenersAt(target, pid).length, 1, `${target}`);
      const [shared] = listenersAt(target, master.pid);
      assert(flagsOf(shared, master.pid).nonblocking, `${target} blocks`);
      assert(flagsOf(shared, master.pid).closeOnExec, `${target} would be inherited`);
    }
    assertEquals(listenersAt(other, pid), []);

    // The old one finishes what it has.
    await master.reload();
    await master.logs(new RegExp(`softstop of process ${pid}`));
    // The master's word may still be on its way to it.
    const second = await successorOf(pid, port);
    assertEquals(await old.ask("echo still here"), "still here");
    old.close();
    await master.logs(new RegExp(`reaped process ${pid}, which was draining`));

    Deno.kill(pidIn(second), "SIGKILL");
    const third = await greeted(port);
    assertNotEquals(pidIn(third), pidIn(second));
    second.close();

    assertEquals(await third.ask("detach"), "detached");
    await master.logs(new RegExp(`process ${pidIn(third)} has detached`));
    const fourth = await successorOf(pidIn(third), port);
    assertEquals(await third.ask("stop 0"), "stopping");
    third.close();
    assertEquals(await fourth.ask("echo at last"), "at last");
    fourth.close();
    assertNoPrompt(master);
    await master.logs(/without --allow-ffi/, 4);
    assertEquals(master.logged(/without --allow-ffi/), 4, "a line for each of its processes");
    await master.stop();
  });
}

Deno.test("servers without any permission do not outlive their master, in both modes", async () => {
  await using site = new Site();
  const ports = MODES.map((mode) => {
    const port = site.port();
    site.serve(`${mode}.cf`, { mode, service: port, "server-permissions": "none" });
    return port;
  });
  const master = await site.start();
  const clients = await Promise.all(ports.map((port) => greeted(port)));
  master.process.signal("SIGKILL");
  for (const client of clients) {
    assertEquals(await client.ending(), "end of file");
    client.close();
  }
  await site.isGone();
});

Deno.test("a program that inherits its sockets starts with these, 0, 1, 2 and its worker socket", async () => {
  await using site = new Site();
  site.write("a.cf", {
    "server-command": [...plainPython(), LISTING].join(" "),
    "server-protocol": "inherit",
    "server-service": `127.0.0.1:${site.port()} ${site.socket("a")} fifo:${site.dir.file("f")}`,
    "server-proc-count": 2,
  });
  serveSmall(site, "b.cf", site.port());
  const leaky = 'exec 9>"$0.leak" 8</ 7<&0; exec "$@"';
  const master = await site.start({ prefix: ["sh", "-c", leaky, site.dir.file("sh")] });
  await master.logs(/ descriptors \d+:/, 2);
  await master.logs(/a\.cf: ready .*\d+/);
  await master.reload();
  await master.logs(/ descriptors \d+:/, 4);
  for (const [, , list] of master.log.matchAll(/ descriptors (\d+): (.*)$/gm)) {
    const numbers = list.split(" ").map(Number);
    assertEquals(numbers.slice(0, 3), [0, 1, 2]);
    assertEquals(numbers.length, 7, list);
  }
  await master.stop();
});

/** Flags, what is logged with them, and whether a server of the aio mode lacks something, too. */
const PARTIAL: readonly (readonly [flags: string, log?: RegExp, inAio?: boolean])[] = [
  ["--allow-read", /without --allow-ffi: node:net serves its sockets/],
  ["--allow-net", /without --allow-ffi: node:net serves its sockets/],
  ["--allow-run --allow-env", /without --allow-ffi: node:net serves its sockets/],
  ["--allow-all --deny-ffi", /without --allow-ffi: node:net serves its sockets/],
  [
    "--allow-ffi",
    /Cannot adopt a listener: no net access, expected --allow-net.*served through node:net/,
    false,
  ],
  ["--allow-ffi --allow-net"],
  ["--allow-ffi --allow-net --allow-read"],
];

Deno.test("servers with a part of the permissions serve, and tell what they lack, in both modes", async (t) => {
  await using site = new Site();
  const services = MODES.flatMap((mode) =>
    PARTIAL.map(([flags, lack, inAio = true], index) => {
      const port = site.port(), log = mode === "coroutine" || inAio ? lack : undefined;
      site.serve(`${mode}-${index}.cf`, { mode, service: port, "server-permissions": flags });
      return { name: `${mode} mode: ${flags}`, port, log };
    })
  );
  const master = await site.start();
  for (const { name, port, log } of services) {
    await t.step(name, async () => {
      using client = await greeted(port);
      assertEquals(await client.ask("echo hello"), "hello");
      const own = new RegExp(`\\[${pidIn(client)}\\] .*${log?.source ?? "node:net"}`);
      if (log === undefined) assertEquals(master.logged(own), 0, master.log);
      else await master.logs(own);
    });
  }
  assertNoPrompt(master);
  await master.stop();
});

Deno.test("a server that can't receive its sockets says what to change", async () => {
  await using site = new Site();
  site.write("a.cf", {
    "server-command": `deno run ${SERVERS.coroutine}`,
    "server-protocol": "control",
    "server-service": `127.0.0.1:${site.port()}`,
  });
  const master = await site.start();
  await master.logs(
    /1 descriptors, expected to inherit them \(server-protocol = inherit\), since a server without --allow-ffi receives none/,
  );
  assertNoPrompt(master);
  await master.stop();
});

Deno.test("servers of one master can do what their permissions name, and nothing else", async (t) => {
  await using site = new Site();
  const [bare, none, named, http, lines] = Array.from({ length: 5 }, () => site.port());
  site.write("bare.cf", {
    "server-command": `deno run ${SERVERS.coroutine} one --two`,
    "server-service": `127.0.0.1:${bare}`,
    "server-proc-count": 2,
  });
  site.serve("syslog.cf", {
    mode: "aio",
    service: site.port(),
    "server-permissions": "none",
    "server-log": "syslog,mail",
  });
  const confined = { "server-command": CONFINED };
  site.write("none.cf", {
    ...confined,
    "server-service": `127.0.0.1:${none}`,
    "server-permissions": "none",
  });
  site.write("named.cf", {
    ...confined,
    "server-service": `127.0.0.1:${named}`,
    "server-permissions": "--allow-read=/etc/hostname --allow-sys=hostname",
  });
  site.write("ffi.cf", {
    ...confined,
    "server-service": `http://127.0.0.1:${http} 127.0.0.1:${lines} http://${site.socket("h")}`,
    "server-permissions": "--allow-ffi",
  });
  const master = await site.start();

  await t.step("without permissions in its command a server inherits its sockets", async () => {
    await master.serving("bare.cf", 2);
    using client = await greeted(bare);
    assertEquals(await client.ask("setting two"), "yes");
  });

  await t.step(
    "without FFI a server logs to stderr in place of a socket, and says so",
    async () => {
      await master.serving("syslog.cf", 1);
      assertEquals(
        master.logged(/without --allow-ffi: .*, its log goes to stderr$/),
        1,
        master.log,
      );
    },
  );

  await t.step(
    "without any permission a server can't read, write, connect, listen, run, kill, use FFI or look around",
    async () => {
      using client = await greeted(none);
      const attempts = "read write connect listen run kill ffi env sys".split(" ");
      for (const what of attempts) assertEquals(await client.ask(what), "NotCapable", what);
    },
  );

  await t.step("a server can do what its permissions name", async () => {
    using client = await greeted(named);
    for (const what of ["read", "sys"]) assertEquals(await client.ask(what), "done", what);
    for (const what of ["write", "ffi", "run"]) assertEquals(await client.ask(what), "NotCapable");
  });

  await t.step(
    "a server with FFI that may not listen says once where to write it, whatever it serves",
    async () => {
      await master.serving("ffi.cf", 1);
      const answer = await fetch(`http://127.0.0.1:${http}/`);
      assertEquals(answer.status, 200);
      await answer.body?.cancel();
      await master.logs(/Cannot adopt/, 3);
      const place = `in the server-permissions of ${site.conf}/ffi.cf`;
      const told = master.log.split("\n").filter((line) => line.includes("Cannot adopt"));
      assertEquals(
        told.map((line) => /expected (\S+ .*), or in its/.exec(line)?.[1]).sort(),
        [
          `--allow-net ${place}`,
          `--allow-net=127.0.0.1 ${place}`,
          `--allow-net=127.0.0.1 ${place}`,
        ],
        master.log,
      );
    },
  );
  assertNoPrompt(master);
  await master.stop();
});

for (const permissions of ["none", "--allow-ffi"]) {
  Deno.test(`serveHttp() with server-permissions ${permissions} answers, streams and drains as the runtime's server does`, async (t) => {
    await using site = new Site();
    const port = site.port(), path = site.socket("h");
    site.write("a.cf", {
      "server-command": CONFINED,
      "server-service": `http://127.0.0.1:${port} http://${path}`,
      "server-permissions": permissions,
    });
    const master = await site.start();
    await master.serving("a.cf", 1);
    await t.step("it answers as the runtime's server does", async () => {
      const at = `http://127.0.0.1:${port}`;
      const plain = await fetch(`${at}/a//b?c=%20d`);
      assertEquals(await plain.json(), {
        method: "GET",
        url: `${at}/a//b?c=%20d`,
        remote: "tcp",
      });
      assertMatch(plain.headers.get("content-length") ?? "", /^\d+$/);
      assertEquals(plain.headers.get("content-type"), "application/json");

      const upload = crypto.getRandomValues(new Uint8Array(60_000));
      const parts = Array.from({ length: 20 }, () => upload);
      const body = ReadableStream.from(parts);
      const echoed = await fetch(`${at}/echo`, { method: "POST", body });
      assertEquals((await echoed.bytes()).length, 20 * upload.length);

      const failed = await fetch(`${at}/fail`);
      assertEquals([failed.status, await failed.text()], [500, "Internal Server Error"]);
      await master.logs(/error while answering a request: Error: a fault in a handler/);

      const head = await fetch(`${at}/x`, { method: "HEAD" });
      assertEquals([head.status, await head.text()], [200, ""]);

      using unix = await HttpClient.connect(path);
      assertEquals(JSON.parse((await unix.get("/u")).body).remote, "unix");
      // Unread, and yet the connection can be used again.
      await unix.post("/unread", 100_000);
      await unix.send(new Uint8Array(100_000));
      assertEquals(JSON.parse((await unix.answer()).body).method, "POST");
      assertEquals((await unix.get("/again")).status, 200);
      assertEquals(await brokenRequest(port), "HTTP/1.1 400 Bad Request\r\n");
    });

    await t.step("it sends each piece of a body at once", async () => {
      const pieces = new TransformStream<Uint8Array, Uint8Array>();
      const writer = pieces.writable.getWriter();
      writer.write(new TextEncoder().encode("first"));
      const response = await fetch(`http://127.0.0.1:${port}/stream`, {
        method: "POST",
        body: pieces.readable,
      });
      assertEquals(response.headers.getSetCookie(), ["a=1", "b=2"]);
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      assertEquals((await reader.read()).value, "first");
      writer.write(new TextEncoder().encode("second"));
      assertEquals((await reader.read()).value, "second");
      writer.close();
      assertEquals(await reader.read(), { done: true, value: undefined });
      await master.logs(/completed \/stream/);
    });

    await t.step("it tells a handler that its client has gone", async () => {
      const client = await HttpClient.connect(port);
      await client.request("/wait");
      await master.logs(/waiting/);
      client[Symbol.dispose]();
      await master.logs(/aborted/);
      await master.logs(/gone \/wait/);
    });

    await t.step("it finishes its requests and ends its connections when it drains", async () => {
      using busy = await HttpClient.connect(port);
      using idle = await HttpClient.connect(port);
      assertEquals((await idle.get("/first")).headers.get("connection") === "close", false);
      await busy.post("/echo", 6);
      await busy.send("abc");
      // It asks on, so that its last request is not too late for a server that waits a second for it.
      const last = eventually(async () => {
        const { status, headers } = await idle.get("/last");
        assertEquals(status, 200);
        return headers.get("connection") === "close";
      }, { what: "the last answer" });
      await master.reload();
      await master.logs(/softstop of process/);
      await eventually(() => master.servers("a.cf").length === 2, { what: "both" });
      await last;
      await idle.ended();
      await busy.send("def");
      assertEquals((await busy.answer()).body, "abcdef");
      await master.logs(/reaped process \d+, which was draining/);
      assertEquals(
        (await fetch(`http://127.0.0.1:${port}/`).then((answer) => answer.json())).method,
        "GET",
      );
    });
    await master.stop();
  });
}

async function brokenRequest(port: number): Promise<string> {
  using client = await Client.connect(port);
  await client.write("no request at all\r\n\r\n");
  return `${await client.line()}\n`;
}

Deno.test("a server without FFI goes on after each lack of descriptors, and tells of it", async (t) => {
  await using site = new Site();
  const run = `ulimit -n 48; exec "$0" run --no-prompt "$@"`;
  const services = ["http", ""].flatMap((service) =>
    ["TCP", "a unix socket"].map((kind, index) => {
      const target = kind === "TCP" ? site.port() : site.socket(`${service}u`);
      const file = `${service || "lines"}-${index}.cf`;
      site.write(file, {
        "server-command": `sh -c '${run}' ${Deno.execPath()} ${CONFINED}`,
        "server-service": `${service}://${kind === "TCP" ? "127.0.0.1:" : ""}${target}`,
        "server-protocol": "inherit",
      });
      return { service, kind, target, file };
    })
  );
  const master = await site.start();
  for (const { service, kind, target, file } of services) {
    await t.step(`${service || "lines"} on ${kind}`, async () => {
      const [pid] = await master.serving(file, 1);
      const before = descriptorsOf(pid).size;
      const lack = new RegExp(`\\[${pid}\\] .*Cannot accept a connection: .*EMFILE`);
      for (let round = 1; round <= 2; round++) {
        const clients = await Promise.all(Array.from({ length: 60 }, () => Client.connect(target)));
        await eventually(() => descriptorsOf(pid).size >= 48, { what: "the limit" });
        await master.logs(lack, round);
        clients.forEach((client) => client.close());
        const since = performance.now();
        if (service === "http") {
          using client = await HttpClient.connect(target);
          assertEquals((await client.get("/")).status, 200);
        } else {
          using client = await greeted(target);
          assertEquals(await client.ask("ffi"), "NotCapable");
        }
        assertLess(performance.now() - since, GOES_ON_MS);
      }
      assertEquals(master.servers(file).map((server) => server.pid), [pid]);
      await eventually(() => descriptorsOf(pid).size <= before + 2, { what: "no leak" });
    });
  }
  await master.stop();
});

const READ = "Deno.readTextFileSync(FILE)";

/** Programs that need to read a file of which the settings say nothing: before the hooks, and the hooks. */
const NEEDY: Readonly<Record<string, readonly [before: string, hooks: string]>> = {
  "in its own module": [READ, "serviceRegister() {}"],
  "in beforeService": ["", `serviceRegister() {}, beforeService() { ${READ}; }`],
  "later, on its own": ["", `serviceRegister() { setTimeout(() => ${READ}, 1); }`],
};

Deno.test("a server that lacks a permission says where to write it", async (t) => {
  await using site = new Site();
  const root = new URL("../..", import.meta.url);
  const file = site.dir.write("a key.pem", "");
  const places = Object.entries(NEEDY).map(([where, [before, hooks]], index) => {
    const program = `import { coroutineServerMain } from "${root.href}coroutine_server.ts";\n` +
      `${before};\nDeno.exit(await coroutineServerMain({ ${hooks} }));\n`;
    const script = site.dir.write(`${index}.ts`, program.replace("FILE", JSON.stringify(file)));
    const settings = site.write(`${index}.cf`, {
      "server-command": `deno run --no-prompt --config ${root.pathname}deno.json ${script}`,
      "server-service": `127.0.0.1:${site.port()}`,
    });
    return [where, settings];
  });
  const master = await site.start();
  for (const [where, settings] of places) {
    await t.step(where, async () => {
      const advice = `Cannot go on without --allow-read: no read access to "${file}", ` +
        `expected '--allow-read=${file}' in the server-permissions of ${settings}`;
      await master.logs(new RegExp(`error \\S+ ${RegExp.escape(advice)}`));
      if (where === "later, on its own") return;
      // The runtime's own message, which follows, names the flag alone.
      const isCut = advice.slice(0, 100);
      await master.logs(new RegExp(`exit code 1; its last words: ${RegExp.escape(isCut)}`));
    });
  }
  await master.stop();
});

/** Handlers that need to read a file, each asked once, and what the error is told of as. */
const NEEDY_HANDLERS: Readonly<Record<string, readonly [handler: string, found: string]>> = {
  "coroutineServe()": [
    `coroutineServe(...socket, () => ${READ})`,
    "error while serving a connection",
  ],
  "aioServerGeneralAioRegister()": [
    `aioServerGeneralAioRegister(defaultAioBase, ...socket, () => ${READ})`,
    "error in an aio callback",
  ],
  "serveHttp()": [`serveHttp(...socket, () => ${READ})`, "error while answering a request"],
};

Deno.test("a handler that lacks a permission says where to write it, without any and with those to listen", async (t) => {
  await using site = new Site();
  const root = new URL("../..", import.meta.url);
  const file = site.dir.write("a key.pem", "");
  const services = ["", "--allow-ffi --allow-net"].flatMap((permissions, kind) =>
    Object.entries(NEEDY_HANDLERS).map(([name, [handler, found]], index) => {
      const port = site.port(), id = `${kind}-${index}`;
      const command = `deno run --no-prompt ${permissions} --config ${root.pathname}deno.json`;
      const hook = handler.replace("FILE", JSON.stringify(file));
      const program = `import * as all from "${root.href}mod.ts";\n` +
        "const { aioServerGeneralAioRegister, coroutineServe, defaultAioBase, serveHttp } = all;\n" +
        `const hooks = { serviceRegister(_name, ...socket) { ${hook}; } };\n` +
        "Deno.exit(await all.coroutineServerMain(hooks));\n";
      site.write(`${id}.cf`, {
        "server-command": `${command} ${site.dir.write(`${id}.ts`, program)}`,
        "server-service": `127.0.0.1:${port}`,
      });
      return { what: `${name}, with ${permissions || "none"}`, found, port, id };
    })
  );
  const master = await site.start();
  for (const { what, found, port, id } of services) {
    await t.step(what, async () => {
      using client = await Deno.connect({ hostname: "127.0.0.1", port });
      await client.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
      const told =
        `${found}: Cannot go on without --allow-read: no read access to "${file}", expected ` +
        `'--allow-read=${file}' in the server-permissions of ${site.conf}/${id}.cf`;
      await master.logs(new RegExp(RegExp.escape(told)));
    });
  }
  await master.stop();
});

Deno.test("an unchanged program that lacks a permission says where to write it, before it serves and while it does", async () => {
  await using site = new Site();
  const root = new URL("../..", import.meta.url), port = site.port();
  const file = site.dir.write("key.pem", "");
  const read = `Deno.readTextFile(${JSON.stringify(file)})`;
  const programs = {
    late: `Deno.serve(async () => new Response(await ${read}));\n`,
    early: `const key = await ${read};\nDeno.serve(() => new Response(key));\n`,
  };
  for (const [id, program] of Object.entries(programs)) {
    const script = site.dir.write(`${id}.ts`, program);
    site.write(`${id}.cf`, {
      "server-command": `deno run --no-prompt --config ${root.pathname}deno.json ${script}`,
      "server-service": `127.0.0.1:${id === "late" ? port : site.port()}`,
      "server-protocol": "deno",
    });
  }
  const advice = (id: string) =>
    `Cannot go on without --allow-read: no read access to "${file}", expected ` +
    `--allow-read=${file} in the server-permissions of ${site.conf}/${id}.cf`;
  const master = await site.start();
  await master.logs(new RegExp(RegExp.escape(advice("early"))));
  await master.logs(/listens on 127\.0\.0\.1/);
  await (await fetch(`http://127.0.0.1:${port}`)).body?.cancel();
  await master.logs(
    new RegExp(`error while answering a request: ${RegExp.escape(advice("late"))}`),
  );
  await master.stop();
});
