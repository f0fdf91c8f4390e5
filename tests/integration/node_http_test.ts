import { assertEquals, assertGreater, assertLess, assertMatch, assertNotEquals } from "@std/assert";
import { HttpClient } from "../server/http_client.ts";
import { Site } from "../support/master.ts";
import { eventually } from "../support/wait.ts";

const SERVER = new URL("../support/servers/node_http.ts", import.meta.url).pathname;

/** The packages of Express are in no lock file. */
const WITHOUT_LOCK = `${Deno.execPath()} run -A --no-lock`;

for (
  const [name, command] of [
    ["node:http", SERVER],
    ["Express", `${WITHOUT_LOCK} ${SERVER} --express`],
  ]
) {
  Deno.test(`serveNode() with ${name}: a reload loses no request, and the old process ends`, async () => {
    await using site = new Site();
    const port = site.port(), until = site.dir.file("until");
    site.write("node.cf", {
      "server-command": command,
      "server-service": `127.0.0.1:${port}`,
      until,
    });
    const master = await site.start();
    const [old] = await master.serving("node.cf", 1);
    using idle = await HttpClient.connect(port);
    using busy = await HttpClient.connect(port);
    const first = await idle.get("/");
    assertEquals([first.status, first.body], [200, `${old} /`]);
    await busy.request("/slow");
    await master.logs(/slow/);
    await master.reload();
    await master.logs(/beforeSoftstop/);
    // Who has a connection is served once more, and told to close it.
    const last = await idle.get("/");
    assertEquals([last.body, last.headers.get("connection")], [`${old} /`, "close"]);
    using fresh = await HttpClient.connect(port);
    const { body } = await fresh.get("/");
    assertMatch(body, /^\d+ \/$/);
    assertNotEquals(body, `${old} /`);
    site.dir.write("until", "");
    assertEquals((await busy.answer()).body, `${old} /slow`);
    await eventually(() => !master.servers().some(({ pid }) => pid === old), {
      what: "the end of the old process",
      withinMs: 8_000,
    });
    await master.stop();
  });
}

Deno.test("a server of node:http can listen on the descriptor by itself", async () => {
  await using site = new Site();
  const port = site.port(), until = site.dir.file("until");
  site.write("node.cf", {
    "server-command": `${SERVER} --by-itself`,
    "server-service": `127.0.0.1:${port}`,
    // Nobody else knows what it has under way.
    "server-stop-on-softstop-after": "30s",
    until,
  });
  const master = await site.start();
  const [old] = await master.serving("node.cf", 1);
  using busy = await HttpClient.connect(port);
  await busy.request("/slow");
  await master.logs(/slow/);
  await master.reload();
  await master.logs(/beforeSoftstop/);
  using fresh = await HttpClient.connect(port);
  const { status, body } = await fresh.get("/");
  assertEquals(status, 200);
  assertNotEquals(body, `${old} /`);
  // What it has accepted is its own to finish.
  site.dir.write("until", "");
  assertEquals((await busy.answer()).body, `${old} /slow`);
  await eventually(() => !master.servers().some(({ pid }) => pid === old), {
    what: "the end of the old process",
  });
  await master.stop();
});

Deno.test("serveNode() closes a connection that stays idle after the stop", async () => {
  await using site = new Site();
  const port = site.port();
  site.write("node.cf", { "server-command": SERVER, "server-service": `127.0.0.1:${port}` });
  const master = await site.start();
  await master.serving("node.cf", 1);
  using idle = await HttpClient.connect(port);
  await idle.get("/");
  const stopped = master.stop();
  await idle.ended();
  await stopped;
});

for (const permissions of ["-A", ""]) {
  Deno.test(`serveNode() with permissions "${permissions}" survives lacks of descriptors on a unix socket, and drains`, async () => {
    await using site = new Site();
    const path = site.socket("n");
    const run = `ulimit -n 64; exec "$0" run --no-prompt ${permissions} "$@"`;
    site.write("node.cf", {
      "server-command": `sh -c '${run}' ${Deno.execPath()} ${SERVER}`,
      "server-service": path,
      "server-protocol": permissions === "" ? "inherit" : "control",
    });
    const master = await site.start();
    const [pid] = await master.serving("node.cf", 1);
    for (let round = 1; round <= 2; round++) {
      const clients = await Promise.all(Array.from({ length: 80 }, () => HttpClient.connect(path)));
      await master.logs(/Cannot accept a connection: .*EMFILE/, round);
      clients.forEach((client) => client[Symbol.dispose]());
      const since = performance.now();
      await eventually(async () => {
        using client = await HttpClient.connect(path);
        const { status, body } = await client.get("/");
        return status === 200 && body === `${pid} /`;
      }, { what: "an answer" });
      assertLess(performance.now() - since, 1_500);
    }
    using last = await HttpClient.connect(path);
    assertEquals((await last.get("/")).status, 200);
    await master.reload();
    await last.ended();
    await eventually(() => !master.servers().some((server) => server.pid === pid), {
      what: "the end of the old process",
      withinMs: 8_000,
    });
    using fresh = await HttpClient.connect(path);
    assertEquals((await fresh.get("/")).status, 200);
    await master.stop();
  });
}

const DRAINING = new URL("../support/servers/draining.ts", import.meta.url).pathname;

/** Asks again as soon as it is answered, until it is told to stop, over new connections where need be. */
async function askOnAndOn(
  port: number,
  { isOver, request }: { readonly isOver: () => boolean; readonly request: string },
): Promise<{ answered: number; lost: number }> {
  let client: HttpClient | undefined, answered = 0, lost = 0;
  while (!isOver()) {
    client ??= await HttpClient.connect(port);
    try {
      await client.send(request);
      const { status, headers } = await client.answer();
      assertEquals(status, 200);
      answered++;
      if (headers.get("connection") !== "close") continue;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      lost++;
    }
    client[Symbol.dispose]();
    client = undefined;
  }
  client?.[Symbol.dispose]();
  return { answered, lost };
}

const GET = "GET /pause/20 HTTP/1.1\r\nHost: test\r\n\r\n";
const EXPECTING = "POST /pause/20 HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n" +
  "Expect: 100-continue\r\n\r\nx";

for (
  const { how, permissions, request = GET } of [
    { how: "serveNode" },
    { how: "serveNode", permissions: "--allow-read" },
    { how: "express" },
    { how: "checkContinue", request: EXPECTING },
    { how: "serveHttp" },
    { how: "serveHttp", permissions: "--allow-read" },
  ]
) {
  Deno.test(`${how} with permissions "${permissions ?? "-A"}": 16 clients that ask again at once lose nothing over two reloads`, async () => {
    await using site = new Site();
    const port = site.port();
    site.write("draining.cf", {
      "server-command": `${how === "express" ? `${WITHOUT_LOCK} ` : ""}${DRAINING} ${how} - -`,
      "server-service": `127.0.0.1:${port}`,
      "server-permissions": permissions,
    });
    const master = await site.start();
    await master.logs(/ready is process/);
    let isOver = false;
    const asking = Promise.all(
      Array.from({ length: 16 }, () => askOnAndOn(port, { isOver: () => isOver, request })),
    );
    for (let reload = 1; reload <= 2; reload++) {
      const [old] = master.servers();
      await master.reload();
      await eventually(() => !master.servers().some(({ pid }) => pid === old.pid), {
        what: "the end of the old process",
        withinMs: 20_000,
      });
    }
    isOver = true;
    const all = await asking;
    assertEquals(all.reduce((sum, { lost }) => sum + lost, 0), 0);
    assertGreater(all.reduce((sum, { answered }) => sum + answered, 0), 100);
    await master.stop();
  });
}
