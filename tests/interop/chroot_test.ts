import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { mayChangeRoot } from "../../src/os/user/credentials.ts";
import { greeted } from "../support/client.ts";
import { Master, pidIn, SERVERS, Site } from "../support/master.ts";
import { gone, peer, peerStart, successorOf } from "../support/peers.ts";
import { descriptorsOf } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

/** Whoever may change the root is taken to be root; others are shown what they are told. */
const IS_ROOT = mayChangeRoot();

/** A site whose directory can be the root of a server in C, which is in it as `/server`. */
function siteAsRoot(): Site {
  const site = new Site();
  Deno.copyFileSync(peer("server", { static: true }), site.dir.file("server"));
  Deno.mkdirSync(site.dir.file("sub"));
  return site;
}

/** Fails unless a master that may not change the root says so, with file and line. */
async function assertNotPermitted(site: Site): Promise<void> {
  const stderr = await site.refusal();
  const place = `${site.conf}/a.cf:1: master-chroot: Cannot change the root to`;
  assertStringIncludes(stderr, place);
  assertMatch(stderr, /: not permitted, expected a master that runs as root/);
}

Deno.test("master-chroot and master-chdir move a server of LIB-ZC's protocol", async () => {
  await using site = siteAsRoot();
  const port = site.port();
  site.write("a.cf", {
    "master-chroot": site.dir.path,
    "master-chdir": "/sub",
    "server-command": "../server",
    "server-service": `127.0.0.1:${port}`,
    color: "blue",
  });
  if (!IS_ROOT) return await assertNotPermitted(site);
  const master = await site.start();
  const first = await greeted(port);
  const { argv, fds } = await peerStart(first);
  assertEquals(argv, [
    ...["server", "MASTER"],
    ...["-server-config-path", "/conf", "-config", "/conf/a.cf"],
    ...["-server-service", ":i5"],
  ]);
  assertEquals(fds, [
    "3 pipe write blocking",
    "4 pipe read blocking",
    "5 listener both nonblocking",
  ]);
  assertEquals(await first.ask("setting color"), "blue");
  assertEquals(await first.ask("cwd"), "/sub");
  assertEquals(Deno.readLinkSync(`/proc/${pidIn(first)}/root`), site.dir.path);
  assertEquals(Deno.readLinkSync(`/proc/${pidIn(first)}/cwd`), site.dir.file("sub"));
  // A reload, a kill and a detachment are what they are without another root.
  await master.reload();
  await gone(pidIn(first));
  const second = await greeted(port);
  Deno.kill(pidIn(second), "SIGKILL");
  const third = await successorOf(pidIn(second), port);
  await third.ask("detach");
  await master.logs(new RegExp(`process ${pidIn(third)} has detached`));
  const fourth = await successorOf(pidIn(third), port);
  for (const client of [first, second, third, fourth]) client.close();
  Deno.kill(pidIn(third), "SIGKILL");
  await gone(pidIn(third));
  await master.stop();
});

Deno.test("a settings directory is found in the new root, whichever links lead to both", async () => {
  await using site = siteAsRoot();
  const port = site.port();
  site.write("a.cf", {
    "master-chroot": `${site.dir.path}/root`,
    "server-command": "/server",
    "server-service": `127.0.0.1:${port}`,
  });
  Deno.symlinkSync(site.dir.path, site.dir.file("root"));
  Deno.symlinkSync("conf", site.dir.file("etc"));
  if (!IS_ROOT) return await assertNotPermitted(site);
  const process = site.run(["-C", site.dir.file("etc"), "-pid-file", site.pidFile, "--DEBUG"]);
  await process.complains(/listeners: .*\n/);
  const client = await greeted(port);
  const { argv } = await peerStart(client);
  assertEquals(argv.slice(2, 6), [
    ...["-server-config-path", "/conf", "-config", "/conf/a.cf"],
  ]);
  client.close();
  await new Master(site, process).stop();
});

Deno.test("master-chroot and master-chdir move a server of systemd's protocol", async () => {
  await using site = siteAsRoot();
  const ports = [site.port(), site.port(), site.port()];
  site.write("a.cf", {
    "master-chroot": site.dir.path,
    "master-chdir": "/sub",
    // The peer knows but LIB-ZC's protocol: it is told that its socket is the third one.
    "server-command": "/server MASTER -config /conf/a.cf -server-service :i5",
    "server-service": ports.map((port, index) => `n${index}://127.0.0.1:${port}`).join(),
    "server-protocol": "systemd",
    color: "blue",
  });
  if (!IS_ROOT) return await assertNotPermitted(site);
  const master = await site.start();
  using client = await greeted(ports[2]);
  const { argv, fds } = await peerStart(client);
  assertEquals(argv.slice(0, 2), ["/server", "MASTER"]);
  assertEquals(fds, [3, 4, 5].map((fd) => `${fd} listener both nonblocking`));
  assertEquals(await client.ask("env LISTEN_PID"), `${pidIn(client)}`);
  assertEquals(await client.ask("env LISTEN_FDNAMES"), "n0:n1:n2");
  assertEquals(await client.ask("setting color"), "blue");
  assertEquals(Deno.readLinkSync(`/proc/${pidIn(client)}/root`), site.dir.path);
  assertEquals(Deno.readLinkSync(`/proc/${pidIn(client)}/cwd`), site.dir.file("sub"));
  await master.stop();
});

Deno.test("master-chdir alone needs no privilege", async () => {
  await using site = siteAsRoot();
  const port = site.port();
  site.write("a.cf", {
    "server-command": "./server",
    "server-service": `127.0.0.1:${port}`,
    "master-chdir": ".",
  });
  site.serve("b.cf", { mode: "aio", service: site.port(), "master-chdir": "sub" });
  const master = await site.start();
  using client = await greeted(port);
  const { argv, ignored } = await peerStart(client);
  assertEquals(argv.slice(0, 2), ["server", "MASTER"]);
  assertEquals(ignored, ["17"]);
  assertEquals(await client.ask("cwd"), site.dir.path);
  const [other] = await master.serving("b.cf", 1);
  assertEquals(Deno.readLinkSync(`/proc/${other}/cwd`), site.dir.file("sub"));
  await master.stop();
});

Deno.test("relative paths reach a server in another directory as absolute ones", async () => {
  await using site = siteAsRoot();
  const port = site.port();
  site.write("a.cf", {
    "server-command": "../server",
    "server-service": `127.0.0.1:${port}`,
    "master-chdir": "sub",
  });
  const process = site.run(["-C", "conf", "-pid-file", site.pidFile]);
  await process.complains(/listeners: .*\n/);
  using client = await greeted(port);
  const { argv } = await peerStart(client);
  assertEquals(argv.slice(2, 6), [
    ...["-server-config-path", site.conf, "-config", `${site.conf}/a.cf`],
  ]);
  process.signal("SIGTERM");
  assertEquals((await process.ended()).code, 0);
});

Deno.test("a settings file outside of the new root is refused with file and line", async () => {
  await using site = siteAsRoot();
  Deno.mkdirSync(site.dir.file("jail"));
  Deno.copyFileSync(site.dir.file("server"), site.dir.file("jail/server"));
  site.write("a.cf", {
    "server-command": "/server",
    "server-service": `127.0.0.1:${site.port()}`,
    "master-chroot": "jail",
  });
  const stderr = await site.refusal();
  assertStringIncludes(
    stderr,
    `${site.conf}/a.cf:3: master-chroot: Cannot pass on "${site.conf}": a path outside, ` +
      `expected one inside of ${site.dir.file("jail")}\n`,
  );
});

Deno.test("a root, a directory and a program that are not there are refused with file and line", async () => {
  await using site = siteAsRoot();
  const service = () => `127.0.0.1:${site.port()}`;
  const [a, b] = [service(), service()];
  site.write("a.cf", { "server-command": "/server", "server-service": a, "master-chroot": "none" });
  site.write("b.cf", {
    "server-command": SERVERS.aio,
    "server-service": b,
    "master-chdir": "none",
  });
  const stderr = await site.refusal();
  const told = stderr.trim().split("\n").map((line) => line.replace(`${site.conf}/`, ""));
  assertEquals(told.map((line) => line.split(",")[0]), [
    'a.cf:1: server-command: Cannot run "/server": no such program',
    'a.cf:3: master-chroot: Cannot change the root to "none": no such directory',
    `a.cf:3: master-chroot: Cannot pass on "${site.conf}": a path outside`,
    'b.cf:3: master-chdir: Cannot change the directory to "none": no such directory',
  ]);
});

Deno.test("a directory that is gone later is told, and the start is tried again", async () => {
  await using site = siteAsRoot();
  const port = site.port();
  site.write("a.cf", {
    "server-command": site.dir.file("server"),
    "server-service": `127.0.0.1:${port}`,
    "master-chdir": "sub",
  });
  const master = await site.start();
  const before = await greeted(port);
  const descriptors = descriptorsOf(master.pid).size;
  Deno.removeSync(site.dir.file("sub"));
  Deno.kill(pidIn(before), "SIGKILL");
  before.close();
  await master.logs(
    /a\.cf: chdir "sub": no such file or directory \(ENOENT\); it is tried again/,
    3,
  );
  Deno.mkdirSync(site.dir.file("sub"));
  using after = await greeted(port);
  assertEquals(await after.ask("cwd"), site.dir.file("sub"));
  await eventually(() => descriptorsOf(master.pid).size <= descriptors, {
    what: "no more descriptors than before",
  });
  await master.stop();
});
