/** A server in one call: each kind of service, its settings, and its mistakes. */
import { assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import { fetchText } from "../server/http_client.ts";
import { Client, greeted, isRefused } from "../support/client.ts";
import { Site } from "../support/master.ts";
import { TEST_CERT, testCertificate } from "../support/tls.ts";
import { eventually } from "../support/wait.ts";

/** Where each service of the test server listens. */
function addresses(site: Site): Record<string, string> {
  const names = [
    ...["web", "careless", "app", "secure", "node", "shout", "waiting", "faulty", "room"],
  ];
  return {
    ...Object.fromEntries(names.map((name) => [name, `127.0.0.1:${site.port()}`])),
    jobs: `fifo:${site.dir.file("jobs")}`,
  };
}

const listOf = (all: Readonly<Record<string, string>>) =>
  Object.entries(all).map(([name, address]) => `${name}://${address}`).join(", ");

const portOf = (address: string) => Number(address.split(":")[1]);

Deno.test("serve() serves each kind of service, over a reload, up to the end of what it was told to close", async () => {
  await using site = new Site();
  const all = addresses(site), { certFile, keyFile } = testCertificate(site.dir);
  site.write("one.cf", {
    "server-command": site.server("serve"),
    "server-service": listOf(all),
    "server-tls-cert": certFile,
    "server-tls-key": keyFile,
    greeting: "good day",
    timeout: "2m",
  });
  const master = await site.start();
  const [, pid] = await master.logs(/ready is process (\d+)/);
  const before = await fetchText(`http://${all.web}`);
  assertEquals(before, `good day 4 120000 ${pid}`);
  assertEquals(await fetchText(`http://${all.app}`), "an application for 127.0.0.1");
  using secure = Deno.createHttpClient({ caCerts: [TEST_CERT] });
  assertEquals(await fetchText(`https://localhost:${portOf(all.secure)}`, secure), "over TLS");
  assertEquals(await fetchText(`http://${all.node}`), "by node");
  Deno.writeTextFileSync(site.dir.file("jobs"), "one\n");
  await master.logs(/job one\n/);

  using shout = await Client.connect(portOf(all.shout));
  await shout.write("a\r\nb");
  assertEquals(await shout.line(), "A.");
  await shout.write("c\n01234567890123456789\n");
  assertEquals([await shout.line(), await shout.line()], ["BC.", "01234567890123456789."]);
  await shout.write("012345678901234567890\nnot reached\n");
  assertEquals(await shout.ending(), "end of file");

  using waiting = await greeted(portOf(all.waiting));
  assertEquals(waiting.greeting, "waiting");
  await master.reload();
  assertEquals([await waiting.line(), await waiting.ending()], ["bye", "end of file"]);
  await master.logs(/closed what was open\n/);
  const after = await fetchText(`http://${all.web}`);
  assertMatch(after, /^good day 4 120000 \d+$/);
  assertNotEquals(after, before);
  await master.stop();
});

Deno.test("a rejection that a handler does not wait for ends its own connection, and no other", async () => {
  await using site = new Site();
  const all = addresses(site);
  site.write("one.cf", {
    "server-command": site.server("serve"),
    "server-service": listOf({ faulty: all.faulty, web: all.web }),
  });
  const master = await site.start();
  const [, pid] = await master.logs(/ready is process (\d+)/);
  using other = await greeted(portOf(all.faulty));
  using client = await greeted(portOf(all.faulty));
  await client.write("x\n");
  assertEquals(await client.ending(), "end of file");
  await master.logs(
    /unhandled rejection \(service faulty\).* Its connection is closed: Error: a fault that is not waited for\n +at forgotten \(.*serve\.ts:\d+:\d+\)/,
  );
  assertEquals(master.servers("one.cf").map(({ pid }) => String(pid)), [pid]);
  await other.write("x\n");
  assertEquals(await other.ending(), "end of file");
  await master.stop();
});

for (const permissions of ["all", "--allow-read --allow-env"]) {
  Deno.test(`an error of HTTP that nothing handles names its service, server-permissions = ${permissions}`, async () => {
    await using site = new Site();
    const { careless, node, web } = addresses(site);
    site.write("one.cf", {
      "server-command": site.server("serve"),
      "server-service": listOf({ careless, node, web }),
      "server-permissions": permissions,
    });
    const master = await site.start();
    const [, pid] = await master.logs(/ready is process (\d+)/);
    assertEquals(await fetchText(`http://${careless}`), "answered");
    await master.logs(
      /unhandled rejection \(service careless\), is an await missing\? Error: a fault that is not waited for\n +at forgotten \(.*serve\.ts:\d+:\d+\)/,
    );
    await master.logs(/uncaught error \(service careless, node, web\): Error: a fault of a timer/);
    assertEquals(await fetchText(`http://${node}/forgotten`), "by node");
    await master.logs(/unhandled rejection \(service node\), is an await missing\?/);
    assertStringIncludes(await fetchText(`http://${web}`), ` ${pid}`);
    await master.stop();
  });

  Deno.test(`a client that goes ends no connection of a handler that wrote to it, server-permissions = ${permissions}`, async () => {
    await using site = new Site();
    const { room } = addresses(site);
    site.write("one.cf", {
      "server-command": site.server("serve"),
      "server-service": `room://${room}`,
      "log-level": "debug",
      "server-permissions": permissions,
    });
    const master = await site.start();
    using speaker = await greeted(portOf(room));
    // It reads nothing, so that what is written to it is under way when it goes.
    using deaf = await greeted(portOf(room));
    assertEquals(await speaker.ask("one"), "one");
    deaf.close();
    await master.logs(/a connection has ended, and nothing handles that: /);
    assertEquals(await speaker.ask("two"), "two");
    speaker.close();
    await master.stop();
  });
}

Deno.test("serve() refuses wrong settings of its own, all at once, with file and line", async () => {
  await using site = new Site();
  const service = `web://127.0.0.1:${site.port()}`;
  site.write("all.gcf", { timeout: "soon" });
  const file = site.write("one.cf", {
    "server-command": site.server("serve"),
    "server-service": service,
    workers: 70,
  });
  const master = await site.start();
  await master.logs(/one\.cf: .*process \d+ says that its settings are wrong \(exit code 78\)/);
  assertStringIncludes(
    master.log,
    `${file}:3: workers: Cannot read "70": above 10, expected a whole number from`,
  );
  assertStringIncludes(master.log, `${site.conf}/all.gcf:1: timeout: Cannot read "soon": `);
  await master.stop();
});

Deno.test("serve() refuses an address that no service of the program has, and names the nearest", async () => {
  await using site = new Site();
  site.write("one.cf", {
    "server-command": site.server("serve"),
    "server-service": `shuot://127.0.0.1:${site.port()}`,
  });
  const master = await site.start();
  await master.logs(
    /Cannot serve "shuot": the program has no such service, expected shout/,
  );
  // Another start can't help.
  await master.logs(/one\.cf: .*process \d+ says that its settings are wrong \(exit code 78\)/);
  await master.stop();
});

Deno.test("serve() opens the addresses of the program itself when it is started by hand", async () => {
  await using site = new Site();
  const port = site.port();
  const process = site.execute([Deno.execPath(), "run", "-A", site.server("serve")], {
    env: { LISTEN: `web://127.0.0.1:${port}` },
  });
  const text = await eventually(async () => {
    if (await isRefused(port)) return undefined;
    return await fetchText(`http://127.0.0.1:${port}`);
  }, { what: "an answer" });
  assertEquals(text, `hello 4 30000 ${process.pid}`);
  process.signal("SIGTERM");
  assertEquals((await process.ended()).code, 0);
  assertStringIncludes(process.stdout, "closed what was open");
});
