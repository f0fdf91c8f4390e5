/** What a refused start and a refused reload say, and what they leave as it was. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { walkSync } from "@std/fs/walk";
import { greeted } from "../support/client.ts";
import { type MasterOptions, SERVERS, Site } from "../support/master.ts";
import { firstOrdinaryPort, giveLinkAway, NOBODY } from "../support/privileges.ts";
import { descriptorsOf, listenerInode } from "../support/proc.ts";

const ORDINARY = `${import.meta.dirname}/../support/ordinary_master.ts`;
const REFUSED_RELOADS = 3;

/** All that is in the directory of a site, with the inode numbers: a file made anew is another one. */
function filesOf({ dir }: Site): string[] {
  return [...walkSync(dir.path)].map(({ path }) => `${path} ${Deno.lstatSync(path).ino}`).sort();
}

/** Starts a master that must refuse to, and gives what it says, line by line. */
async function refusedStart(
  site: Site,
  { args = ["-C", site.conf, "-pid-file", site.pidFile], ...options }: MasterOptions = {},
): Promise<string[]> {
  const { code, stdout, stderr } = await site.run(args, options).ended();
  assertEquals([code, stdout], [1, ""], stderr);
  const lines = stderr.trimEnd().replaceAll(site.dir.path, "DIR").split("\n");
  // An address in use is waited for before it is refused.
  return lines.filter((line) => !/ warn master\[\d+\] waiting for up to 2 s: /.test(line));
}

Deno.test("a start with mistakes in its settings reports all of them, and changes nothing", async () => {
  await using site = new Site();
  const busy = `127.0.0.1:${site.busyPort()}`, plain = site.dir.write("plain", "precious");
  site.write("a.cf", {
    "server-service": `0:0 ${busy} local:${site.dir.file("new")}`,
    "server-command": `${site.dir.path}`,
    "server-proc-count": "-1",
  });
  site.write("b.cf", { "server-command": SERVERS.aio, "server-service": `${plain},${busy}` });
  site.write("c.cf", { "server-command": SERVERS.aio, "server-service": "fifo:./made" });
  Deno.symlinkSync("nowhere.ts", site.dir.file("dead.ts"));
  site.write("d.cf", {
    "server-command": site.dir.file("dead.ts"),
    "server-service": site.dir.file("unused"),
  });
  site.write("z.gcf", { "server-log": "paper" });
  const before = filesOf(site);
  const args = ["-C", site.conf, "-pid-file", site.pidFile, "-exit-after", "never"];
  assertEquals(await refusedStart(site, { args }), [
    'argument -exit-after: Cannot read "never": not a number with a unit, ' +
    "expected a time such as 90, 90s, 5m, 2h, 1d or 1w",
    'DIR/conf/a.cf:1: server-service: Cannot listen on "0:0": a port out of range, ' +
    "expected a port from 1 to 65535",
    'DIR/conf/a.cf:2: server-command: Cannot run "DIR": a directory, expected an executable file',
    'DIR/conf/a.cf:3: server-proc-count: Cannot read "-1": below 0, ' +
    "expected a whole number from 0 to 10000",
    `DIR/conf/b.cf:2: server-service: Cannot listen on "${busy}": already named in ` +
    `DIR/conf/a.cf:1 as "${busy}", expected each address once`,
    'DIR/conf/b.cf:2: server-service: Cannot listen on "DIR/plain": found a file of another kind, ' +
    "expected a free path or an old socket",
    `DIR/conf/b.cf:2: server-service: Cannot listen on "${busy}": ` +
    `address in use by process ${Deno.pid} ("deno") (bind: EADDRINUSE), ` +
    "expected an address that no other program listens on",
    'DIR/conf/d.cf:1: server-command: Cannot run "DIR/dead.ts": a link that leads nowhere, ' +
    "expected a script",
    'DIR/conf/z.gcf:1: server-log: Cannot read "paper": none of the forms, ' +
    "expected syslog,FACILITY[,IDENT] or masterlog,SOCKET or stdout",
  ]);
  assertEquals(filesOf(site), before);
  assertEquals(Deno.readTextFileSync(plain), "precious");
  await site.isGone();
});

Deno.test("a start that can't open an address removes the files that it has made", async () => {
  await using site = new Site();
  const busy = `127.0.0.1:${site.busyPort()}`, port = site.port();
  const made = ["local:./socket", "fifo:./pipe", `127.0.0.1:${port}`];
  site.write("a.cf", {
    "server-command": SERVERS.aio,
    "server-service": [...made, busy].join(),
  });
  site.dir.write("master.pid", "");
  const before = filesOf(site);
  assertEquals(await refusedStart(site), [
    `DIR/conf/a.cf:2: server-service: Cannot listen on "${busy}": ` +
    `address in use by process ${Deno.pid} ("deno") (bind: EADDRINUSE), ` +
    "expected an address that no other program listens on",
  ]);
  assertEquals(filesOf(site), before);
  await site.isGone();
});

Deno.test("a start as an ordinary user names each file and address that this user may not use", async () => {
  await using site = new Site();
  const [locked, closed] = [site.dir.file("locked"), site.write("closed.cf", { a: "b" })];
  Deno.mkdirSync(`${locked}/inner`, { recursive: true });
  const privileged = firstOrdinaryPort() - 1;
  const wanted = [`${locked}/socket`, `fifo:${locked}/pipe`, `${locked}/inner/socket`];
  if (privileged > 0) wanted.push(`127.0.0.1:${privileged}`);
  site.write("x.cf", { "server-command": SERVERS.aio, "server-service": wanted.join() });
  const modes = { [site.dir.path]: 0o777, [site.conf]: 0o777, [closed]: 0o000 };
  const lockedModes = { [`${locked}/inner`]: 0o000, [locked]: 0o555 };
  for (const [path, mode] of Object.entries({ ...modes, ...lockedModes })) {
    Deno.chmodSync(path, mode);
  }
  const listen = (address: string, found: string, expected: string) =>
    `DIR/conf/x.cf:2: server-service: Cannot listen on "${address}": ${found}, expected ${expected}`;
  const path = "a path that this user may make and use";
  assertEquals(await refusedStart(site, { program: ORDINARY }), [
    'DIR/conf/closed.cf: Cannot read settings file "DIR/conf/closed.cf": permission denied, ' +
    "expected a regular file that may be read",
    listen("DIR/locked/socket", "permission denied (bind: EACCES)", path),
    listen("DIR/locked/pipe", "permission denied (mkfifo: EACCES)", path),
    listen("DIR/locked/inner/socket", "permission denied (open: EACCES)", path),
    ...privileged > 0
      ? [
        listen(
          `127.0.0.1:${privileged}`,
          "permission denied (bind: EACCES)",
          "a port that this user may listen on",
        ),
      ]
      : [],
  ]);
  for (const path of Object.keys(lockedModes).reverse()) Deno.chmodSync(path, 0o700);
});

Deno.test("a start as an ordinary user is refused where the directory of the settings or the pid file is closed to this user", async () => {
  await using site = new Site();
  Deno.chmodSync(site.dir.path, 0o555);
  const expected = "a file that can be made and written, in a directory that exists";
  assertEquals(await refusedStart(site, { program: ORDINARY }), [
    `argument -pid-file: Cannot lock "DIR/master.pid": permission denied (open: EACCES), ` +
    `expected ${expected}`,
  ]);
  Deno.chmodSync(site.conf, 0o000);
  assertEquals(await refusedStart(site, { program: ORDINARY }), [
    'DIR/conf: Cannot read settings directory "DIR/conf": permission denied, ' +
    "expected a directory that may be read",
  ]);
  for (const path of [site.dir.path, site.conf]) Deno.chmodSync(path, 0o700);
});

Deno.test("a start as an ordinary user names a program that is out of reach, and does not call it missing", async () => {
  await using site = new Site();
  const home = site.dir.file("home"), refused: string[] = [];
  Deno.mkdirSync(home);
  for (const [id, name] of Object.entries({ a: "web.ts", b: "imapd" })) {
    Deno.writeTextFileSync(`${home}/${name}`, "#!/bin/sh\n", { mode: 0o755 });
    const address = `${site.dir.path}/${id}.socket`;
    site.write(`${id}.cf`, { "server-command": `${home}/${name}`, "server-service": address });
    refused.push(
      `DIR/conf/${id}.cf:1: server-command: Cannot run "DIR/home/${name}": DIR/home/${name} ` +
        "behind a directory that this user may not enter, " +
        "expected a path that the user of the master may follow",
    );
  }
  for (const path of [site.dir.path, site.conf]) Deno.chmodSync(path, 0o777);
  Deno.chmodSync(home, 0o000);
  assertEquals(await refusedStart(site, { program: ORDINARY }), refused);
  Deno.chmodSync(home, 0o700);
});

Deno.test("an address behind a link of another user is refused, with its line in the settings", async () => {
  await using site = new Site();
  Deno.mkdirSync(site.dir.file("target"));
  Deno.symlinkSync(site.dir.file("target"), site.dir.file("way"));
  const [path, pipe] = [site.dir.file("way/socket"), site.dir.file("way/pipe")];
  site.serve("a.cf", { mode: "aio", service: `${path} fifo:${pipe}` });
  if (Deno.uid() !== 0) {
    // One's own links are followed, and links of other users can't be made here.
    await (await site.start()).stop();
    return;
  }
  giveLinkAway(site.dir.file("way"));
  const found = `"way" in it is a link of user ${NOBODY}, which is not followed (open: ELOOP), ` +
    "expected a path that no other user can lead elsewhere";
  const line = (name: string) =>
    `DIR/conf/a.cf:2: server-service: Cannot listen on "DIR/way/${name}": ${found}`;
  assertEquals(await refusedStart(site), ["socket", "pipe"].map(line));
  const logService = `${site.dir.file("way/log")},${site.dir.path}/,day`;
  const args = ["-C", site.conf, "-pid-file", site.pidFile, "-log-service", logService];
  assertEquals(await refusedStart(site, { args }), [
    `argument -log-service: Cannot receive log lines at "DIR/way/log": ${found}`,
  ]);
  assertEquals([...Deno.readDirSync(site.dir.file("target"))], []);
});

Deno.test("a start by mistake, with another pid file, takes no log service from the master that runs", async () => {
  await using site = new Site();
  const logService = `${site.dir.file("log")},${site.dir.path}/,day`;
  const args = ["-log-service", logService];
  const master = await site.start({ args });
  const { ino } = Deno.lstatSync(site.dir.file("log"));
  const again = ["-C", site.conf, "-pid-file", site.dir.file("other.pid"), ...args];
  assertEquals(await refusedStart(site, { args: again }), [
    'argument -log-service: Cannot receive log lines at "DIR/log": address in use ' +
    "(connect: EADDRINUSE), expected a path at which no other master receives",
  ]);
  assertEquals(Deno.lstatSync(site.dir.file("log")).ino, ino);
  await master.stop();
});

const LOG_PATHS: Readonly<Record<string, string>> = {
  "none/log": 'Cannot receive log lines at "DIR/none/log": no such file or directory ' +
    "(open: ENOENT), expected a free path in a directory that exists",
  plain: 'Cannot bind "DIR/plain": found a file of another kind, ' +
    "expected a free path or an old socket",
};

for (const [name, message] of Object.entries(LOG_PATHS)) {
  Deno.test(`a start with a log service at ${name} is refused`, async () => {
    await using site = new Site();
    const plain = site.dir.write("plain", "precious");
    const logService = `${site.dir.file(name)},${site.dir.path}/,day`;
    const args = ["-C", site.conf, "-pid-file", site.pidFile, "-log-service", logService];
    assertEquals(await refusedStart(site, { args }), [`argument -log-service: ${message}`]);
    assertEquals(Deno.readTextFileSync(plain), "precious");
    await site.isGone();
  });
}

Deno.test("a start with -config as its last argument is refused", async () => {
  await using site = new Site();
  assertEquals(await refusedStart(site, { args: ["-config"] }), [
    'Cannot read argument "-config": no value after it, expected -config VALUE',
  ]);
  await site.isGone();
});

Deno.test("a start with a -config file that does not exist is refused", async () => {
  await using site = new Site();
  assertEquals(await refusedStart(site, { args: ["-config", site.dir.file("none")] }), [
    'DIR/none: Cannot read settings file "DIR/none": no such file or directory, ' +
    "expected a regular file that may be read",
  ]);
});

Deno.test("a refused reload, and a refused second master, leave processes, listeners, files and descriptors as they were", async () => {
  await using site = new Site();
  const port = site.port(), path = site.socket("kept"), config = site.dir.write("own", "x = y\n");
  const good = { mode: "coroutine", service: `127.0.0.1:${port},${path}` } as const;
  site.serve("good.cf", good);
  const master = await site.start({ args: ["-config", config] });
  const [pid] = await master.serving("good.cf", 1);
  const state = () => ({
    pids: master.servers().map((server) => server.pid),
    inodes: [port, path].map(listenerInode),
    descriptors: descriptorsOf(master.pid).size,
    files: filesOf(site),
  });

  // All that is named is new and could be opened, but for the last.
  const busy = `127.0.0.1:${site.busyPort()}`;
  const fresh = ["local:./socket", "fifo:./pipe", `127.0.0.1:${site.port()}`];
  site.serve("good.cf", { mode: "aio", service: fresh.join() });
  site.serve("other.cf", { mode: "aio", service: `${busy},0:0` });
  const before = state();
  assertEquals(before.pids, [pid]);
  for (let reload = 0; reload < REFUSED_RELOADS; reload++) {
    const text = await master.reloadRefused();
    assertEquals(text.split("\n").map((line) => line.replaceAll(site.dir.path, "DIR")), [
      'DIR/conf/other.cf:2: server-service: Cannot listen on "0:0": a port out of range, ' +
      "expected a port from 1 to 65535",
    ]);
  }
  site.serve("other.cf", { mode: "aio", service: busy });
  for (let reload = 0; reload < REFUSED_RELOADS; reload++) {
    assertStringIncludes(await master.reloadRefused(), "address in use");
  }
  const named = Deno.readTextFileSync(site.pidFile);
  assertEquals(await refusedStart(site), [
    `argument -pid-file: Cannot lock "DIR/master.pid": process ${master.pid} ("deno") ` +
    "holds the lock, expected no running master, or another -pid-file",
  ]);
  assertEquals(Deno.readTextFileSync(site.pidFile), named);
  assertEquals(state(), before);
  (await greeted(port)).close();

  // What the master itself reads again must be there too.
  site.remove("other.cf");
  site.serve("good.cf", good);
  Deno.removeSync(config);
  assertStringIncludes(await master.reloadRefused(), `Cannot read settings file "${config}"`);
  Deno.renameSync(site.conf, `${site.conf}.away`);
  const text = await master.reloadRefused();
  assertStringIncludes(text, `Cannot read settings file "${config}"`);
  assertStringIncludes(text, `Cannot read settings directory "${site.conf}"`);
  assertEquals(state().pids, [pid]);
  Deno.renameSync(`${site.conf}.away`, site.conf);
  site.dir.write("own", "x = y\n");
  await master.reload();
  assert((await master.serving("good.cf", 1))[0] !== pid);
  await master.stop();
});

Deno.test("settings too large for a start message are refused at the start and at a reload, with their place", async () => {
  await using site = new Site();
  const port = site.port(), settings = { mode: "aio", service: port } as const;
  const long = { ...settings, long: "x".repeat(1 << 20) };
  const problem = /^DIR\/conf\/a\.cf:3: long: Cannot hand its settings to "a\.cf": \d+ bytes/;
  site.serve("a.cf", long);
  const lines = await refusedStart(site);
  assertEquals(lines.length, 1);
  assertMatch(lines[0], problem);
  // As long as it may be: it reaches a server.
  site.serve("a.cf", { ...settings, long: "x".repeat((1 << 20) - 2_000) });
  const master = await site.start();
  using client = await greeted(port);
  site.serve("a.cf", long);
  const refused = await master.reloadRefused();
  assertMatch(refused.replaceAll(site.dir.path, "DIR"), problem);
  assertEquals(await client.ask("echo still here"), "still here");
  client.close();
  await master.stop();
  await site.isGone();
});

Deno.test("a master without all permissions names the missing one, and says that it needs all", async () => {
  await using site = new Site();
  const program = new URL("../../master.ts", import.meta.url).pathname;
  for (const flags of [[], ["--allow-ffi"]]) {
    const argv = [Deno.execPath(), "run", "--no-prompt", ...flags, program, "-C", site.conf];
    const { code, stderr } = await site.execute(argv).ended();
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /^Cannot run "master": no \w+ access to "[^"]+", expected all permissions: deno run -A\n$/,
    );
  }
});
