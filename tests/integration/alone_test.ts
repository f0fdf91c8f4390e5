import { assert, assertEquals, assertMatch } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { greeted, isRefused } from "../support/client.ts";
import { MODES, SERVERS, Site } from "../support/master.ts";

const DENO_RUN = [Deno.execPath(), "run", "-A"];

for (const mode of MODES) {
  Deno.test(`${mode} mode: a server alone opens its addresses, and drains at a SIGTERM`, async () => {
    await using site = new Site();
    const port = site.port(), path = site.socket("sock");
    const list = `web://127.0.0.1:${port}; ${path}`;
    const server = site.execute([...DENO_RUN, SERVERS[mode], "alone", "-server-service", list]);
    await server.complains(/serviceRegister - unix/);
    using client = await greeted(port);
    assertMatch(client.greeting, new RegExp(`^${mode} ${server.pid} web inet`));
    using other = await greeted(path);
    assertEquals(await other.ask("echo by path"), "by path");
    server.signal("SIGTERM");
    assertEquals(await client.ask("echo still served"), "still served");
    assertEquals(await client.ask("quit"), "bye");
    assertEquals(await other.ask("quit"), "bye");
    assertEquals((await server.ended()).code, 0);
    assert(!existsSync(path));
    assert(await isRefused(port));
  });

  Deno.test(`${mode} mode: a second interrupt ends a server alone at once`, async () => {
    await using site = new Site();
    const port = site.port();
    const server = site.execute(
      [...DENO_RUN, SERVERS[mode], "alone", "-server-service", `127.0.0.1:${port}`],
    );
    await server.complains(/serviceRegister/);
    using client = await greeted(port);
    server.signal("SIGINT");
    assertEquals(await client.ask("echo first"), "first");
    server.signal("SIGINT");
    assertEquals((await server.ended()).code, 0);
  });
}

Deno.test("a server alone reads its files, and the command line wins", async () => {
  await using site = new Site();
  const port = site.port();
  site.write("all.gcf", { a: "shared", b: "shared", c: "shared" });
  const file = site.write("own.cf", { b: "own", c: "own" });
  const server = site.execute([
    ...DENO_RUN,
    SERVERS.coroutine,
    ...["alone", "-server-service", `127.0.0.1:${port}`, "-c", "argument"],
    ...["-server-config-path", site.conf, "-config", file],
  ]);
  await server.complains(/serviceRegister/);
  using client = await greeted(port);
  assertEquals(await client.ask("setting a"), "shared");
  assertEquals(await client.ask("setting b"), "own");
  assertEquals(await client.ask("setting c"), "argument");
});

for (
  const { args, wrong } of [
    { args: [], wrong: /no mode, expected coroutine alone -server-service/ },
    { args: ["solo"], wrong: /"solo": an unknown mode, expected coroutine alone/ },
    { args: ["alone"], wrong: /-server-service: Cannot serve "": no address/ },
    { args: ["alone", "-server-service"], wrong: /-server-service: .*no value after it/ },
    { args: ["alone", "-server-service", "nowhere:x"], wrong: /Cannot listen on "nowhere:x"/ },
    { args: ["MASTER"], wrong: /Cannot start "MASTER": .*expected a start by a running master/ },
  ]
) {
  Deno.test(`a server with the arguments [${args}] says what is wrong, and exits with 1`, async () => {
    await using site = new Site();
    const { code, stderr } = await site.execute([...DENO_RUN, SERVERS.coroutine, ...args]).ended();
    assertEquals(code, 1);
    assertMatch(stderr, wrong);
  });
}
