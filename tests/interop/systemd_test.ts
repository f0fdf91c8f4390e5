import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { fetchText } from "../server/http_client.ts";
import { Client, type Target } from "../support/client.ts";
import { Site } from "../support/master.ts";
import { gone, peer } from "../support/peers.ts";
import { descriptorsOf, listenerInode } from "../support/proc.ts";
import { plainPython } from "../support/python.ts";
import { eventually } from "../support/wait.ts";

const PEERS = new URL("../peers/", import.meta.url).pathname;
const PYTHON = [...plainPython(), `${PEERS}activated.py`].join(" ");
const LIGHTTPD = "/usr/sbin/lighttpd";

/** What a server in Python says of itself: see its file. */
interface PythonAnswer {
  readonly pid: number;
  readonly own: boolean;
  readonly fd: number;
  readonly name: string;
  readonly open: readonly number[];
}

async function askPython(target: Target): Promise<PythonAnswer> {
  using client = await Client.connect(target);
  return JSON.parse(await client.line());
}

/** Asks over and over until a server in Python answers that is none of these. */
function askSuccessor(target: Target, others: readonly number[]): Promise<PythonAnswer> {
  return eventually(async () => {
    const answer = await askPython(target);
    return !others.includes(answer.pid) && answer;
  }, { what: "another process" });
}

Deno.test("a web server in Node serves the socket of LISTEN_FDS", async () => {
  await using site = new Site();
  const port = site.port();
  site.write("a.cf", {
    "server-command": `node ${PEERS}activated.mjs`,
    "server-service": `http://127.0.0.1:${port}`,
    "server-protocol": "systemd",
    "server-proc-count": 2,
  });
  const master = await site.start();
  const answer = await (await fetch(`http://127.0.0.1:${port}/`)).json();
  const { pid, ...rest } = answer;
  assertEquals(rest, { own: true, LISTEN_FDS: "1", LISTEN_FDNAMES: "http" });
  const inode = `socket:[${listenerInode(port)}]`;
  assertEquals(descriptorsOf(pid).get(3), inode);
  assertEquals(master.servers().length, 2);
  await master.stop();
});

for (const place of ["a.cf", "all.gcf"]) {
  Deno.test(`server-protocol = systemd in ${place} gives a server in Python its sockets by name`, async () => {
    await using site = new Site();
    const port = site.port(), path = site.socket("u");
    site.write("a.cf", {
      "server-command": PYTHON,
      "server-service": `web://127.0.0.1:${port} ${path}`,
      "server-protocol": place === "a.cf" ? "systemd" : undefined,
    });
    if (place === "all.gcf") site.write(place, { "server-protocol": "systemd" });
    const master = await site.start();
    const [{ pid }] = master.servers();
    const answer = { pid, own: true, open: [3, 4] };
    assertEquals(await askPython(port), { ...answer, fd: 3, name: "web" });
    assertEquals(await askPython(path), { ...answer, fd: 4, name: "unknown" });
    await master.stop();
  });
}

Deno.test("a reload ends servers of systemd's protocol by SIGTERM when their successors run", async () => {
  await using site = new Site();
  const port = site.port();
  const settings = { "server-protocol": "systemd", "server-service": `127.0.0.1:${port}` };
  site.write("a.cf", { ...settings, "server-command": PYTHON });
  const master = await site.start();
  const before = await askPython(port);
  const inode = listenerInode(port);
  await master.reload();
  const after = await askSuccessor(port, [before.pid]);
  await gone(before.pid);
  assertEquals(listenerInode(port), inode);
  Deno.kill(after.pid, "SIGKILL");
  await askSuccessor(port, [after.pid]);
  await master.stop();
});

Deno.test("a server of systemd's protocol that ignores SIGTERM is killed after its time", async () => {
  await using site = new Site();
  const port = site.port();
  site.write("a.cf", {
    "server-command": `${PYTHON} --ignore-sigterm`,
    "server-protocol": "systemd",
    "server-service": `127.0.0.1:${port}`,
  });
  const master = await site.start({ args: ["-master-stop-timeout", "1"] });
  const { pid } = await askPython(port);
  await master.stop();
  assertMatch(master.log, new RegExp(`process ${pid} is killed`));
});

Deno.test("no server of systemd's protocol outlives a master that is killed", async () => {
  await using site = new Site();
  const port = site.port();
  site.write("a.cf", {
    "server-command": PYTHON,
    "server-protocol": "systemd",
    "server-service": `127.0.0.1:${port}`,
    "server-proc-count": 2,
  });
  const master = await site.start();
  await askPython(port);
  master.process.signal("SIGKILL");
  await master.process.ended();
  await site.isGone();
});

Deno.test("a program of systemd's protocol that can't be executed is tried again after a pause", async () => {
  await using site = new Site();
  const program = site.dir.write("server", "#!/nowhere/interpreter\n");
  Deno.chmodSync(program, 0o755);
  site.write("a.cf", {
    "server-command": program,
    "server-protocol": "systemd",
    "server-service": `127.0.0.1:${site.port()}`,
  });
  const master = await site.start();
  await master.logs(/Cannot run ".*server": execve ".*server": no such file or directory/);
  await master.logs(/a\.cf: process \d+ ended after \S+ \S+: exit code 127/, 2);
  const descriptors = descriptorsOf(master.pid).size;
  await master.logs(/exit code 127/, 4);
  // Between two attempts there is neither a process nor a pipe.
  await eventually(() => descriptorsOf(master.pid).size <= descriptors, { what: "no more pipes" });
  await master.stop();
});

Deno.test("a packaged daemon serves its socket from systemd's protocol; without it the master says so", async () => {
  await using site = new Site();
  const port = site.port();
  const conf = site.dir.write(
    "lighttpd.conf",
    `server.document-root = "${site.dir.path}"
     server.systemd-socket-activation = "enable"
     server.bind = "127.0.0.1"
     server.port = ${port}\n`,
  );
  site.dir.write("page", "hello\n");
  // It refuses a directory that only its owner may enter, once it is another user.
  Deno.chmodSync(site.dir.path, 0o755);
  site.write("a.cf", {
    "server-command": `${LIGHTTPD} -D -f ${conf}`,
    "server-service": `127.0.0.1:${port}`,
    "server-protocol": "systemd",
  });
  if (!existsSync(LIGHTTPD)) {
    console.log(`without lighttpd (package "lighttpd"), so only the refusal is tested`);
    const text = `server-command: Cannot run "${LIGHTTPD}": no such program`;
    return assertStringIncludes(await site.refusal(), text);
  }
  const master = await site.start();
  const page = () => fetchText(`http://127.0.0.1:${port}/page`);
  assertEquals(await page(), "hello\n");
  const [{ pid }] = master.servers();
  assertEquals(descriptorsOf(pid).get(3), `socket:[${listenerInode(port)}]`);
  await master.reload();
  await gone(pid);
  assertEquals(await page(), "hello\n");
  assert(master.servers().every((server) => server.pid !== pid));
  await master.stop();
});

Deno.test("server-protocol = systemd gives a program in C no status pipes", async () => {
  await using site = new Site();
  site.write("a.cf", {
    "server-command": peer("server"),
    "server-service": `127.0.0.1:${site.port()}`,
    "server-protocol": "systemd",
  });
  const master = await site.start();
  // It knows nothing of this protocol: its arguments are those of the command alone.
  await master.logs(/a\.cf: process \d+ ended .*: exit code 1/);
  await master.stop();
});
