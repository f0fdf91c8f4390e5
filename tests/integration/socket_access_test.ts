/** `server-socket-mode` and `server-socket-owner`: who may connect to the unix sockets of a service. */
import { assert, assertEquals } from "@std/assert";
import { closeFd } from "../../src/os/fd/descriptor.ts";
import { openListener } from "../../src/os/net/open_listener.ts";
import { removeSocketFile } from "../../src/os/net/socket_file.ts";
import { startGiven } from "../support/activation.ts";
import { greeted } from "../support/client.ts";
import { groupNumber, id } from "../support/credentials.ts";
import { Site } from "../support/master.ts";
import { eventually } from "../support/wait.ts";

const IS_ROOT = Deno.uid() === 0;
/** An owner that whoever runs the tests may give a file to, and another name of the same. */
const OWNER = IS_ROOT ? "nobody:mail" : `${id("-un")}:${id("-gn")}`;
const NUMBERS = IS_ROOT
  ? [Number(id("-u", "nobody")), Number(groupNumber("mail"))]
  : [Number(id("-u")), Number(id("-g"))];
const ORDINARY = `${import.meta.dirname}/../support/ordinary_master.ts`;

function modeOf(path: string): string {
  return (Deno.lstatSync(path).mode! & 0o7777).toString(8);
}

function ownerOf(path: string): (number | null)[] {
  const { uid, gid } = Deno.lstatSync(path);
  return [uid, gid];
}

Deno.test("the sockets and pipes of a service have the mode and owner that it asks for", async () => {
  await using site = new Site();
  const path = site.socket("sock"), plain = site.socket("plain"), pipe = site.dir.file("pipe");
  const own = ownerOf(site.dir.path);
  site.serve("a.cf", {
    mode: "aio",
    service: `${path} fifo:${pipe}`,
    "server-socket-owner": OWNER,
  });
  site.serve("b.cf", { mode: "coroutine", service: plain, "server-socket-mode": "0600" });
  site.write("all.gcf", { "server-socket-mode": "0620" });
  const master = await site.start();
  assertEquals([path, pipe].map(modeOf), ["620", "620"]);
  assertEquals([path, pipe].map(ownerOf), [NUMBERS, NUMBERS]);
  assertEquals([modeOf(plain), ownerOf(plain)], ["600", own]);
  for (const target of [path, plain]) (await greeted(target)).close();
  await master.stop();
});

Deno.test("a reload that changes mode and owner alone keeps the socket, and changes its file", async () => {
  await using site = new Site();
  const path = site.socket("sock");
  const service = { mode: "coroutine", service: path } as const;
  site.serve("a.cf", { ...service, "server-socket-mode": "0666" });
  const master = await site.start();
  const { ino } = Deno.lstatSync(path);
  assertEquals(modeOf(path), "666");

  const next = { "server-socket-mode": "640", "server-socket-owner": OWNER };
  site.serve("a.cf", { ...service, ...next });
  await master.reload();
  assertEquals([Deno.lstatSync(path).ino, modeOf(path)], [ino, "640"]);
  assertEquals(ownerOf(path), NUMBERS);
  (await greeted(path)).close();

  site.serve("a.cf", { ...service, "server-socket-mode": "0600", "exit-at-start": 3 });
  await master.reloadUndone();
  assertEquals(modeOf(path), "640", "a reload that was undone has changed it");

  site.serve("a.cf", { ...service, "server-socket-mode": "0600" });
  await master.upgrade();
  await eventually(() => modeOf(path) === "600", { what: "the mode that the new master reads" });
  assertEquals(Deno.lstatSync(path).ino, ino);
  (await greeted(path)).close();
  await master.stop();
});

Deno.test("a reload leaves a file alone that has taken the place of the socket, and tells of it", async () => {
  await using site = new Site();
  const path = site.dir.file("sock"), port = site.port();
  const service = { mode: "coroutine", service: `${path} 127.0.0.1:${port}` } as const;
  site.serve("a.cf", service);
  const master = await site.start();
  Deno.removeSync(path);
  const victim = site.dir.write("victim", "precious");
  Deno.chmodSync(victim, 0o600);
  Deno.symlinkSync(victim, path);
  site.serve("a.cf", { ...service, "server-socket-mode": "0666" });
  await master.reload();
  await master.logs(/ warn \S+ Cannot change the mode of ".*sock": another file is there by now/);
  assertEquals(modeOf(victim), "600");
  (await greeted(port)).close();
  await master.stop();
});

Deno.test("the file of a socket that was given to the master is left alone", async () => {
  await using site = new Site();
  const path = site.dir.file("given");
  const { fd, socketFile } = openListener({ kind: "unix", path }, { mode: 0o700 });
  try {
    const service = { mode: "aio", service: path, "server-socket-mode": "0666" } as const;
    site.serve("a.cf", service);
    const master = await startGiven([{ fd }], (options) => site.start(options));
    (await greeted(path)).close();
    assertEquals(modeOf(path), "700");
    await master.reload();
    assertEquals(modeOf(path), "700");
    await master.stop();
  } finally {
    removeSocketFile(socketFile!);
    closeFd(fd);
  }
});

Deno.test("a mode and an owner that can't be are refused in their lines, and nothing is opened", async () => {
  await using site = new Site();
  const path = site.socket("sock");
  site.serve("a.cf", {
    mode: "aio",
    service: path,
    "server-socket-mode": "rw-rw----",
    "server-socket-owner": "no-such-user",
  });
  site.serve("b.cf", { mode: "aio", service: site.socket("b"), "server-socket-owner": ":no-such" });
  assertEquals((await site.refusal()).trimEnd().replaceAll(`${site.conf}/`, "").split("\n"), [
    'a.cf:3: server-socket-mode: Cannot read "rw-rw----": not octal, ' +
    "expected three octal digits such as 0660",
    'a.cf:4: server-socket-owner: Cannot give a socket to "no-such-user": no such user, ' +
    "expected a user of this system, or a number",
    'b.cf:3: server-socket-owner: Cannot give a socket to ":no-such": no such group, ' +
    "expected a group of this system, or a number",
  ]);
  await site.isGone();
});

Deno.test("an ordinary user's master refuses an owner that it can't give a socket to, in its line", async () => {
  await using site = new Site();
  for (const path of [site.dir.path, site.conf]) Deno.chmodSync(path, 0o777);
  site.write("a.cf", {
    "server-command": "deno run -A /server.ts",
    "server-service": site.socket("sock"),
    "server-socket-owner": "root:mail",
  });
  const args = ["-C", site.conf, "-pid-file", site.pidFile];
  const { code, stderr } = await site.run(args, { program: ORDINARY }).ended();
  assertEquals(code, 1);
  assert(
    stderr.endsWith(
      'a.cf:3: server-socket-owner: Cannot give a socket to "root:mail": not permitted, ' +
        "expected a master that runs as root, or the master's own user and groups\n",
    ),
    stderr,
  );
});
