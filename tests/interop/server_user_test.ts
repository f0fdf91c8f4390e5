import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { mayChangeRoot } from "../../src/os/user/credentials.ts";
import { greeted } from "../support/client.ts";
import { forEachThread, groupNumber, id, passwd, statusLine } from "../support/credentials.ts";
import { installationFor } from "../support/installation.ts";
import { leaveOut } from "../support/left_out.ts";
import { answering, MODES, pidIn, SERVERS, Site } from "../support/master.ts";
import { CMaster, denoExecutable, peer } from "../support/peers.ts";
import { TEST_CERT, testCertificate } from "../support/tls.ts";

/** Whoever may change the root is taken to be root; others are shown what they are told. */
const IS_ROOT = mayChangeRoot();

/** Another user than the one who runs the tests. */
const USER = id("-un") === "nobody" ? "daemon" : "nobody";

const LISTING = new URL("../support/servers/descriptors.py", import.meta.url).pathname;

interface Expected {
  readonly uid: string;
  readonly gid: string;
  readonly groups: string;
  /** What the server finds in its environment. */
  readonly home?: string;
}

/** Fails unless each thread of a process runs as expected, with no way back. */
function assertRunsAs(pid: number, { uid, gid, groups }: Expected): void {
  forEachThread(pid, (thread) => {
    assertEquals(statusLine(thread, "Uid"), Array(4).fill(uid).join(" "));
    assertEquals(statusLine(thread, "Gid"), Array(4).fill(gid).join(" "));
    assertEquals(statusLine(thread, "Groups"), groups);
    if (uid !== "0") assertEquals(BigInt(`0x${statusLine(thread, "CapEff")}`), 0n);
    assertEquals(statusLine(thread, "NoNewPrivs"), "1");
  });
  if (uid !== "0") assertEquals(BigInt(`0x${statusLine(pid, "CapBnd")}`), 0n);
}

/** What each setting comes to, on any Linux with its usual users. */
function cases(): Record<string, { settings: Record<string, string>; expected: Expected }> {
  const [, , , , , home] = passwd(USER).split(":");
  const other = { uid: id("-u", USER), gid: id("-g", USER), groups: id("-G", USER), home };
  const mail = groupNumber("mail");
  return {
    "a user": { settings: { "server-user": USER }, expected: other },
    "a user's number": { settings: { "server-user": other.uid }, expected: other },
    "a group alone": {
      settings: { "server-group": "mail" },
      expected: { uid: "0", gid: mail, groups: mail },
    },
    "a user and a group": {
      settings: { "server-user": USER, "server-group": "mail" },
      // Those of the user, with the group in place of the user's first one.
      expected: {
        ...other,
        gid: mail,
        groups: [
          ...new Set([mail, ...other.groups.split(" ").filter((gid) => gid !== other.gid)]),
        ].join(" "),
      },
    },
    "numbers that nobody has": {
      settings: { "server-user": "54321", "server-group": "54322" },
      expected: { uid: "54321", gid: "54322", groups: "54322", home: "/" },
    },
  };
}

Deno.test("server-user and server-group hold for all threads of a server, whoever it is started as", async (t) => {
  if (!IS_ROOT) return leaveOut(t);
  await using site = new Site(installationFor(USER));
  const services = Object.entries(cases()).flatMap(([name, { settings, expected }], index) => {
    return ["server-user", "master"].map((start) => {
      const file = `${index}-${start}`, port = site.port(), path = site.socket(file);
      const service = `127.0.0.1:${port},${path}`;
      site.serve(`${file}.cf`, {
        ...{ mode: "coroutine", service, "server-start-user": start },
        ...settings,
      });
      return { name, start, expected, port, path };
    });
  });
  const master = await site.start({ env: { XDG_CACHE_HOME: "/nonexistent" } });
  for (const { name, start, expected, port, path } of services) {
    await t.step(`${name}, started as ${start}`, async () => {
      using client = await greeted(port);
      using onUnix = await greeted(path);
      const pid = pidIn(client);
      assertEquals(pidIn(onUnix), pid);
      assertEquals(await client.ask("echo hello"), "hello");
      assertRunsAs(pid, expected);
      const { home = Deno.env.get("HOME") } = expected;
      assertEquals(await client.ask("env HOME"), home);
      const user = expected.uid === "54321" ? undefined : expected.home && USER;
      if (expected.home) {
        for (const variable of ["USER", "LOGNAME", "XDG_CACHE_HOME"]) {
          const value = variable === "XDG_CACHE_HOME" ? undefined : user;
          assertEquals(await client.ask(`env ${variable}`), `${value}`);
        }
      }
      // Its log works as before.
      await master.logs(new RegExp(`\\[${pid}\\] serviceRegister`));
      const changes = new RegExp(`\\[${pid}\\] changing to (user|group) \\w+`);
      assertEquals(master.logged(changes), start === "master" ? 1 : 0);
    });
  }
  assertEquals(master.logged(/node:net/), 0, "a server serves its sockets the slow way");
  await master.stop();
});

Deno.test("server-user and server-chroot move servers of both modes after beforeService, and they serve all the same", async () => {
  await using site = new Site();
  const jail = site.dir.file("jail");
  Deno.mkdirSync(jail);
  const services = MODES.map((mode) => {
    const file = `${mode}.cf`, port = site.port(), fifo = site.dir.file(`${mode}-fifo`);
    site.serve(file, {
      mode,
      service: `127.0.0.1:${port} fifo:${fifo}`,
      "server-user": USER,
      "server-chroot": jail,
      own: "value",
    });
    return { mode, port, fifo };
  });
  if (!IS_ROOT) {
    return assertMatch(await site.refusal(), /server-user: .*as root\n.*server-chroot: /);
  }
  const master = await site.start();
  const clients = await Promise.all(services.map(async ({ mode, port, fifo }) => {
    const client = await greeted(port);
    const pid = pidIn(client);
    const groups = id("-G", USER), gid = id("-g", USER);
    assertRunsAs(pid, { uid: id("-u", USER), gid, groups });
    assertEquals(Deno.readLinkSync(`/proc/${pid}/root`), jail);
    assertEquals(Deno.readLinkSync(`/proc/${pid}/cwd`), jail);
    const order = ["beforeService with value", "changing to user \\w+, root ", "serviceRegister"]
      .map((text) => new RegExp(`\\[${pid}\\] ${text}`));
    // They come on their own way, perhaps later than the greeting.
    for (const pattern of order) await master.logs(pattern);
    const places = order.map((pattern) => master.log.search(pattern));
    assertEquals(places, places.toSorted((a, b) => a - b), mode);
    assert(places[0] >= 0, master.log);
    await Deno.writeTextFile(fifo, `through the pipe of ${mode}\n`, { create: false });
    await master.logs(new RegExp(`from the fifo: through the pipe of ${mode}`));
    return client;
  }));
  assertEquals(master.logged(/node:net/), 0);

  await master.reload();
  await Promise.all(clients.map(async (client, index) => {
    const { port, mode } = services[index], pid = pidIn(client);
    await master.logs(new RegExp(`softstop of process ${pid}`));
    assertEquals(await client.ask("echo still here"), "still here", mode);
    client.close();
    await master.logs(new RegExp(`reaped process ${pid}, which was draining`));
    const second = await greeted(port);
    assertNotEquals(pidIn(second), pid, mode);
    Deno.kill(pidIn(second), "SIGKILL");
    const third = await greeted(port);
    assertEquals(await third.ask("echo again"), "again", mode);
    second.close();
    third.close();
  }));
  await master.stop();
});

for (
  const [name, settings] of Object.entries({
    "in another root": { "server-chroot": "jail" },
    "with a key of root's alone": { "server-start-user": "master" },
  })
) {
  Deno.test(`serve() speaks TLS as another user ${name}: certificate and key are read before the change`, async (t) => {
    if (!IS_ROOT) return leaveOut(t);
    await using site = new Site(installationFor(USER));
    const [port, plain] = [site.port(), site.port()],
      { certFile, keyFile } = testCertificate(site.dir);
    Deno.mkdirSync(site.dir.file("jail"));
    Deno.chmodSync(keyFile, 0o600);
    site.write("a.cf", {
      "server-command": site.server("serve"),
      "server-service": `secure://127.0.0.1:${port}, waiting://127.0.0.1:${plain}`,
      "server-user": USER,
      "server-tls-cert": certFile,
      "server-tls-key": keyFile,
      ...settings,
    });
    const master = await site.start();
    await master.logs(/all services are ready/);
    using client = Deno.createHttpClient({ caCerts: [TEST_CERT] });
    const answer = await fetch(`https://localhost:${port}`, { client });
    assertEquals(await answer.text(), "over TLS");
    await master.stop();
  });
}

Deno.test("server-user, server-group and server-chroot are refused in their lines by an ordinary user's master", async () => {
  await using site = new Site();
  for (const path of [site.dir.path, site.conf]) Deno.chmodSync(path, 0o777);
  site.write("a.cf", {
    "server-command": "deno run -A /server.ts",
    "server-service": `127.0.0.1:${site.port()}`,
    "server-user": "root",
    "server-group": "mail",
    "server-chroot": "/tmp",
  });
  const program = new URL("../support/ordinary_master.ts", import.meta.url).pathname;
  const args = ["-C", site.conf, "-pid-file", site.pidFile];
  const { code, stderr } = await site.run(args, { program }).ended();
  assertEquals(code, 1, stderr);
  const rest = "not permitted, expected a master that runs as root";
  assertEquals(stderr.trim().split("\n").map((text) => text.replace(`${site.conf}/`, "")), [
    `a.cf:3: server-user: Cannot run as "root": ${rest}`,
    `a.cf:5: server-chroot: Cannot change the root to "/tmp": ${rest}`,
  ]);
});

Deno.test("a script that its user can't read, and a cache that its user can change, are refused in their lines", async (t) => {
  if (!IS_ROOT) return leaveOut(t);
  const installation = installationFor(USER);
  await using site = new Site(installation);
  const service = { "server-service": `127.0.0.1:${site.port()}`, "server-user": USER };
  Deno.chmodSync(site.dir.write("closed.ts", ""), 0o600);
  site.write("a.cf", { "server-command": site.dir.file("closed.ts"), ...service });
  const refused = async (env: Record<string, string> = {}) => {
    const args = ["-C", site.conf, "-pid-file", site.pidFile];
    return (await site.run(args, { env }).ended()).stderr.replaceAll(`${site.conf}/`, "");
  };
  assertEquals(
    await refused(),
    `a.cf:3: server-user: Cannot read "${site.dir.file("closed.ts")}": not permitted for user ` +
      `${USER}, expected a file that user ${USER} may read, or server-start-user = master\n`,
  );
  site.write("a.cf", { "server-command": site.server("aio"), ...service });
  const own = site.dir.file("deno_dir");
  Deno.mkdirSync(own);
  Deno.symlinkSync(`${installation.denoDir}/gen`, `${own}/gen`);
  Deno.chownSync(own, Number(id("-u", USER)), null);
  assertMatch(
    await refused({ DENO_DIR: own }),
    // Before it, the runtime tells what it puts into the empty directory.
    new RegExp(
      `^a.cf:3: server-user: Cannot run as "${USER}": "${own}" can be written to by that`,
      "m",
    ),
  );
  await site.isGone();
});

Deno.test("a server that its own settings refuse says why, and ends", async () => {
  await using site = new Site();
  const port = site.port();
  const server = site.run(
    ["alone", "-server-service", `127.0.0.1:${port}`, "-server-user", "no-such-user"],
    { program: SERVERS.coroutine },
  );
  const { code, stderr } = await server.ended();
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /argument -server-user: Cannot apply "no-such-user": no such user, expected /,
  );
});

Deno.test("a server alone takes server-user after it has opened its addresses", async () => {
  await using site = new Site();
  const port = site.port();
  const server = site.run(
    ["alone", "-server-service", `127.0.0.1:${port}`, "-server-user", USER],
    { program: SERVERS.aio },
  );
  if (IS_ROOT) {
    await server.complains(/serviceRegister/);
    using client = await greeted(port);
    assertEquals(statusLine(pidIn(client), "Uid").split(" ")[0], id("-u", USER));
    client.close();
    server.signal("SIGTERM");
    assertEquals((await server.ended()).code, 0);
  } else {
    const { stderr } = await server.ended();
    assertMatch(stderr, /-server-user: Cannot apply "\w+": operation not permitted \(setgid: /);
  }
});

Deno.test("a server in C, and one that inherits its sockets, are started as their user", async () => {
  await using site = new Site();
  const port = site.port();
  Deno.chmodSync(site.dir.path, 0o755);
  Deno.chmodSync(site.conf, 0o755);
  const server = site.dir.file("server"), listing = site.dir.file("listing.py");
  Deno.copyFileSync(peer("server", { static: true }), server);
  Deno.copyFileSync(LISTING, listing);
  Deno.chmodSync(listing, 0o644);
  const user = { "server-user": USER, "server-group": "mail" };
  site.write("a.cf", { "server-command": server, "server-service": `127.0.0.1:${port}`, ...user });
  site.write("b.cf", {
    "server-command": `/usr/bin/python3 ${listing}`,
    "server-protocol": "inherit",
    "server-service": `127.0.0.1:${site.port()}`,
    ...user,
  });
  if (!IS_ROOT) {
    return assertMatch(
      await site.refusal(),
      /a\.cf:3: server-user: [^]*b\.cf:4: server-user: /,
    );
  }
  const master = await site.start();
  const mail = groupNumber("mail");
  const others = id("-G", USER).split(" ").filter((gid) => gid !== id("-g", USER));
  const expected = {
    uid: id("-u", USER),
    gid: mail,
    groups: [...new Set([mail, ...others])].join(" "),
  };
  const client = await greeted(port);
  assertRunsAs(pidIn(client), expected);
  const [, pid, numbers] = await master.logs(/ descriptors (\d+): (.*)$/m);
  assertRunsAs(Number(pid), expected);
  assertEquals(numbers.split(" ").length, 5, numbers);
  await master.logs(/b\.cf: ready/);
  client.close();
  await master.stop();
});

Deno.test("servers that have become another user get the signal of their master's death", async () => {
  await using site = new Site();
  const command = denoExecutable(site, SERVERS.coroutine);
  const ports = ["server-user", "run-user"].map((setting) => {
    const port = site.port();
    site.write(`${setting}.cf`, {
      "server-command": command,
      "server-service": `127.0.0.1:${port}`,
      ...(IS_ROOT && { [setting]: USER }),
    });
    return port;
  });
  const master = await CMaster.start(site);
  const clients = await Promise.all(ports.map(greeted));
  // From now on only the signal for the parent's death can tell it.
  for (const client of clients) {
    await client.ask("detach");
    await master.logs(new RegExp(`lost ${pidIn(client)}\n`));
  }
  master.process.signal("SIGKILL");
  for (const client of clients) {
    assertEquals(await client.ending(), "end of file");
    client.close();
  }
  await site.isGone();
});

Deno.test("a shared server-user holds for every service, and not for the master; unknown names are refused at a reload", async () => {
  await using site = new Site(installationFor(USER));
  const port = site.port();
  site.write("all.gcf", { "server-user": USER });
  site.serve("a.cf", { mode: "aio", service: port });
  if (!IS_ROOT) {
    assertMatch(await site.refusal(), /a\.cf: server-user: Cannot run as "\w+": not/);
    site.remove("all.gcf");
  }
  const master = await site.start();
  const client = await greeted(port);
  if (IS_ROOT) assertEquals(statusLine(pidIn(client), "Uid").split(" ")[0], id("-u", USER));
  assertEquals(statusLine(master.pid, "Uid"), statusLine(Deno.pid, "Uid"));
  site.serve("a.cf", {
    mode: "aio",
    service: port,
    "server-user": "no-such-user",
    "server-group": "no-such-group",
    "server-chroot": "nowhere",
  });
  const text = await master.reloadRefused();
  assertMatch(text, /a\.cf:3: server-user: Cannot run as "no-such-user": no such user, expected a/);
  assertMatch(text, /a\.cf:4: server-group: Cannot run as "no-such-group": no such group, expec/);
  assertMatch(text, /a\.cf:5: server-chroot: Cannot change the root to "nowhere": no such direct/);
  assertEquals(await client.ask("echo still here"), "still here");
  assertEquals(await answering(port), pidIn(client));
  client.close();
  await master.stop();
});
