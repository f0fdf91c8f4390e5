import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { greeted } from "../support/client.ts";
import { answering, pidIn, SERVERS, Site } from "../support/master.ts";
import {
  denoExecutable,
  executable,
  peer,
  peerStart,
  successorOf,
  withDenoInPath,
} from "../support/peers.ts";
import { descriptorsOf } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

/** The status pipes among the descriptors of a process of the libzc protocol. */
function statusPipes(pid: number): string[] {
  const descriptors = descriptorsOf(pid);
  return [3, 4].map((fd) => descriptors.get(fd) ?? "").filter((text) => text.startsWith("pipe:"));
}

Deno.test("server-protocol auto gives C programs LIB-ZC's protocol, and Deno programs the worker socket", async (t) => {
  await using site = new Site();
  Deno.symlinkSync(peer("server"), site.dir.file("my server"));
  const services: Readonly<Record<string, readonly [command: string, greets: string]>> = {
    c: [peer("server"), "c"],
    coroutine: [SERVERS.coroutine, "coroutine"],
    aio: [`deno run -A ${SERVERS.aio} --one`, "aio"],
    executable: [denoExecutable(site, SERVERS.coroutine), "coroutine"],
    quoted: [`"${site.dir.file("my server")}"`, "c"],
    path: ["c_server", "c"],
  };
  const ports = new Map(Object.keys(services).map((name) => [name, site.port()]));
  for (const [name, [command]] of Object.entries(services)) {
    const service = `127.0.0.1:${ports.get(name)}`;
    site.write(`${name}.cf`, { "server-command": command, "server-service": service });
  }
  const paths = Array.from({ length: 40 }, (_, index) => site.socket(`s${index}`));
  site.write("many.cf", {
    "server-command": peer("server"),
    "server-service": paths.map((path, index) => `n${index}://${path}`).join(" "),
  });
  const directory = peer("server").replace(/\/[^/]*$/, "");
  const { PATH } = withDenoInPath(site);
  const master = await site.start({ env: { PATH: `${directory}:${PATH}` } });
  for (const [name, [, greets]] of Object.entries(services)) {
    await t.step(name, async () => {
      using client = await greeted(ports.get(name)!);
      assertEquals(client.greeting.split(" ")[0], greets);
      const [{ argv, pid }] = master.servers(`${name}.cf`);
      assertEquals(pid, pidIn(client));
      assertEquals(argv.includes("-server-control"), greets !== "c");
      // A quoted path with a space, and a name that is found in PATH, are passed on as they are.
      const names: Record<string, string> = { quoted: "my server", path: "c_server" };
      if (name in names) {
        assertEquals((await peerStart(client)).argv.slice(0, 2), [names[name], "MASTER"]);
      }
    });
  }
  await t.step("a program with many addresses gets each at its place", async () => {
    for (const [index, path] of paths.entries()) {
      using client = await greeted(path);
      assertMatch(client.greeting, new RegExp(`^c \\d+ n${index} unix$`));
    }
  });
  await master.stop();
});

Deno.test("server-protocol in a .cf and in a .gcf says how a program gets its sockets", async (t) => {
  await using site = new Site();
  const ports = {
    shared: site.port(),
    own: site.port(),
    wrapped: site.port(),
    helped: site.port(),
  };
  site.write("all.gcf", { "server-protocol": "libzc" });
  site.serve("shared.cf", { mode: "coroutine", service: `x://127.0.0.1:${ports.shared}` });
  site.serve("own.cf", { mode: "aio", service: ports.own, "server-protocol": "control" });
  const text = `#!/bin/sh\nexec "${Deno.execPath()}" run -A ${SERVERS.coroutine} "$@"\n`;
  const wrapper = executable(site, { name: "wrapper", text });
  const master = await site.start();
  await t.step("libzc gives a Deno program the descriptors from 3 on", async () => {
    using client = await greeted(ports.shared);
    assertMatch(client.greeting, /^coroutine \d+ x inet$/);
    const [{ argv, pid }] = master.servers("shared.cf");
    assertEquals(pid, pidIn(client));
    assertEquals(argv.slice(-2), ["-server-service", "x:i5"]);
    assertEquals(statusPipes(pidIn(client)).length, 2);
  });
  await t.step("that of a .cf wins", async () => {
    using client = await greeted(ports.own);
    const [{ argv, pid }] = master.servers("own.cf");
    assertEquals(pid, pidIn(client));
    assert(argv.includes("-server-control"));
    assertEquals(await client.ask("setting server-protocol"), "control");
  });
  await t.step("control is for programs that don't look like Deno", async () => {
    site.write("all.gcf", { "server-protocol": "control" });
    site.write("shared.cf", {
      "server-command": wrapper,
      "server-service": `127.0.0.1:${ports.wrapped}`,
    });
    // That of the .cf alone, too: here it differs from the shared one.
    site.serve("own.cf", {
      mode: "coroutine",
      service: `x://127.0.0.1:${ports.own}`,
      "server-protocol": "libzc",
    });
    const before = await answering(ports.own);
    await master.reload();
    using client = await greeted(ports.wrapped);
    assert(
      master.servers("shared.cf").some(({ pid, argv }) =>
        pid === pidIn(client) && argv.includes("-server-control")
      ),
    );
    // The old process may still accept for a moment.
    using other = await successorOf(before, ports.own);
    assertEquals(statusPipes(pidIn(other)).length, 2);
  });
  await t.step("without a shared one, a command of its own .cf helps", async () => {
    site.remove("all.gcf");
    site.remove("shared.cf");
    site.write("own.cf", {
      "server-command": wrapper,
      "server-service": `127.0.0.1:${ports.helped}`,
      "server-protocol": "control",
    });
    await master.reload();
    using client = await greeted(ports.helped);
    await master.logs(new RegExp(`ready is process ${pidIn(client)}`));
  });
  await master.stop();
});

Deno.test("a program that LIB-ZC's protocol does not fit is replaced when it ends all the same", async () => {
  await using site = new Site();
  // No interpreter line: such a script is run by the shell, as execvp(3) has it.
  const text = 'echo "started $0 $1" >&2\nexec sleep 100\n';
  const program = executable(site, { name: "script", text });
  site.write("a.cf", {
    "server-command": program,
    "server-service": `127.0.0.1:${site.port()}`,
    "server-protocol": "libzc",
  });
  const master = await site.start({ args: ["-master-stop-timeout", "0"] });
  await master.logs(new RegExp(`started ${program} MASTER\n`));
  const [{ pid }] = master.servers();
  Deno.kill(pid, "SIGTERM");
  await master.logs(new RegExp(`process ${pid} ended after \\S+ \\S+: signal SIGTERM`));
  await master.logs(/started/, 2);
  await master.stop();
});

Deno.test("server-protocol auto finds Deno behind env and npx, and its permissions", async () => {
  await using site = new Site();
  const commands: Readonly<Record<string, readonly [command: string, protocol: string]>> = {
    "env.cf": [`env ZC_OWN=1 deno run -A ${SERVERS.coroutine}`, "control"],
    "script.cf": [`env -u ZC_OWN ${SERVERS.aio}`, "control"],
    "npx.cf": [`npx -y deno run -A ${SERVERS.aio}`, "control"],
    "limited.cf": [`env npx -y deno run --no-prompt ${SERVERS.coroutine}`, "inherit"],
  };
  const ports = new Map(Object.keys(commands).map((file) => [file, site.port()]));
  for (const [file, [command]] of Object.entries(commands)) {
    const service = `127.0.0.1:${ports.get(file)}`;
    site.write(file, { "server-command": command, "server-service": service });
  }
  const master = await site.start();
  for (const [file, [, protocol]] of Object.entries(commands)) {
    using client = await greeted(ports.get(file)!);
    assertEquals(await client.ask("echo hello"), "hello");
    const [{ argv, pid }] = master.servers(file);
    assertEquals(pid, pidIn(client), file);
    assert(argv.includes("-server-control"), file);
    const lack = new RegExp(`\\[${pid}\\] without --allow-ffi`);
    if (protocol === "inherit") await master.logs(lack);
    assertEquals(master.logged(lack), protocol === "inherit" ? 1 : 0);
  }
  await master.stop();
});

/** Commands that can't be run, and what is found. */
const UNFIT: readonly (readonly [command: string, found: RegExp])[] = [
  ["/nowhere/server", /no such program/],
  ["zc-no-such-program", /no such program.*in PATH/],
  ["/tmp/", /a directory/],
  ["/etc/passwd", /a file that may not be executed/],
  ["/nowhere/server.ts", /no such file/],
];

Deno.test("a command that can't be run, and one of which nobody knows how it takes its sockets, are refused with file and line", async () => {
  await using site = new Site();
  const text = `#!/bin/sh\nexec "${Deno.execPath()}" run -A ${SERVERS.coroutine} "$@"\n`;
  const wrapper = executable(site, { name: "wrapper", text });
  const plain = executable(site, { name: "plain", text: text.slice(text.indexOf("\n") + 1) });
  const byShell = /a script of sh, which may become any program/;
  const unknown = ([
    ["node -e 1", /a program of node/],
    [`sh ${wrapper}`, byShell],
    [wrapper, byShell],
    ["python3 -m http.server", /a program of python3/],
    ["deno run --watch x.ts", /--watch, by which the program is run again without its sockets/],
    [`nice -n 1 ${wrapper}`, /nice, which runs another program/],
    [plain, byShell],
  ] as const).map((unfit) => [...unfit, "choose a protocol for"] as const);
  const refused = [...UNFIT.map((unfit) => [...unfit, "run"] as const), ...unknown];
  for (const [index, [command]] of refused.entries()) {
    const service = `127.0.0.1:${site.port()}`;
    site.write(`${index}.cf`, { "server-service": service, "server-command": command });
  }
  const stderr = await site.refusal(), lines = stderr.trimEnd().split("\n");
  assertEquals(lines.length, refused.length, stderr);
  for (const [index, [command, found, what]] of refused.entries()) {
    const place = `${site.conf}/${index}.cf:2: server-command: `;
    const line = lines.find((line) => line.startsWith(place)) ?? "";
    assertStringIncludes(line, `${place}Cannot ${what} "${command}": `);
    assertMatch(line, found);
  }
});

Deno.test("a program that can't be executed is tried again after a pause, and nothing is lost", async () => {
  await using site = new Site();
  // Found, and may be executed: only the attempt tells that the kernel can't.
  const program = executable(site, { name: "server", text: "#!/nowhere/interpreter\n" });
  const port = site.port();
  site.write("a.cf", { "server-command": program, "server-service": `127.0.0.1:${port}` });
  const startedAt = performance.now();
  const master = await site.start();
  const refused = /a\.cf: posix_spawn ".*server": no such file.* tried again in \S+ \S+/;
  await master.logs(refused);
  const descriptors = descriptorsOf(master.pid).size;
  await master.logs(refused, 4);
  // 100, 200 and 400 ms, each less a quarter at the most.
  assert(performance.now() - startedAt > 500, "the pauses are too short");
  // Between two attempts there is nothing to watch, and so not even the poller's own descriptors.
  await eventually(() => descriptorsOf(master.pid).size <= descriptors, {
    what: "no more of them",
  });
  assertEquals(master.servers(), []);
  // A new file in its place, since one that is being executed can't be written.
  const binary = site.dir.file("new");
  Deno.copyFileSync(peer("server"), binary);
  Deno.renameSync(binary, program);
  using client = await greeted(port);
  assertEquals(await client.ask("echo at last"), "at last");
  await master.stop();
});

Deno.test("the master runs its servers also when it has no descriptor to spare for a while", async () => {
  await using site = new Site();
  const port = site.port();
  site.write("a.cf", { "server-command": peer("server"), "server-service": `127.0.0.1:${port}` });
  const master = await site.start();
  using client = await greeted(port);
  const limit = (count: string) =>
    new Deno.Command("prlimit", { args: [`--pid=${master.pid}`, `--nofile=${count}`] })
      .outputSync();
  assert(limit(`${descriptorsOf(master.pid).size}:`).success);
  Deno.kill(pidIn(client), "SIGKILL");
  await master.logs(/too many open files.* it is tried again in \S+ \S+/);
  assert(limit("1024:").success);
  await eventually(() => master.servers().length === 1, { what: "the next server" });
  await master.stop();
});
