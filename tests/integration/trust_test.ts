/** What a master that runs as root refuses to trust: what everybody may write to. */
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { denoDir } from "../../src/os/process/deno_dir.ts";
import { setprivCommand } from "../../src/os/process/setpriv.ts";
import { greeted } from "../support/client.ts";
import { Site } from "../support/master.ts";

const IS_ROOT = Deno.uid() === 0;
const REST = "expected a mode without write permission for others, since the master runs as root";
const CONFIG = `${import.meta.dirname}/../../deno.json`;
const HOOKED = new URL("../support/masters/hooked.ts", import.meta.url).pathname;
const MASTER = new URL("../../master.ts", import.meta.url).pathname;
const SERVER = `${import.meta.dirname}/../support/servers/coroutine.ts`;

/** A site whose server is a script of its own, and all that everybody may be let write to. */
function prepare(site: Site) {
  const port = site.port();
  const script = site.dir.write("server.ts", `await import(${JSON.stringify(SERVER)});\n`);
  site.write("a.cf", {
    "server-command": `deno run -A --config ${CONFIG} ${script}`,
    "server-service": `127.0.0.1:${port}`,
  });
  const extra = site.dir.write("extra.cf", "exit-after = 0\n");
  return { port, script, extra };
}

for (const how of ["start", "reload"] as const) {
  Deno.test(`a ${how} of root's master refuses each file that everybody may write to, and no other user's does`, async () => {
    await using site = new Site();
    const { port, script, extra } = prepare(site);
    site.write("z.gcf", { "server-reload": "always" });
    const loose = { "conf/a.cf": 0o666, "conf/z.gcf": 0o646, "conf": 0o777, "server.ts": 0o667 };
    const spoil = () => {
      for (const [name, mode] of Object.entries(loose)) Deno.chmodSync(site.dir.file(name), mode);
    };
    const expected = [
      `DIR/conf: Cannot read settings from "DIR/conf": every user may write to it (mode 0777), ${REST}`,
      `DIR/conf/a.cf: Cannot read settings from "DIR/conf/a.cf": ` +
      `every user may write to it (mode 0666), ${REST}`,
      'DIR/conf/a.cf:1: server-command: Cannot run "DIR/server.ts": ' +
      `every user may write to it (mode 0667), ${REST}`,
      `DIR/conf/z.gcf: Cannot read settings from "DIR/conf/z.gcf": ` +
      `every user may write to it (mode 0646), ${REST}`,
    ];
    const lines = (text: string) => text.trimEnd().replaceAll(site.dir.path, "DIR").split("\n");
    const args = ["-config", extra];
    if (how === "reload" || !IS_ROOT) {
      if (!IS_ROOT) spoil();
      const master = await site.start({ args });
      (await greeted(port)).close();
      spoil();
      if (IS_ROOT) assertEquals(lines(await master.reloadRefused()), expected);
      else await master.reload();
      (await greeted(port)).close();
      await master.stop();
    } else {
      spoil();
      const all = ["-C", site.conf, "-pid-file", site.pidFile, ...args];
      const { code, stderr } = await site.run(all).ended();
      assertEquals([code, lines(stderr)], [1, expected]);
      // Whoever may write to these is known.
      Deno.chmodSync(script, 0o775);
      for (const name of ["conf", "conf/a.cf", "conf/z.gcf"]) {
        Deno.chmodSync(site.dir.file(name), 0o775);
      }
      const master = await site.start({ args });
      (await greeted(port)).close();
      await master.stop();
    }
  });
}

Deno.test("root's master refuses a file of -config that everybody may write to before it obeys it", async () => {
  await using site = new Site();
  const { port, extra } = prepare(site);
  Deno.writeTextFileSync(extra, "run-user = no-such-user\n");
  Deno.chmodSync(extra, 0o666);
  const args = ["-C", site.conf, "-pid-file", site.pidFile, "-config", extra];
  const { code, stderr } = await site.run(args).ended();
  assertEquals(code, 1, stderr);
  const found = `Cannot read settings from "${extra}": every user may write to it (mode 0666)`;
  assertEquals(stderr.startsWith(`${extra}: ${found}, ${REST}`), IS_ROOT, stderr);

  // A directory above that everybody may write to, as /tmp is, says nothing of what is in it.
  Deno.chmodSync(site.dir.path, 0o1777);
  Deno.removeSync(extra);
  const master = await site.start();
  (await greeted(port)).close();
  await master.stop();
});

for (const name of ["services", "services/a.cf"]) {
  Deno.test(`root's master refuses ${name} of a loadConfig hook that everybody may write to, at a start and at a reload`, async () => {
    await using site = new Site();
    const directory = site.dir.file("services"), loose = site.dir.file(name), port = site.port();
    Deno.mkdirSync(directory);
    const words = `server-command = ${SERVER}\nserver-service = 127.0.0.1:${port}\n`;
    site.dir.write("services/a.cf", words);
    const args = ["--mark-services", "-services-in", directory];
    const found =
      `Cannot read settings from "${loose}": every user may write to it (mode 0777), ${REST}`;
    const master = await site.start({ program: HOOKED, args });
    (await greeted(port)).close();
    Deno.chmodSync(loose, 0o777);
    if (IS_ROOT) assertStringIncludes(await master.reloadRefused(), `${loose}: ${found}`);
    else await master.reload();
    (await greeted(port)).close();
    await master.stop();
    if (!IS_ROOT) return;
    const all = ["-C", site.conf, "-pid-file", site.pidFile, ...args];
    const { code, stderr } = await site.run(all, { program: HOOKED }).ended();
    assertEquals([code, stderr], [
      1,
      `master hook: beforeService, not locked\n${loose}: ${found}\n`,
    ]);
  });
}

Deno.test("root's master refuses to go on if everybody may write to its main module, with its hooks", async () => {
  await using site = new Site();
  const program = site.dir.write("master.ts", `await import(${JSON.stringify(HOOKED)});\n`);
  const argv = [Deno.execPath(), "run", "-A", "--config", CONFIG, program, "--try-lock"];
  const tried = async (mode: number) => {
    Deno.chmodSync(program, mode);
    const { code, stderr } = await site.execute([...argv, "-pid-file", site.pidFile]).ended();
    return [code, stderr];
  };
  assertEquals(await tried(0o664), [0, ""]);
  const found = `Cannot run "${program}": every user may write to it (mode 0666), ${REST}`;
  assertEquals(await tried(0o666), IS_ROOT ? [1, `${program}: ${found}\n`] : [0, ""]);
});

Deno.test("root's master runs no main module that everybody may write to by now, neither at an upgrade nor at a reload", async () => {
  await using site = new Site();
  const port = site.port();
  const text = `const { masterServerMain } = await import(${JSON.stringify(MASTER)});\n` +
    "Deno.exit(await masterServerMain());\n";
  const program = site.dir.write("master.ts", text);
  site.serve("a.cf", { mode: "coroutine", service: port });
  const master = await site.start({ program, config: CONFIG });
  const pids = await master.serving("a.cf", 1);
  if (!IS_ROOT) {
    Deno.chmodSync(program, 0o666);
    await master.reload();
    await master.upgrade();
    await master.stop();
    return;
  }
  const ran = site.dir.file("ran");
  Deno.writeTextFileSync(program, `Deno.writeTextFileSync(${JSON.stringify(ran)}, "");\n${text}`);
  Deno.chmodSync(program, 0o666);
  const found = `Cannot run "${program}": every user may write to it (mode 0666), ${REST}`;
  master.signal("SIGUSR2");
  const [line] = await master.logs(/upgrade failed: .*/);
  assertEquals(line, `upgrade failed: ${found}`);
  assertStringIncludes(await master.reloadRefused(), `${program}: ${found}`);
  assertThrows(() => Deno.statSync(ran), Deno.errors.NotFound);
  assertEquals(await master.serving("a.cf", 1), pids);
  Deno.chmodSync(program, 0o664);
  await master.upgrade();
  Deno.statSync(ran);
  (await greeted(port)).close();
  await master.stop();
});

Deno.test("root's master refuses a program that everybody may write to, also where env finds it", async () => {
  await using site = new Site();
  const directory = site.dir.file("bin"), program = `${directory}/program`;
  Deno.mkdirSync(directory);
  Deno.writeTextFileSync(program, "#!/bin/sh\nexec sleep 100\n");
  Deno.chmodSync(program, 0o777);
  const commands = [
    `env A=1 ${program}`,
    `env -C ${directory} ./program`,
    `env --chdir=${directory} ./program`,
    `env PATH=/usr/bin:${directory} program`,
    `env -S '-C ${directory} ./program'`,
    `env -vC ${directory} ./program`,
    `env -C ${directory} sh program`,
  ];
  for (const command of commands) {
    site.write("a.cf", {
      "server-command": command,
      "server-service": `127.0.0.1:${site.port()}`,
      "server-protocol": "systemd",
    });
    if (!IS_ROOT) {
      const master = await site.start();
      await master.stop();
      continue;
    }
    assertStringIncludes(await site.refusal(), "every user may write to it (mode 0777)", command);
  }
});

Deno.test("root's master refuses a DENO_DIR that a service's user may write to, while a process of that user kills all others of it", async () => {
  await using site = new Site();
  // A user without other processes.
  const user = 61236, directory = site.dir.file("deno_dir");
  Deno.mkdirSync(directory);
  Deno.chmodSync(site.dir.path, 0o755);
  for (const { name } of Deno.readDirSync(denoDir())) {
    Deno.symlinkSync(`${denoDir()}/${name}`, `${directory}/${name}`);
  }
  site.serve("a.cf", {
    // The user may be unable to reach the runtime itself.
    ...{ mode: "coroutine", service: site.port(), "server-start-user": "master" },
    ...{ "server-user": user, "server-group": user },
  });
  const args = ["-C", site.conf, "-pid-file", site.pidFile], env = { DENO_DIR: directory };
  if (!IS_ROOT) {
    const { code, stderr } = await site.run(args, { env }).ended();
    assertEquals(code, 1, stderr);
    return assertStringIncludes(stderr, "expected a master that runs as root");
  }
  Deno.chownSync(directory, user, user);
  const attack = "echo attacking; while :; do kill -s KILL -- -1; done";
  const attacker = site.execute([
    ...setprivCommand({ uid: user, gid: user, groups: [user] })!,
    ...["/bin/sh", "-c", attack],
  ]);
  assertEquals(await attacker.nextLine(), "attacking");
  const { code, stderr } = await site.run(args, { env }).ended();
  assertEquals(code, 1, stderr);
  const found = `Cannot run as "${user}": "${directory}" can be written to by that user`;
  assertStringIncludes(stderr, `server-user: ${found}`);
});
