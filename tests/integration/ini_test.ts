import { assert, assertEquals, assertMatch } from "@std/assert";
import { greeted, isRefused } from "../support/client.ts";
import { Master, SERVERS, Site } from "../support/master.ts";
import { eventually } from "../support/wait.ts";

Deno.test("a master serves the sections of an INI file, and a reload reads it again", async () => {
  await using site = new Site();
  const ports = [site.port(), site.port()];
  const section = (name: keyof typeof SERVERS, port: number, own: string) =>
    `[${name}]\nserver-command = ${SERVERS[name]}\nserver-service = 127.0.0.1:${port}\n` +
    `server-proc-count = 1\n${own}\n`;
  const head = `; the master's and shared\npid-file = ${site.pidFile}\nshared = 007\nown = head\n`;
  const file = site.dir.write(
    "services.ini",
    head + section("aio", ports[0], "// commented = out\nown = null") +
      section("coroutine", ports[1], ""),
  );
  const process = site.run(["-config", file, "--DEBUG"]);
  await process.complains(/listeners: .*\n/);
  const master = new Master(site, process);
  assertEquals(Deno.readTextFileSync(site.pidFile).trim(), `${master.pid}`);
  for (const [port, own] of [[ports[0], "null"], [ports[1], "head"]] as const) {
    using client = await greeted(port);
    assertEquals(await client.ask("setting shared"), "007");
    assertEquals(await client.ask("setting own"), own);
  }
  // Every user of the machine can read them.
  assert(master.servers().every(({ argv }) => !argv.includes("007")));

  await master.logs(/all services are ready/);
  // Commands find the master by the same file.
  for (const command of ["status", "plan", "check", "doctor"]) {
    const asked = site.run([command, "-config", file, "--json"]);
    const { code } = await asked.ended();
    assert(command === "doctor" ? code <= 1 : code === 0, `${command}: ${asked.stderr}`);
    assertMatch(asked.stdout, command === "doctor" ? /"findings"|\[/ : /"aio"/);
  }

  const before = master.servers().map(({ pid }) => pid);
  Deno.writeTextFileSync(file, head + section("aio", ports[0], "own = 1\nown") + "[aio]\n");
  assertEquals(
    await master.reloadRefused(),
    [
      `${file}:10: Cannot read "own": no "=" in it, ` +
      "expected NAME = VALUE, [SERVICE] or a comment on a line of its own",
      `${file}:11: Cannot read section "aio": line 5 begins it too, expected one section for a service`,
    ].join("\n"),
  );
  const asked = site.run(["status", "-config", file, "--json"]);
  assertEquals((await asked.ended()).code, 0, asked.stderr);
  Deno.writeTextFileSync(file, head + "shared-only = yes\n");
  assertMatch(await master.reloadRefused(), /: Cannot go on with ".*services\.ini": no service/);
  assertEquals(master.servers().map(({ pid }) => pid), before);

  Deno.writeTextFileSync(file, head + section("aio", ports[0], "own = new"));
  await master.reload();
  await eventually(
    () => master.servers().length === 1 && !before.includes(master.servers()[0].pid),
    { what: "the only process of the new version" },
  );
  using client = await greeted(ports[0]);
  assertEquals(await client.ask("setting own"), "new");
  assert(await isRefused(ports[1]));
  client.close();
  await master.stop();
});
