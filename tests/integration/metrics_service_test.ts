/** The built-in service `metrics`, as a master starts it. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ControlClient } from "../../src/control/client.ts";
import { mayChangeRoot } from "../../src/os/user/credentials.ts";
import { greeted } from "../support/client.ts";
import { id } from "../support/credentials.ts";
import { installationFor } from "../support/installation.ts";
import { Site } from "../support/master.ts";
import { eventually, within } from "../support/wait.ts";

/** Another user than the one who runs the tests. */
const USER = id("-un") === "nobody" ? "daemon" : "nobody";

/** Asks the service at a port, at an address of IPv6 or at a unix socket, until it answers so. */
async function get(target: number | string, path: string, status = 200): Promise<string> {
  const isUnix = typeof target === "string" && target.startsWith("/");
  const host = isUnix ? "localhost" : typeof target === "number" ? `127.0.0.1:${target}` : target;
  using client = isUnix
    ? Deno.createHttpClient({ proxy: { transport: "unix", path: target } })
    : undefined;
  return await eventually(async () => {
    const response = await fetch(`http://${host}${path}`, {
      headers: { connection: "close" },
      client,
    }).catch(() => undefined);
    const text = await response?.text();
    return response?.status === status && text;
  }, { what: `${status} of ${path}` });
}

async function idsOf(site: Site): Promise<string[]> {
  using client = await ControlClient.connect(`${site.pidFile}.sock`);
  return (await client.request("status")).services.map(({ id, state }) => `${id} ${state}`);
}

Deno.test("metrics makes a service that shows the status, over reloads and upgrades", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const page = site.socket("page.sock");
  const master = await site.start({ args: ["-metrics", page] });
  await get(page, "/ready");
  assertStringIncludes(await get(page, "/metrics"), `service="a.cf"`);
  assertEquals(await idsOf(site), ["a.cf ready", "metrics ready"]);
  const socket = Deno.statSync(`${site.pidFile}.status.sock`);
  assertEquals(socket.mode! & 0o777, 0o600);
  // What it may do is to connect to the socket.
  const { argv } = site.processes().find(({ argv }) => argv.some((it) => it.endsWith("main.ts")))!;
  const allowed = argv.filter((it) => it.startsWith("--allow") || it === "-A");
  const path = `${site.pidFile}.status.sock`;
  assertEquals(allowed, [
    `--allow-read=${path}`,
    `--allow-write=${path}`,
    `--allow-net=unix:${path}`,
  ]);
  await master.reload();
  assertStringIncludes(await get(page, "/metrics"), `service="a.cf"`);
  await master.upgrade();
  assertStringIncludes(await get(page, "/metrics"), `service="metrics"`);
  await master.stop();
});

Deno.test("clients of metrics that send no whole request keep nobody out", async () => {
  await using site = new Site();
  const port = site.port();
  const master = await site.start({ args: ["-metrics", `127.0.0.1:${port}`] });
  await get(port, "/live");
  const clients: Deno.Conn[] = [];
  try {
    for (let n = 0; n < 300; n++) {
      const client = await Deno.connect({ hostname: "127.0.0.1", port });
      clients.push(client);
      await client.write(new TextEncoder().encode("GET /live HTTP/1.1\r\nHost: a\r\nX-"));
    }
    const isClosed = clients[0].read(new Uint8Array(1)).then((count) => count === null, () => true);
    assert(await within(isClosed, { what: "the end of the oldest connection" }));
    await get(port, "/live");
    await clients[299].write(new TextEncoder().encode("b: c\r\n\r\n"));
    const answer = new Uint8Array(12), read = clients[299].read(answer);
    await within(read, { what: "an answer on the youngest connection" });
    assertEquals(new TextDecoder().decode(answer), "HTTP/1.1 200");
  } finally {
    for (const client of clients) client.close();
  }
  await master.stop();
});

Deno.test("a reload starts, moves and ends the service of metrics as a shared file says, with a status socket of any name", async (t) => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const status = site.dir.file("an odd 'name'.sock"), own = site.port();
  // The program of the master runs the server of metrics itself, as a compiled one does.
  site.write("m.cf", {
    "server-command": `self +metrics "${status}"`,
    "server-service": `127.0.0.1:${own}`,
  });
  const master = await site.start({ args: ["-master-status", status] });
  await master.serving("a.cf", 1);
  await master.logs(/all services are ready/);
  assertEquals(await idsOf(site), ["a.cf ready", "m.cf ready"]);
  assertStringIncludes(await get(own, "/metrics"), `service="m.cf"`);
  site.remove("m.cf");

  await t.step("an address of IPv6", async () => {
    const port = site.port();
    site.write("all.gcf", { metrics: `[::1]:${port}` });
    await master.reload();
    assertEquals(await get(`[::1]:${port}`, "/live"), "live\n");
  });

  await t.step("a unix socket", async () => {
    const path = site.socket("page.sock");
    site.write("all.gcf", { metrics: path });
    await master.reload();
    assertEquals(await get(path, "/ready"), "ready\n");
  });

  await t.step("a wrong address is refused with its place", async () => {
    site.write("all.gcf", { metrics: "fifo:/x" });
    assertStringIncludes(await master.reloadRefused(), "all.gcf:1: metrics: ");
  });

  await t.step("none", async () => {
    site.remove("all.gcf");
    await master.reload();
    await eventually(async () => (await idsOf(site)).join() === "a.cf ready", { what: "its end" });
  });
  await master.stop();
});

Deno.test("metrics is refused with a status socket that its service could not use, and beside a section of its name", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const long = `${site.dir.path}/${"x".repeat(108)}`;
  const paths = [
    [`${site.dir.path}/a,b.sock`, "a path with a comma, which no permission of Deno can have"],
    [long, `a path of ${long.length} bytes, more than 107`],
  ];
  for (const [path, found] of paths) {
    const args = ["-metrics", `127.0.0.1:${site.port()}`, "-master-status", path];
    const process = site.run(["check", "-C", site.conf, "-pid-file", site.pidFile, ...args]);
    assertEquals((await process.ended()).code, 1, process.stderr);
    assertStringIncludes(
      process.stderr,
      `argument -metrics: Cannot show the status of "${site.dir.path}/`,
    );
    assertStringIncludes(process.stderr, `: ${found}, expected master-status = PATH`);
  }
  const file = site.dir.file("all.ini");
  Deno.writeTextFileSync(
    file,
    `metrics = 127.0.0.1:${site.port()}\n` +
      `[metrics]\nserver-command = /bin/true\nserver-service = ${site.port()}\n`,
  );
  const process = site.run(["-config", file, "-pid-file", site.pidFile]);
  await process.complains(/all\.ini:2: Cannot use as a service "metrics": the setting metrics/);
});

Deno.test("an address of metrics that is in use is told as such, by a check and at a start", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  using other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = `127.0.0.1:${(other.addr as Deno.NetAddr).port}`;
  for (const command of ["check", "start"]) {
    const process = site.run([
      ...[command, "-C", site.conf, "-pid-file", site.pidFile, "-metrics", address],
    ]);
    await process.ended();
    assertStringIncludes(process.stderr, `argument -metrics: Cannot listen on "${address}": `);
  }
});

Deno.test("shared settings for the programs of services do not reach the service of metrics", async () => {
  await using site = new Site();
  // With a second start it would have failed, and nothing would be ready.
  const own = { "server-protocol": "auto", "server-watchdog": 0 };
  site.serve("a.cf", { mode: "coroutine", service: site.port(), ...own });
  const address = `[::1]:${site.port()}`;
  site.write("all.gcf", {
    "server-permissions": "all",
    "server-start-limit": "1/1h",
    "server-standby-count": 1,
    "server-balance": "reuseport",
    "server-max-connections": 1,
    "server-watchdog": 1,
    "server-env": "HTTP_PROXY=http://127.0.0.1:1",
  });
  const master = await site.start({ args: ["-metrics", address] });
  for (let round = 0; round < 5; round++) await get(address, "/ready");
  const { argv } = site.processes().find(({ argv }) => argv.some((it) => it.endsWith("main.ts")))!;
  assert(!argv.includes("-A"), `${argv}`);
  using client = await ControlClient.connect(`${site.pidFile}.sock`);
  const { services } = await client.request("status", { service: "metrics" });
  assertEquals([services[0].processes.length, services[0].counters.starts], [1, 1]);
  await master.stop();
});

Deno.test("the service of metrics runs as server-user, and only this user can use the status socket", async () => {
  const isRoot = mayChangeRoot(), user = isRoot ? USER : id("-un");
  await using site = new Site(isRoot ? installationFor(USER) : undefined);
  if (isRoot) { for (const path of [site.dir.path, site.conf]) Deno.chmodSync(path, 0o755); }
  const served = site.port();
  site.serve("a.cf", { mode: "coroutine", service: served });
  const port = site.port(), settings = { metrics: `127.0.0.1:${port}` };
  site.write("all.gcf", isRoot ? { ...settings, "server-user": USER } : settings);
  const master = await site.start(), path = `${site.pidFile}.status.sock`;
  assertStringIncludes(await get(port, "/metrics"), `service="a.cf"`);
  const uid = Number(id("-u", user));
  assertEquals([Deno.statSync(path).uid, Deno.statSync(path).mode! & 0o777], [uid, 0o600]);
  using kept = await greeted(served);
  const old = await master.upgrade();
  assertStringIncludes(await get(port, "/metrics"), `service="a.cf"`);
  assertEquals(Deno.statSync(path).uid, uid);
  // The old master goes on, and so does its service.
  master.signal("SIGKILL");
  await master.logs(/has ended: signal SIGKILL; this one goes on/);
  master.pid = old;
  // For a moment the service of the killed master may still answer.
  await eventually(async () => (await get(port, "/metrics")).includes(`outcome="failed"} 1`), {
    what: "the failed upgrade on the page",
  });
  assertEquals(Deno.statSync(path).uid, uid);
  kept.close();
  await master.stop();
});
