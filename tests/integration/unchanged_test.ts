/** Programs that know nothing of their master: each way to open an address, and each way to end. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { fetchText } from "../server/http_client.ts";
import { HttpLoad } from "../server/http_load.ts";
import { Client } from "../support/client.ts";
import { Site } from "../support/master.ts";
import { TEST_CERT, testCertificate } from "../support/tls.ts";
import { eventually } from "../support/wait.ts";

/** The directory of this package. */
const CLONE = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

const DENO = { "server-protocol": "deno" };

/** Two clients for each port. */
function loadOn(...ports: readonly number[]): HttpLoad {
  return new HttpLoad(ports, { clients: 2, request: "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" });
}

Deno.test("programs without a changed line are served by the sockets of the master, and lose nothing at a reload", async () => {
  await using site = new Site();
  const [app, web, lines, tls, node] = Array.from({ length: 5 }, () => site.port());
  const { certFile, keyFile } = testCertificate(site.dir);
  site.write("app.cf", {
    "server-command": `${site.server("unchanged/application")} one two`,
    "server-service": `127.0.0.1:${app}`,
    "server-proc-count": 2,
  });
  const args = [web, lines, tls, certFile, keyFile].join(" ");
  site.write("asking.cf", {
    "server-command": `${site.server("unchanged/asking")} ${args}`,
    "server-service": [web, lines, tls].map((port) => `s${port}://127.0.0.1:${port}`).join(", "),
    ...DENO,
  });
  site.write("node.cf", {
    "server-command": "npm start",
    "server-service": `127.0.0.1:${node}`,
  });
  const start = `node ${site.server("unchanged/signalled")} ${node}`;
  site.dir.write("package.json", JSON.stringify({ scripts: { start } }));
  const master = await site.start();
  await master.logs(/all services are ready/);
  const before = master.servers().map(({ pid }) => pid);
  assertEquals(before.length, 4);

  const told = JSON.parse(await fetchText(`http://127.0.0.1:${app}`));
  assert(before.includes(told.pid));
  assertEquals(told, { pid: told.pid, args: ["one", "two"], main: true, variables: [] });
  assertMatch(await fetchText(`http://127.0.0.1:${web}`), /^asking true \d+\n$/);
  assertEquals(await fetchText(`http://127.0.0.1:${web}/fault`), "mended");
  assertMatch(await fetchText(`http://127.0.0.1:${node}`), /^node \d+\n$/);
  const addr = `\\{"transport":"tcp","hostname":"127\\.0\\.0\\.1","port":${web}\\}`;
  await master.logs(new RegExp(`addr ${addr}\n`));
  await master.logs(new RegExp(`onListen ${addr}\n`));
  await master.logs(new RegExp(`port ${node}\n`));
  await master.logs(new RegExp(`listening \\{"address":"127.0.0.1",.*"port":${node}.*\\} true\n`));

  using line = await Client.connect(lines);
  assertEquals(await line.ask("hello"), "hello");
  const secure = await Deno.connectTls({ hostname: "localhost", port: tls, caCerts: [TEST_CERT] });
  await secure.write(new TextEncoder().encode("x"));
  assertEquals(await secure.read(new Uint8Array(9)), 1);
  secure.close();

  await using load = loadOn(app, web, node);
  await eventually(() => load.answered > 20, { what: "answers" });
  await master.reload();
  await eventually(() => master.logged(/listen ended/) === 1, { what: "the end of the loop" });
  line.close();
  await master.reaps(before);
  const { answered } = load;
  await eventually(() => load.answered > answered + 20, { what: "answers of the new processes" });
  await load.end();
  assertEquals(load.lost, []);
  for (
    const text of [
      "finished",
      "listen ended",
      "listenTls ended",
      "SIGTERM accepting: true",
      "closed",
    ]
  ) {
    await master.logs(new RegExp(`\\] ${text}\n`));
  }
  assertNotEquals(JSON.parse(await fetchText(`http://127.0.0.1:${app}`)).pid, told.pid);
  await master.stop();
});

Deno.test("a program without FFI is served as well, and a standby of one with it takes over", async () => {
  await using site = new Site();
  const [app, web] = [site.port(), site.port()];
  site.write("app.cf", {
    "server-command": site.server("unchanged/application"),
    "server-service": `127.0.0.1:${app}`,
    "server-permissions": "--allow-env",
  });
  site.write("web.cf", {
    "server-command": `deno serve -A --port ${web} ${site.server("unchanged/application")}`,
    "server-service": `127.0.0.1:${web}`,
    "server-standby-count": 1,
  });
  const master = await site.start();
  await master.logs(/all services are ready/);
  await using load = loadOn(app);
  await eventually(() => load.answered > 4, { what: "answers" });
  const { pid } = JSON.parse(await fetchText(`http://127.0.0.1:${web}`));
  await master.logs(/loaded is process/);
  Deno.kill(pid, "SIGKILL");
  await eventually(async () => JSON.parse(await fetchText(`http://127.0.0.1:${web}`)).pid !== pid, {
    what: "an answer of the standby",
  });
  await master.reload();
  const { answered } = load;
  await eventually(() => load.answered > answered + 4, { what: "answers of the new process" });
  await load.end();
  assertEquals(load.lost, []);
  await master.stop();
});

Deno.test("an address that no service has is opened by the program, with one warning; a socket's path is matched", async () => {
  await using site = new Site();
  const path = site.socket("app.sock"), port = site.port();
  site.write("other.cf", {
    "server-command": `${site.server("unchanged/other_address")} ./app.sock`,
    "server-service": `${path}, 127.0.0.1:${port}`,
    ...DENO,
  });
  const master = await site.start();
  const [, other] = await master.logs(/\] other (\d+)\n/);
  assertEquals(await fetchText(`http://127.0.0.1:${other}`), "other");
  const line = await master.logs(/warn other\[\d+\] Cannot pass on .*\n/);
  assertEquals(
    line[0].replace(/^.*?Cannot/, "Cannot"),
    `Cannot pass on 127.0.0.1:0: no free service has the port 0, found ${path} (listened on already), ` +
      `127.0.0.1:${port}, expected it in server-service; this process opens the address itself\n`,
  );
  await master.logs(
    new RegExp(`Cannot serve "127.0.0.1:${port}": a program that has not listened there for 10 s`),
  );
  await master.stop();
});

Deno.test("a program that closes its last listener ends, and another process takes its place", async () => {
  await using site = new Site();
  const port = site.port();
  site.write("app.cf", {
    "server-command": `deno run -A ${site.server("unchanged/closing")}`,
    "server-service": `127.0.0.1:${port}`,
    ...DENO,
  });
  const master = await site.start();
  for (const [index, how] of ["shutdown", "abort", "shutdown"].entries()) {
    await eventually(() => master.logged(/\] listens$/) === index + 1, { what: "a listener" });
    const text = await fetchText(`http://127.0.0.1:${port}/${how}`).catch((error) => error.name);
    assertEquals(text, how === "abort" ? "TypeError" : "shutdown");
    await master.logs(/\] finished\n/, index + 1);
    await master.logs(/the program has closed its last listener: this process ends/, index + 1);
  }
  await master.stop();
});

Deno.test("a handler of SIGTERM is called once, and has the time of the stop after the last connection", async () => {
  await using site = new Site();
  const all = ["Deno", "node"];
  for (const [index, how] of all.entries()) {
    const port = site.port();
    site.write(`${how}.cf`, {
      "server-command": `${site.server("unchanged/flushing")} ${port} ${how}`,
      "server-service": `127.0.0.1:${port}`,
      ...(index === 1 && { "server-permissions": "none" }),
      "server-watchdog": "1",
      ...DENO,
    });
  }
  const master = await site.start();
  await master.logs(/all services are ready/);
  const before = master.servers().map(({ pid }) => pid);
  await master.reload();
  await master.reaps(before);
  for (const how of all) {
    await master.logs(new RegExp(`${how} has written 1\n`));
    assertEquals(master.logged(new RegExp(`${how} is told \\d`)), 1);
  }
  assertEquals(master.logged(/hangs/), 0);
  await master.stop();
});

Deno.test("a listener that is closed before its socket has come holds up nothing, with and without FFI", async () => {
  await using site = new Site();
  for (const [name, permissions] of [["ffi.cf", "all"], ["none.cf", "none"]]) {
    const [first, second, third] = [site.port(), site.port(), site.port()];
    site.write(name, {
      "server-command": `${site.server("unchanged/closing_early")} ${first} ${second} ${third}`,
      "server-service": [first, second, third].map((port) => `127.0.0.1:${port}`).join(", "),
      "server-permissions": permissions,
      ...DENO,
    });
  }
  const master = await site.start();
  await master.logs(/all services are ready/);
  await master.logs(/\] listener closed\n/, 2);
  await master.logs(/\] server closed\n/, 2);
  assertEquals(master.servers().length, 2);
  await master.stop();
});

Deno.test("the end of a program whose folder names no clone says what its deno.json has to name", async () => {
  await using site = new Site();
  const program = site.dir.write("main.ts", "Deno.serve(() => new Response());\n");
  for (const manifest of [undefined, '{ "imports": {} }']) {
    if (manifest !== undefined) site.dir.write("deno.json", manifest);
    site.write("a.cf", {
      "server-command": program,
      "server-service": `127.0.0.1:${site.port()}`,
      "server-start-limit": "1/1m",
      ...DENO,
    });
    const master = await site.start();
    const lacks = `expected "links": ["${CLONE}"] in the deno.json beside the program`;
    await master.logs(new RegExp(`last words: .* not a dependency.*, ${RegExp.escape(lacks)}`));
    await master.stop();
  }
});
