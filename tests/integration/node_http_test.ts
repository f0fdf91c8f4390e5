import { assertEquals, assertGreater, assertLess, assertMatch, assertNotEquals } from "@std/assert";
import { HttpClient } from "../server/http_client.ts";
import { HttpLoad } from "../server/http_load.ts";
import { zcHere } from "../support/commands.ts";
import { Site } from "../support/master.ts";
import { acceptsNoMore } from "../support/peers.ts";
import { eventually, GOES_ON_MS } from "../support/wait.ts";

const SERVER = new URL("../support/servers/node_http.ts", import.meta.url).pathname;

/** How long an old process may take to end once its clients are served, in milliseconds, on a busy machine. */
const ENDS_MS = 15_000;

/** The packages of Express are in no lock file. */
const WITHOUT_LOCK = `${Deno.execPath()} run -A --no-lock`;

/** Servers of node:http, and what they are started with. */
const SERVERS = {
  "node:http": { command: SERVER },
  Express: { command: `${WITHOUT_LOCK} ${SERVER} --express` },
  // Nobody else knows what it has under way.
  "node:http by itself": {
    command: `${SERVER} --by-itself`,
    settings: { "server-stop-on-softstop-after": "30s" },
  },
} as const;

Deno.test("a reload loses no request of serveNode() with node:http and Express, nor of a server that listens on the descriptor by itself; a stop closes what stays idle", async () => {
  await using site = new Site();
  const until = site.dir.file("until");
  const services = Object.entries(SERVERS).map(([name, { command, ...more }], index) => {
    const file = `node${index}.cf`, port = site.port();
    site.write(file, {
      "server-command": command,
      "server-service": `127.0.0.1:${port}`,
      until,
      ...("settings" in more ? more.settings : {}),
    });
    return { name, file, port, isByItself: name.endsWith("by itself") };
  });
  const master = await site.start();
  using clients = new DisposableStack();
  const connect = async (port: number) => clients.use(await HttpClient.connect(port));
  const begun = await Promise.all(services.map(async (service) => {
    const [old] = await master.serving(service.file, 1);
    const idle = await connect(service.port), busy = await connect(service.port);
    if (!service.isByItself) {
      const first = await idle.get("/");
      assertEquals([first.status, first.body], [200, `${old} /`], service.name);
      // Without the beginning of a request it could be idle for a second after the stop, and no longer.
      await idle.send("GET / HTTP/1.1\r\n");
    }
    await busy.request("/slow");
    return { ...service, old, idle, busy };
  }));
  await master.logs(/slow/, services.length);
  const stops = begun.map(async ({ name, old, idle, isByItself }) => {
    await master.logs(new RegExp(`\\[${old}\\] beforeSoftstop`));
    await acceptsNoMore(old);
    if (isByItself) return;
    // Who has a connection is served once more, and told to close it.
    await idle.send("Host: test\r\n\r\n");
    const last = await idle.answer();
    assertEquals([last.body, last.headers.get("connection")], [`${old} /`, "close"], name);
  });
  await Promise.all([master.reload(), ...stops]);
  for (const { name, port, old } of begun) {
    const { status, body } = await (await connect(port)).get("/");
    assertEquals(status, 200, name);
    assertMatch(body, /^\d+ \/$/, name);
    assertNotEquals(body, `${old} /`, name);
  }
  // What it has accepted is its own to finish.
  site.dir.write("until", "");
  for (const { name, old, busy } of begun) {
    assertEquals((await busy.answer()).body, `${old} /slow`, name);
  }
  for (const { old, idle, isByItself } of begun) {
    if (isByItself) idle[Symbol.dispose]();
    await master.reaps(old, ENDS_MS);
  }
  const [{ port }] = services, last = await connect(port);
  await last.get("/");
  const stopped = master.stop();
  await last.ended();
  clients.dispose();
  await stopped;
});

Deno.test("serveNode() with all permissions and with none survives lacks of descriptors on a unix socket, and drains", async () => {
  await using site = new Site();
  const services = ["-A", ""].map((permissions, index) => {
    const file = `node${index}.cf`, path = site.socket(`n${index}`);
    const run = `ulimit -n 64; exec "$0" run --no-prompt ${permissions} "$@"`;
    site.write(file, {
      "server-command": `sh -c '${run}' ${Deno.execPath()} ${SERVER}`,
      "server-service": path,
      "server-protocol": permissions === "" ? "inherit" : "control",
    });
    return { file, path };
  });
  const master = await site.start();
  const served = [];
  for (const { file, path } of services) {
    const [pid] = await master.serving(file, 1);
    const lacks = new RegExp(`\\[${pid}\\] Cannot accept a connection: .*EMFILE`);
    for (let round = 1; round <= 2; round++) {
      const clients = await Promise.all(Array.from({ length: 80 }, () => HttpClient.connect(path)));
      await master.logs(lacks, round);
      clients.forEach((client) => client[Symbol.dispose]());
      const since = performance.now();
      await eventually(async () => {
        using client = await HttpClient.connect(path);
        const { status, body } = await client.get("/");
        return status === 200 && body === `${pid} /`;
      }, { what: "an answer" });
      assertLess(performance.now() - since, GOES_ON_MS, file);
    }
    const last = await HttpClient.connect(path);
    assertEquals((await last.get("/")).status, 200, file);
    served.push({ file, path, pid, last });
  }
  await master.reload();
  for (const { file, path, pid, last } of served) {
    await last.ended();
    last[Symbol.dispose]();
    await master.reaps(pid, ENDS_MS);
    using fresh = await HttpClient.connect(path);
    assertEquals((await fresh.get("/")).status, 200, file);
  }
  await master.stop();
});

const DRAINING = new URL("../support/servers/draining.ts", import.meta.url).pathname;

const GET = "GET /pause/20 HTTP/1.1\r\nHost: test\r\n\r\n";
const EXPECTING = "POST /pause/20 HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n" +
  "Expect: 100-continue\r\n\r\nx";

/** Servers that drain, and what their clients ask. */
const DRAINED: readonly {
  readonly how: string;
  readonly permissions?: string;
  readonly request?: string;
}[] = [
  { how: "serveNode" },
  { how: "serveNode", permissions: "--allow-read" },
  { how: "express" },
  { how: "checkContinue", request: EXPECTING },
  { how: "serveHttp" },
  { how: "serveHttp", permissions: "--allow-read" },
];

Deno.test("16 clients of each kind of HTTP server that ask again at once lose nothing over a reload, and over one more", async () => {
  await using site = new Site();
  const services = DRAINED.map(({ how, permissions, request = GET }, index) => {
    const file = `draining${index}.cf`, port = site.port();
    site.write(file, {
      "server-command": `${how === "express" ? `${WITHOUT_LOCK} ` : ""}${DRAINING} ${how} - -`,
      "server-service": `127.0.0.1:${port}`,
      "server-permissions": permissions,
    });
    return { what: `${how} with permissions ${permissions ?? "-A"}`, file, port, request };
  });
  const master = await site.start();
  for (const { file } of services) await master.logs(new RegExp(`${file}: ready is process`));
  await using clients = new AsyncDisposableStack();
  const loads = services.map(({ what, port, request }) => ({
    what,
    load: clients.use(new HttpLoad([port], { clients: 16, request })),
  }));
  const old = master.servers().map(({ pid }) => pid);
  await master.reload();
  await master.reaps(old);
  // A process that has come by a reload itself is replaced.
  const [{ file }] = services, [reloaded] = master.servers(file);
  assertEquals((await zcHere(site, "reload", file)).code, 0);
  await master.reaps(reloaded.pid);
  for (const { what, load } of loads) {
    await load.end();
    assertEquals(load.lost, [], what);
    assertGreater(load.answered, 100, what);
  }
  await master.stop();
});
