import { assert, assertEquals, assertMatch } from "@std/assert";
import { greeted } from "../support/client.ts";
import { MODES, pidIn, SERVERS, Site } from "../support/master.ts";
import { peer, peerStart } from "../support/peers.ts";
import { eventually } from "../support/wait.ts";

const HOOKED = new URL("../support/masters/hooked.ts", import.meta.url).pathname;

/** The arguments of a server from `MASTER` on, without those of the control protocol. */
function argumentsOf({ argv }: { readonly argv: readonly string[] }): readonly string[] {
  return argv.slice(argv.indexOf("MASTER"), argv.indexOf("-server-control"));
}

Deno.test("beforeService of a master is called once, with its settings and before the lock", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const master = await site.start({ program: HOOKED });
  await master.logs(/^master hook: beforeService, not locked$/m);
  await master.reload();
  assertEquals(master.logged(/beforeService, /), 1);
  await master.stop();
});

Deno.test("loadConfig supplies services without files, at the start and at every reload", async () => {
  await using site = new Site();
  const [first, second] = [site.port(), site.port()];
  const list = site.dir.file("services.json");
  const service = (port: number, own: string) => ({
    "server-command": SERVERS.aio,
    "server-service": `name://127.0.0.1:${port}`,
    "server-proc-count": "1",
    own,
  });
  Deno.writeTextFileSync(list, JSON.stringify([service(first, "one word, = and -dash")]));
  site.write("all.gcf", { shared: "by all" });
  const master = await site.start({ program: HOOKED, args: ["-services-from", list] });
  {
    using client = await greeted(first);
    assertEquals(await client.ask("setting own"), "one word, = and -dash");
    assertEquals(await client.ask("setting shared"), "by all");
  }
  const [server] = master.servers();
  // Every user of the machine can read them.
  assertEquals(argumentsOf(server), [
    ...["MASTER", "-server-config-path", site.conf],
    ...["-server-service", "name:i5"],
  ]);
  Deno.writeTextFileSync(list, JSON.stringify([service(first, "new"), service(second, "more")]));
  await master.reload();
  await eventually(() =>
    master.servers().length === 2 &&
    master.servers().every(({ pid }) => pid !== server.pid), { what: "the new processes" });
  for (const [port, own] of [[first, "new"], [second, "more"]] as const) {
    using client = await greeted(port);
    assertEquals(await client.ask("setting own"), own);
  }
  assertEquals(master.logged(/master hook: loadConfig/), 2);

  const pids = master.servers().map(({ pid }) => pid);
  Deno.writeTextFileSync(list, JSON.stringify([{ "server-service": "localhost:1" }]));
  assertMatch(
    await master.reloadRefused(),
    /^hook:1: server-service: Cannot listen on "localhost:1"/m,
  );
  Deno.writeTextFileSync(list, "no JSON");
  assertMatch(await master.reloadRefused(), /SyntaxError/);
  assertEquals(master.servers().map(({ pid }) => pid), pids);
  await master.stop();
});

for (const permissions of ["all", "none"]) {
  Deno.test(`the settings of a hook reach a server with permissions ${permissions}, and win over its command`, async () => {
    await using site = new Site();
    const port = site.port(), list = site.dir.file("services.json");
    const secret = "only the server knows";
    const file = site.write("more.txt", { more: "from a file", both: "file" });
    const service = {
      "server-command": `${SERVERS.coroutine} -both command -config ${file}`,
      "server-service": `127.0.0.1:${port}`,
      "server-permissions": permissions === "none" ? `--allow-read=${file}` : permissions,
      both: "hook",
      secret,
    };
    Deno.writeTextFileSync(list, JSON.stringify([service]));
    const master = await site.start({ program: HOOKED, args: ["-services-from", list] });
    using client = await greeted(port);
    assertEquals(await client.ask("setting secret"), secret);
    assertEquals(await client.ask("setting both"), "hook");
    assertEquals(await client.ask("setting more"), "from a file");
    for (const { argv } of site.processes()) {
      assert(!argv.join(" ").includes(secret), argv.join(" "));
    }
    client.close();
    await master.stop();
  });
}

Deno.test("a program of LIB-ZC gets the settings of a hook as a C master gives them", async () => {
  await using site = new Site();
  const ports = [site.port(), site.port()];
  const list = site.dir.file("services.json");
  const service = {
    "server-command": peer("server"),
    "server-service": `127.0.0.1:${ports[0]}`,
    "server-proc-count": "1",
    color: "blue",
  };
  Deno.writeTextFileSync(list, JSON.stringify([service]));
  const first = await site.start({ program: HOOKED, args: ["-services-from", list] });
  using client = await greeted(ports[0]);
  assertEquals((await peerStart(client)).argv.slice(-3), [":i5", "-color", "blue"]);
  client.close();
  await first.stop();
  // Those of a directory have a file, which the program reads itself.
  const file = site.write("c.cf", { ...service, "server-service": `127.0.0.1:${ports[1]}` });
  const second = await site.start({ program: HOOKED, args: ["--mark-services"] });
  using other = await greeted(ports[1]);
  assertEquals((await peerStart(other)).argv.slice(-4), [
    "-config",
    file,
    "-server-service",
    ":i5",
  ]);
  assertEquals(await other.ask("setting color"), "blue");
  other.close();
  await second.stop();
});

Deno.test("masterServerLoadConfigFromDirname() lets a hook change the services of a directory", async () => {
  await using site = new Site();
  const [first, second] = [site.port(), site.port()];
  site.serve("a.cf", { mode: "coroutine", service: first, own: "a" });
  site.serve("b.cf", { mode: "aio", service: second, own: "b" });
  const master = await site.start({ program: HOOKED, args: ["--mark-services"] });
  for (const [port, own] of [[first, "a"], [second, "b"]] as const) {
    using client = await greeted(port);
    assertEquals(await client.ask("setting own"), own);
    assertEquals(await client.ask("setting marked"), "by the hook");
  }
  await master.stop();
});

for (const hook of ["beforeService", "loadConfig"]) {
  Deno.test(`a master whose ${hook} throws does not start, and shows the error`, async () => {
    await using site = new Site();
    const args = ["-services-from", site.dir.file("none"), `--fail-in=${hook}`];
    const process = site.run(["-C", site.conf, "-pid-file", site.pidFile, ...args], {
      program: HOOKED,
    });
    const { code, stderr } = await process.ended();
    assertEquals(code, 1);
    assertMatch(stderr, new RegExp(`Error: a fault in ${hook}\n.*hooked\\.ts`, "s"));
    await site.isGone();
  });
}

for (const mode of MODES) {
  Deno.test(`${mode} mode: a server's hooks are called once each, in their order`, async () => {
    await using site = new Site();
    const port = site.port(), path = site.socket("sock");
    const service = `one://127.0.0.1:${port}, two://${path}`;
    site.serve("a.cf", { mode, service, args: ["--before-softstop"], own: "setting" });
    const master = await site.start();
    const client = await greeted(port);
    const pid = pidIn(client);
    client.close();
    await master.reload();
    await master.logs(new RegExp(`\\[${pid}\\] beforeSoftstop`));
    await master.stop();
    const steps = master.log.split("\n").filter((line) => line.includes(`[${pid}]`))
      .map((line) => line.replace(/^.*?\] (.*)$/, "$1"));
    assertEquals(steps, [
      "beforeService with setting",
      "serviceRegister one inet",
      "serviceRegister two unix",
      "beforeSoftstop",
    ]);
  });

  for (const hook of ["beforeService", "serviceRegister"]) {
    Deno.test(`${mode} mode: a server whose ${hook} throws ends with exit code 1 and the error`, async () => {
      await using site = new Site();
      site.serve("a.cf", { mode, service: site.port(), args: [`--fail-in=${hook}`] });
      const master = await site.start();
      await master.logs(/a\.cf: process \d+ ended after \S+ \S+: exit code 1/);
      await master.logs(new RegExp(`Error: a fault in ${hook}\n +at .*behaviour\\.ts`));
      await master.stop();
      assert(!master.log.includes("recvmsg"), master.log);
    });
  }
}

for (const mode of MODES) {
  Deno.test(`${mode} mode: a server without serviceRegister says which hook it needs`, async () => {
    await using site = new Site();
    const root = new URL("../../", import.meta.url).href;
    const script = site.dir.write(
      "slip.ts",
      `import { ${mode}ServerMain } from "${root}${mode}_server.ts";\n` +
        `Deno.exit(await ${mode}ServerMain({ serviceregister() {} }));\n`,
    );
    const config = new URL("deno.json", root).pathname;
    const server = site.execute(
      [Deno.execPath(), "run", "-A", "--no-check", "--config", config, script, "alone"],
    );
    const { code, stderr } = await server.ended();
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /Cannot use hook "serviceregister": no such hook, expected serviceRegister\n/,
    );
  });
}

Deno.test("a master with a misspelt hook does not start, and says what it is called", async () => {
  const root = new URL("../../", import.meta.url).href;
  await using site = new Site();
  const program = site.dir.write(
    "slip.ts",
    `import { masterServerMain } from "${root}master.ts";\n` +
      `Deno.exit(await masterServerMain({ loadconfig: () => [] }));\n`,
  );
  const config = new URL("deno.json", root).pathname;
  const argv = [Deno.execPath(), "run", "-A", "--no-check", "--config", config, program];
  const { code, stderr } = await site.execute([...argv, "-C", site.conf]).ended();
  assertEquals(code, 1);
  assertEquals(stderr, 'Cannot use hook "loadconfig": no such hook, expected loadConfig\n');
});
