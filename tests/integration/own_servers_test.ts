import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { mayChangeUser } from "../../src/os/user/credentials.ts";
import { greeted } from "../support/client.ts";
import { controlOf } from "../support/commands.ts";
import { id, statusLine } from "../support/credentials.ts";
import { installationFor, OWN_INSTALLATION } from "../support/installation.ts";
import { type MasterOptions, pidIn, Site } from "../support/master.ts";
import { listenerInode } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

/** The user of a service, and what such a user can run. */
const USER = mayChangeUser() ? "nobody" : id("-un");
const INSTALLATION = mayChangeUser() ? installationFor(USER) : OWN_INSTALLATION;

/** A master and two servers in one file, whose text can be replaced by another version. */
class Program {
  readonly #site: Site;
  readonly #root: string;
  readonly path: string;
  readonly config: string;

  /** @param root The project that it imports. */
  constructor(site: Site, root = ROOT) {
    this.#site = site;
    this.#root = root;
    this.config = `${root}deno.json`;
    this.path = site.dir.file("program.ts");
    this.install("first");
  }

  get options(): MasterOptions {
    return { program: this.path, config: this.config };
  }

  /** Puts a version in place that greets with its name; `before` is what it does at its very start. */
  install(version: string, before = ""): void {
    Deno.writeTextFileSync(
      this.path,
      `
import {
  aioServerGeneralAioRegister, aioServerMain, coroutineServe, coroutineServerMain, defaultAioBase,
  masterServerMain, zinfo,
} from "${this.#root}mod.ts";
${before}
const mayCall = (await Deno.permissions.query({ name: "ffi" })).state;
const greet = (mode) => "${version}-" + mode + " " + Deno.pid + " " + mayCall + " " + Deno.args.includes("--own") + "\\n";
function next(aio) {
  aio.gets(100, () => {
    if (aio.result < 1) return aio.close();
    aio.cacheWrite(aio.getReadCache(aio.result));
    aio.cacheFlush(next);
  });
}
const servers = {
  aio: () => aioServerMain({
    serviceRegister(service, fd, fdType) {
      aioServerGeneralAioRegister(defaultAioBase, fd, fdType, (aio) => {
        aio.cachePuts(greet("aio"));
        aio.cacheFlush(next);
      });
      zinfo("serviceRegister");
    },
  }),
  coroutine: () => coroutineServerMain({
    serviceRegister(service, fd, fdType) {
      coroutineServe(fd, fdType, async (conn) => {
        await conn.write(new TextEncoder().encode(greet("coroutine")));
        await conn.readable.pipeTo(conn.writable);
      });
      zinfo("serviceRegister");
    },
  }),
};
Deno.exit(await masterServerMain({ servers }));
`.replaceAll("(mode)", "(mode: string)").replaceAll("next(aio)", "next(aio: Aio)").replace(
        "aioServerGeneralAioRegister,",
        "type Aio, aioServerGeneralAioRegister,",
      ),
    );
  }

  /** Writes the settings of both servers, in files with this end of their names, and returns their ports. */
  serveBoth(
    settings: Readonly<Record<string, string | number>> = {},
    suffix = "",
  ): Record<string, number> {
    return Object.fromEntries(["aio", "coroutine"].map((name) => {
      const port = this.#site.port();
      this.#site.write(`${name}${suffix}.cf`, {
        "server-command": `self ${name} --own`,
        "server-service": `127.0.0.1:${port}`,
        ...settings,
      });
      return [name, port];
    }));
  }

  /** Runs the program until it ends, and returns its code and what it complained about. */
  async run(...args: readonly string[]): Promise<{ readonly code: number | null; text: string }> {
    const process = this.#site.run(args, this.options);
    const { code } = await process.ended();
    return { code, text: process.stderr };
  }
}

Deno.test("a program is its own servers in both modes, with server-permissions all, with standbys, and none", async (t) => {
  await using site = new Site();
  const program = new Program(site);
  const groups = ([["all", "granted"], ["none", "prompt"]] as const).map(
    ([permissions, mayCall]) => {
      const settings = {
        "server-permissions": permissions,
        ...(permissions === "all" && { "server-standby-count": 1 }),
      };
      return { permissions, mayCall, ports: program.serveBoth(settings, `-${permissions}`) };
    },
  );
  const master = await site.start(program.options);
  for (const { permissions, mayCall, ports } of groups) {
    for (const [mode, port] of Object.entries(ports)) {
      await t.step(`${mode} mode, ${permissions}`, async () => {
        const client = await greeted(port);
        const [name, pid, ffi, own] = client.greeting.split(" ");
        assertEquals([name, ffi, own], [`first-${mode}`, mayCall, "true"]);
        assertEquals(await client.ask("hello"), "hello");
        Deno.kill(Number(pid), "SIGKILL");
        await client.ending();
        client.close();
        // The log names each server by its own name.
        using next = await greeted(port);
        assertNotEquals(pidIn(next), Number(pid));
      });
    }
  }
  assertEquals(master.logged(/master\[\d+\] listeners: /), 1, "no server became a master");
  await master.stop();
});

Deno.test("a server in the program of its master runs as server-user", async () => {
  await using site = new Site(INSTALLATION);
  const program = new Program(site, INSTALLATION.root);
  const ports = program.serveBoth({ "server-user": USER });
  const master = await site.start(program.options);
  for (const port of Object.values(ports)) {
    using client = await greeted(port);
    assertEquals(statusLine(pidIn(client), "Uid").split(" ")[0], id("-u", USER));
  }
  await master.stop();
});

Deno.test("a reload and an upgrade start the servers of a new version of the program, and keep connections", async () => {
  await using site = new Site();
  const program = new Program(site);
  const ports = program.serveBoth();
  const master = await site.start(program.options);
  const first = await Promise.all(Object.values(ports).map(greeted));
  program.install("second");
  await master.reload();
  const asks = async (version: string) => {
    for (const [mode, port] of Object.entries(ports)) {
      await eventually(async () => {
        using client = await greeted(port);
        return client.greeting.startsWith(`${version}-${mode} `);
      }, { what: `version ${version} of ${mode}` });
    }
  };
  await asks("second");
  program.install("third");
  await master.upgrade();
  await asks("third");
  for (const client of first) {
    assertMatch(client.greeting, /^first-/);
    assertEquals(await client.ask("still here"), "still here");
    client.close();
  }
  await master.stop();
});

Deno.test("a reload goes back where the new version of the program can't serve, and server-reload = changed compares its modules", async () => {
  await using site = new Site();
  const program = new Program(site);
  const { aio } = program.serveBoth({ "server-reload": "changed" });
  const master = await site.start(program.options);
  using client = await greeted(aio), control = await controlOf(site);
  /** Those that serve, without those that drain since an earlier reload. */
  const serving = async () => {
    const { services } = await control.request("status");
    return services.flatMap(({ processes }) => processes)
      .flatMap(({ pid, state }) => state === "ready" ? [pid] : []);
  };
  // The files of the modules become known only after the start.
  const pids = await eventually(async () => {
    const before = await serving();
    await master.reload();
    return `${before}` === `${await serving()}` && before;
  }, { what: "a reload that replaces nothing" });
  assertEquals(pids.length, 2);
  program.install("broken", `if (Deno.args[0]?.startsWith("--zc-server=")) Deno.exit(1);`);
  assertEquals((await master.reloadUndone()).split(" ").sort(), ["aio.cf", "coroutine.cf"]);
  assertEquals(await client.ask("still here"), "still here");
  assertEquals(await serving(), pids);
  client.close();
  await master.stop();
});

Deno.test("an unknown server is a mistake at its line, at the start, at a reload and in check; the servers of a killed master end, and none of them becomes a master", async () => {
  await using site = new Site();
  const program = new Program(site);
  const wrong = { "server-command": "self corutine", "server-service": `127.0.0.1:${site.port()}` };
  const file = site.write("wrong.cf", wrong);
  const message = `${file}:1: server-command: Cannot run "self corutine": ` +
    "no server of this program has this name, expected self coroutine";
  const arguments_ = ["-C", site.conf, "-pid-file", site.pidFile];
  for (const args of [arguments_, ["check", ...arguments_]]) {
    const { code, text } = await program.run(...args);
    assertEquals(code, 1);
    assert(text.includes(message), text);
  }
  site.remove("wrong.cf");
  const { aio } = program.serveBoth();
  const master = await site.start(program.options);
  site.write("wrong.cf", wrong);
  assertEquals(await master.reloadRefused(), message);
  using client = await greeted(aio);
  master.process.signal("SIGKILL");
  assertEquals(await client.ending(5_000), "end of file");
  await eventually(() => site.processes().length === 0, { what: "the end of its servers" });
});

Deno.test("a process that is started as an unknown server ends with 78, and starts no master", async () => {
  await using site = new Site();
  const program = new Program(site);
  const { code, text } = await program.run("--zc-server=corutine", "MASTER", "-C", site.conf);
  assertEquals([code, text], [
    78,
    'Cannot start server "corutine": no server of this program has this name, expected coroutine\n',
  ]);
});

Deno.test("a person runs one server of a program by its name, and gets help for both", async () => {
  await using site = new Site();
  const program = new Program(site), path = site.socket("sock");
  for (const name of ["coroutine", "--zc-server=coroutine"]) {
    const process = site.run([name, "alone", "-server-service", path], program.options);
    const client = await eventually(async () => {
      try {
        return await greeted(path);
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return false;
        if (error instanceof Deno.errors.ConnectionRefused) return false;
        throw error;
      }
    }, { what: "the server to answer" });
    assertMatch(client.greeting, /^first-coroutine /);
    client.close();
    process.signal("SIGTERM");
    assertEquals((await process.ended()).code, 0, process.stderr);
  }
  const { code, text } = await program.run("coroutine");
  assertEquals(code, 1);
  assertMatch(
    text,
    /by hand coroutine alone .*such as: deno run -A .*program\.ts coroutine alone /,
  );
  const misspelt = await program.run("corutine", "alone");
  assertEquals(misspelt.code, 64);
  assertMatch(misspelt.text, /no command has this name, expected coroutine\n/);
  for (
    const [args, pattern] of [
      [["--help"], /Servers of this program.*\n {2}aio alone/],
      [["aio", "--help"], /server-service/],
    ] as const
  ) {
    const process = site.run(args, program.options);
    assertEquals((await process.ended()).code, 0);
    assertMatch(process.stdout, pattern);
  }
});

Deno.test("a server of serve() is one of the servers of a program, and listens by its name alone as well", async () => {
  await using site = new Site();
  const [port, byHand] = [site.port(), site.port()];
  const program = site.dir.write(
    "one_call.ts",
    `
import { masterServerMain, serve } from "${ROOT}mod.ts";
const web = () =>
  serve({ web: () => new Response("web") }, { listen: "web://127.0.0.1:${byHand}" });
Deno.exit(await masterServerMain({ servers: { web } }));
`,
  );
  const options = { program, config: `${ROOT}deno.json` };
  site.write("a.cf", { "server-command": "self web", "server-service": `web://127.0.0.1:${port}` });
  const master = await site.start(options);
  const text = async (at: number) => await (await fetch(`http://127.0.0.1:${at}/`)).text();
  assertEquals(await text(port), "web");
  await master.stop();
  const alone = site.run(["web"], options);
  await eventually(() => listenerInode(byHand) !== undefined, { what: "a server by its name" });
  assertEquals(await text(byHand), "web");
  alone.signal("SIGTERM");
  assertEquals((await alone.ended()).code, 0, alone.stderr);
});

Deno.test("a program that chooses between its master and its servers itself works too", async () => {
  await using site = new Site();
  const program = site.dir.write(
    "chooser.ts",
    `
import { coroutineServe, coroutineServerMain, masterServerMain, selfName } from "${ROOT}mod.ts";
const serviceRegister = (service: string, fd: number, fdType: "inet" | "unix" | "fifo") => {
  coroutineServe(fd, fdType, (conn) => conn.write(new TextEncoder().encode("chosen " + Deno.pid + "\\n")));
};
Deno.exit(selfName() === "echo" ? await coroutineServerMain({ serviceRegister }) : await masterServerMain());
`,
  );
  const port = site.port();
  site.write("a.cf", { "server-command": "self echo", "server-service": `127.0.0.1:${port}` });
  const options = { program, config: `${ROOT}deno.json` };
  const master = await site.start(options);
  using client = await greeted(port);
  assertMatch(client.greeting, /^chosen /);
  client.close();
  // Its names are unknown to the master, so a wrong one ends its process.
  site.write("b.cf", {
    "server-command": "self other",
    "server-service": `127.0.0.1:${site.port()}`,
  });
  assertMatch(await master.reloadUndone(), /b\.cf/);
  await master.logs(/Cannot start server "other": no server of this program has this name/);
  await master.stop();
});

Deno.test("the master as a program has no servers for self", async () => {
  await using site = new Site();
  site.write("a.cf", {
    "server-command": "self web",
    "server-service": `127.0.0.1:${site.port()}`,
  });
  const process = site.run(["-C", site.conf, "-pid-file", site.pidFile]);
  assertEquals((await process.ended()).code, 1);
  assertMatch(process.stderr, /a\.cf:1: .*"self web": this program has no servers, expected /);
});
