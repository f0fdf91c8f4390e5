import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { greeted } from "../support/client.ts";
import { pidIn, SERVERS, Site } from "../support/master.ts";
import { denoExecutable, executable, peer, peerStart, withDenoInPath } from "../support/peers.ts";
import { descriptorsOf } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

/** The status pipes among the descriptors of a process of the libzc protocol. */
function statusPipes(pid: number): string[] {
  const descriptors = descriptorsOf(pid);
  return [3, 4].map((fd) => descriptors.get(fd) ?? "").filter((text) => text.startsWith("pipe:"));
}

Deno.test("server-protocol auto gives C programs LIB-ZC's protocol, and Deno programs the worker socket", async () => {
  await using site = new Site();
  const ports = [site.port(), site.port(), site.port(), site.port()];
  const commands = [
    peer("server"),
    SERVERS.coroutine,
    `deno run -A ${SERVERS.aio} --one`,
    denoExecutable(site, SERVERS.coroutine),
  ];
  for (const [index, command] of commands.entries()) {
    const service = `127.0.0.1:${ports[index]}`;
    site.write(`${index}.cf`, { "server-command": command, "server-service": service });
  }
  const master = await site.start({ env: withDenoInPath(site) });
  const greetings: string[] = [];
  for (const port of ports) {
    using client = await greeted(port);
    greetings.push(client.greeting.split(" ")[0]);
  }
  assertEquals(greetings, ["c", "coroutine", "aio", "coroutine"]);
  const controlled = commands.map((_, index) =>
    master.servers(`${index}.cf`)[0].argv.includes("-server-control")
  );
  assertEquals(controlled, [false, true, true, true]);
  await master.stop();
});

for (const place of ["a.cf", "all.gcf"]) {
  Deno.test(`server-protocol = libzc in ${place} gives a Deno program the descriptors from 3 on`, async () => {
    await using site = new Site();
    const port = site.port();
    site.serve("a.cf", {
      mode: "coroutine",
      service: `x://127.0.0.1:${port}`,
      ...(place === "a.cf" && { "server-protocol": "libzc" }),
    });
    if (place === "all.gcf") site.write(place, { "server-protocol": "libzc" });
    const master = await site.start();
    using client = await greeted(port);
    assertMatch(client.greeting, /^coroutine \d+ x inet$/);
    const [{ argv }] = master.servers("a.cf");
    assertEquals(argv.slice(-2), ["-server-service", "x:i5"]);
    assertEquals(statusPipes(pidIn(client)).length, 2);
    client.close();
    await master.stop();
  });
}

Deno.test("server-protocol in a .cf wins over that of a .gcf", async () => {
  await using site = new Site();
  const port = site.port();
  site.write("all.gcf", { "server-protocol": "libzc" });
  site.serve("a.cf", { mode: "aio", service: port, "server-protocol": "control" });
  const master = await site.start();
  using client = await greeted(port);
  assert(master.servers("a.cf")[0].argv.includes("-server-control"));
  assertEquals(await client.ask("setting server-protocol"), "control");
  client.close();
  await master.stop();
});

Deno.test("server-protocol = control in a .gcf is for programs that don't look like Deno", async () => {
  await using site = new Site();
  const port = site.port();
  const text = `#!/bin/sh\nexec "${Deno.execPath()}" run -A ${SERVERS.coroutine} "$@"\n`;
  const program = executable(site, { name: "wrapper", text });
  site.write("all.gcf", { "server-protocol": "control" });
  site.write("a.cf", { "server-command": program, "server-service": `127.0.0.1:${port}` });
  const master = await site.start();
  using client = await greeted(port);
  assert(master.servers("a.cf")[0].argv.includes("-server-control"));
  client.close();
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

Deno.test("a command with arguments and a quoted path with a space are passed on as they are", async () => {
  await using site = new Site();
  const port = site.port();
  Deno.symlinkSync(peer("server"), site.dir.file("my server"));
  site.write("a.cf", {
    "server-command": `"${site.dir.file("my server")}"`,
    "server-service": `127.0.0.1:${port}`,
  });
  const master = await site.start();
  using client = await greeted(port);
  assertEquals((await peerStart(client)).argv.slice(0, 2), ["my server", "MASTER"]);
  await master.stop();
});

Deno.test("a program is found in PATH by its name alone", async () => {
  await using site = new Site();
  const port = site.port();
  site.write("a.cf", { "server-command": "c_server", "server-service": `127.0.0.1:${port}` });
  const directory = peer("server").replace(/\/[^/]*$/, "");
  const master = await site.start({ env: { PATH: `${directory}:${Deno.env.get("PATH")}` } });
  using client = await greeted(port);
  assertEquals((await peerStart(client)).argv[0], "c_server");
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
    assertEquals(
      master.logged(new RegExp(`\\[${pid}\\] without --allow-ffi`)),
      protocol === "inherit" ? 1 : 0,
    );
  }
  await master.stop();
});

Deno.test("a command of which nobody knows how it takes its sockets is refused, and a setting helps", async () => {
  await using site = new Site();
  const port = site.port();
  const text = `#!/bin/sh\nexec "${Deno.execPath()}" run -A ${SERVERS.coroutine} "$@"\n`;
  const wrapper = executable(site, { name: "wrapper", text });
  const commands = [
    "node -e 1",
    `sh ${wrapper}`,
    wrapper,
    "python3 -m http.server",
    "deno run --watch x.ts",
    `nice -n 1 ${wrapper}`,
    executable(site, { name: "plain", text: text.slice(text.indexOf("\n") + 1) }),
  ];
  for (const [index, command] of commands.entries()) {
    const service = `127.0.0.1:${site.port()}`;
    site.write(`${index}.cf`, { "server-service": service, "server-command": command });
  }
  const { code, stderr } = await site.run(["-C", site.conf, "-pid-file", site.pidFile]).ended();
  assertEquals([code, stderr.trimEnd().split("\n").length], [1, commands.length], stderr);
  for (const [index, command] of commands.entries()) {
    const words =
      `${site.conf}/${index}.cf:2: server-command: Cannot choose a protocol for "${command}"`;
    assertStringIncludes(stderr, words);
    site.remove(`${index}.cf`);
  }
  site.write("a.cf", {
    "server-command": wrapper,
    "server-service": `127.0.0.1:${port}`,
    "server-protocol": "control",
  });
  const master = await site.start();
  using client = await greeted(port);
  await master.logs(new RegExp(`ready is process ${pidIn(client)}`));
  client.close();
  await master.stop();
});

const unfit: Record<string, { readonly command: string; readonly found: RegExp }> = {
  "is not there": { command: "/nowhere/server", found: /no such program/ },
  "is not in PATH": { command: "zc-no-such-program", found: /no such program.*in PATH/ },
  "is a directory": { command: "/tmp/", found: /a directory/ },
  "may not be executed": { command: "/etc/passwd", found: /a file that may not be executed/ },
  "is a script that is not there": { command: "/nowhere/server.ts", found: /no such file/ },
};

for (const [what, { command, found }] of Object.entries(unfit)) {
  Deno.test(`a server-command that ${what} is refused with its file and line`, async () => {
    await using site = new Site();
    const port = site.port();
    site.write("a.cf", { "server-service": `127.0.0.1:${port}`, "server-command": command });
    const process = site.run(["-C", site.conf, "-pid-file", site.pidFile]);
    const { code, stderr } = await process.ended();
    assertEquals(code, 1);
    assertStringIncludes(stderr, `${site.conf}/a.cf:2: server-command: Cannot run "${command}": `);
    assertMatch(stderr, found);
    await site.isGone();
  });
}

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

Deno.test("a program with many addresses gets each at its place", async () => {
  await using site = new Site();
  const paths = Array.from({ length: 40 }, (_, index) => site.socket(`s${index}`));
  const service = paths.map((path, index) => `n${index}://${path}`).join(" ");
  site.write("a.cf", { "server-command": peer("server"), "server-service": service });
  const master = await site.start();
  for (const [index, path] of paths.entries()) {
    using client = await greeted(path);
    assertMatch(client.greeting, new RegExp(`^c \\d+ n${index} unix$`));
  }
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
  await new Promise((resolve) => setTimeout(resolve, 120));
  Deno.kill(pidIn(client), "SIGKILL");
  await master.logs(/too many open files.* it is tried again in \S+ \S+/);
  assert(limit("1024:").success);
  await eventually(() => master.servers().length === 1, { what: "the next server" });
  await master.stop();
});
