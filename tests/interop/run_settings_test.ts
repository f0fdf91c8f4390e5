import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Config } from "../../src/config/config.ts";
import { applyRunSettings } from "../../src/config/run_settings.ts";
import { mayChangeRoot } from "../../src/os/user/credentials.ts";
import { greeted } from "../support/client.ts";
import { forEachThread, id, statusLine } from "../support/credentials.ts";
import { MODES, pidIn, SERVERS, Site } from "../support/master.ts";
import { peer } from "../support/peers.ts";
import { startFunction } from "../support/processes.ts";

/** Whoever may change the root is taken to be root; others are shown what they are told. */
const IS_ROOT = mayChangeRoot();
const MEBIBYTE = 1024 * 1024;

/** A line of /proc/PID/limits, its fields parted by one space. */
function limitOf(pid: number, name: string): string {
  const [, text] = new RegExp(`^${name}\\s+(.*?)\\s*$`, "m")
    .exec(Deno.readTextFileSync(`/proc/${pid}/limits`)) ?? [];
  return (text ?? "").replace(/\s+/g, " ");
}

/** Fails unless each thread of a process is that user's, with all of the user's groups. */
function assertUser(pid: number, user: string): void {
  const uid = id("-u", user), gid = id("-g", user);
  const groups = id("-G", user);
  forEachThread(pid, (thread) => {
    assertEquals(statusLine(thread, "Uid"), Array(4).fill(uid).join(" "));
    assertEquals(statusLine(thread, "Gid"), Array(4).fill(gid).join(" "));
    assertEquals(statusLine(thread, "Groups"), groups);
    assertEquals(BigInt(`0x${statusLine(thread, "CapEff")}`), 0n);
  });
}

Deno.test("servers apply the settings of their own files: user, root, directory, limits", async (t) => {
  await using site = new Site();
  const jail = site.dir.file("jail");
  Deno.mkdirSync(`${jail}/sub`, { recursive: true });
  const moved = MODES.map((mode) => {
    const port = site.port(), fifo = site.dir.file(`${mode}-fifo`);
    site.serve(`${mode}.cf`, {
      mode,
      service: `127.0.0.1:${port} fifo:${fifo}`,
      "run-user": "nobody",
      "run-chroot": jail,
      "run-chdir": "sub",
    });
    return { mode, port, fifo };
  });
  const limited = site.port();
  site.serve("limited.cf", {
    mode: "aio",
    service: limited,
    "max-memory": "300m",
    "core-file-size": "1m",
  });
  site.write("all.gcf", { "run-user": "nobody" });
  const master = await site.start();

  for (const { mode, port, fifo } of moved) {
    await t.step(
      `run-user, run-chroot and run-chdir move a ${mode} server, which serves all the same`,
      async () => {
        if (!IS_ROOT) {
          const why = 'run-user: Cannot apply "nobody": operation not permitted';
          return void await master.logs(new RegExp(`${mode}\\.cf: ${why}`));
        }
        using client = await greeted(port);
        assertEquals(await client.ask("echo hello"), "hello");
        await Deno.writeTextFile(fifo, `through the pipe of ${mode}\n`, { create: false });
        await master.logs(new RegExp(`from the fifo: through the pipe of ${mode}`));
        const pid = pidIn(client);
        assertUser(pid, "nobody");
        assertEquals(Deno.readLinkSync(`/proc/${pid}/root`), jail);
        assertEquals(Deno.readLinkSync(`/proc/${pid}/cwd`), `${jail}/sub`);
        const slow = new RegExp(`\\[${pid}\\] .*node:net`);
        assertEquals(master.logged(slow), 0, "it serves its socket the slow way");
      },
    );
  }

  await t.step("max-memory and core-file-size limit a server", async () => {
    using client = await greeted(limited);
    const pid = pidIn(client);
    assertEquals(limitOf(pid, "Max core file size"), "1048576 1048576 bytes");
    const [soft, hard, unit] = limitOf(pid, "Max data size").split(" ");
    assertEquals([soft, unit], [hard, "bytes"]);
    // What the runtime has mapped for nothing comes on top of the 300.
    assert(Number(soft) > 300 * MEBIBYTE && Number(soft) < 1100 * MEBIBYTE, soft);
    assertEquals(limitOf(pid, "Max address space").split(" ")[0], "unlimited");
  });

  await t.step("run-user in a .gcf changes nobody, as with LIB-ZC, and is told of", async () => {
    const own = statusLine("self", "Uid");
    using client = await greeted(limited);
    for (const pid of [master.pid, pidIn(client)]) {
      assertEquals(statusLine(pid, "Uid"), own);
    }
    await master.logs(/ warn \S+ .*\/all\.gcf:1: run-user: Cannot use "run-user": /);
  });
  await master.stop();
});

Deno.test("exit-after ends a server, which is replaced, and one in another root can tell where an error was thrown", async () => {
  await using site = new Site();
  const port = site.port();
  Deno.mkdirSync(site.dir.file("jail"));
  site.serve("a.cf", { mode: "coroutine", service: port, "exit-after": 1 });
  site.serve("b.cf", {
    mode: "coroutine",
    service: site.port(),
    args: ["--fail-in=beforeService"],
    ...(IS_ROOT && { "run-chroot": site.dir.file("jail") }),
  });
  const master = await site.start();
  using client = await greeted(port);
  assertEquals(await client.ending(), "end of file");
  await master.logs(
    new RegExp(`process ${pidIn(client)} ended after [1-9]\\S* s: exit code 0`),
  );
  await master.logs(/serviceRegister/, 2);
  await master.logs(
    /Error: a fault in beforeService\n +at failIn \(file:.*behaviour\.ts:\d+:\d+\)/,
  );
  await master.stop();
});

Deno.test("run-user and run-chroot of the master hold for its servers in C", async () => {
  await using site = new Site();
  const port = site.port();
  Deno.copyFileSync(peer("server", { static: true }), site.dir.file("server"));
  // What a process has as its input; there is no device in this root.
  Deno.mkdirSync(site.dir.file("dev"));
  site.dir.write("dev/null", "");
  Deno.chmodSync(site.dir.file("dev/null"), 0o666);
  Deno.mkdirSync(site.dir.file("logs"));
  for (const path of [site.dir.path, site.dir.file("logs")]) Deno.chmodSync(path, 0o777);
  site.write("a.cf", {
    "server-command": "/server",
    "server-service": `127.0.0.1:${port}`,
    color: "blue",
  });
  const process = site.run([
    ...["-run-user", "nobody", "-run-chroot", site.dir.path],
    ...["-C", "/conf", "-pid-file", "/master.pid", "-log-service", "/log.socket,/logs/,day"],
  ]);
  if (IS_ROOT) {
    await process.complains(/listeners: .*\n/);
    const client = await greeted(port);
    assertEquals(await client.ask("setting color"), "blue");
    // There is no shell in this root, which is told in one line.
    assertMatch(
      process.stderr,
      /no guardian, servers may outlive a killed master: posix_spawn "\/bin\/sh": no such file .*\n/,
    );
    assert(!/\n +at /.test(process.stderr), process.stderr);
    for (const pid of [process.pid, pidIn(client)]) {
      assertUser(pid, "nobody");
      assertEquals(Deno.readLinkSync(`/proc/${pid}/root`), site.dir.path);
    }
    client.close();
    process.signal("SIGTERM");
    assertEquals((await process.ended()).code, 0);
  } else {
    const { code, stderr } = await process.ended();
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /^argument -run-user: Cannot apply "nobody": operation not permitted/,
    );
  }
  await site.isGone();
});

for (const what of ["buffers", "objects"]) {
  Deno.test(`max-memory ends a process that fills its memory with ${what}`, async () => {
    await using child = startFunction(import.meta, async (what) => {
      const { Config } = await import("../../src/config/config.ts");
      const { applyRunSettings } = await import("../../src/config/run_settings.ts");
      await applyRunSettings(new Config().set("max-memory", "64m"));
      const kept: unknown[] = [];
      for (let mebibytes = 0; mebibytes < 512; mebibytes++) {
        console.log(mebibytes);
        kept.push(
          what === "buffers"
            ? new Uint8Array(1024 * 1024).fill(1)
            : Array.from({ length: 32 * 1024 }, (_, index) => ({ index })),
        );
      }
    }, { arg: what });
    const { code, stdout } = await child.ended(30_000);
    assert(code !== 0, "nothing has limited it");
    const reached = Number(stdout.trim().split("\n").at(-1));
    assert(reached > 10 && reached < 80, `it has reached ${reached} MiB`);
  });
}

Deno.test("max-memory leaves Deno programs that are started under it able to run", async () => {
  await using child = startFunction(import.meta, async () => {
    const { Config } = await import("../../src/config/config.ts");
    const { applyRunSettings } = await import("../../src/config/run_settings.ts");
    await applyRunSettings(new Config().set("max-memory", "64m"));
    const args = ["eval", "console.log(new Uint8Array(1024 * 1024).length)"];
    const { stdout } = new Deno.Command(Deno.execPath(), { args }).outputSync();
    console.log(new TextDecoder().decode(stdout).trim());
  });
  assertEquals(await child.succeeds(), "1048576\n");
});

const refused: Record<string, { readonly value: string; readonly message: RegExp }> = {
  "run-user": {
    value: "root",
    message:
      /^a\.cf:7: run-user: Cannot apply "root": operation not permitted \(setgid: EPERM\), ex/,
  },
  "run-chroot": {
    value: "/tmp",
    message:
      /^a\.cf:7: run-chroot: Cannot apply "\/tmp": operation not permitted \(chroot: EPERM\), /,
  },
  "run-chdir": {
    value: "/nowhere",
    message:
      /^a\.cf:7: run-chdir: Cannot apply "\/nowhere": no such file or directory, expected a /,
  },
  "max-memory": {
    value: "-1",
    message:
      /^a\.cf:7: max-memory: Cannot apply "-1": operation not permitted \(setrlimit: EPERM\)/,
  },
  "core-file-size": {
    value: "2g",
    message: /^a\.cf:7: core-file-size: Cannot apply "2g": operation not permitted \(setrlimit: /,
  },
};

Deno.test("applyRunSettings() tells an ordinary user why a setting is refused", async () => {
  const prefix = ["sh", "-c", 'ulimit -c 1024 && ulimit -d 2000000 && exec "$@"', "sh"];
  const arg = Object.entries(refused).map(([key, { value }]) => [key, value] as const);
  await using child = startFunction(import.meta, async (settings) => {
    const { Config, setFrom } = await import("../../src/config/config.ts");
    const { applyRunSettings } = await import("../../src/config/run_settings.ts");
    const { becomeOrdinaryUser } = await import("../support/privileges.ts");
    becomeOrdinaryUser();
    for (const [key, value] of settings) {
      try {
        await applyRunSettings(setFrom(new Config(), key, value, { file: "a.cf", line: 7 }));
        console.log(`${key}: applied`);
      } catch (error) {
        console.log((error as Error).message);
      }
    }
  }, { arg, prefix });
  const lines = (await child.succeeds()).trimEnd().split("\n");
  for (const [index, { message }] of Object.values(refused).entries()) {
    assertMatch(lines[index], message);
  }
  assertEquals(lines.length, arg.length);
});

Deno.test("applyRunSettings() refuses users whom the system does not know", async () => {
  for (const user of ["no-such-user", "65534"]) {
    // It comes to nothing, so that this process stays as it is.
    const { message } = await assertRejects(
      () => applyRunSettings(new Config().set("run-user", user)),
      Error,
    );
    assertMatch(message, /^run-user: Cannot apply ".*": no such user, expected a user/);
  }
});

Deno.test("--debug-config prints the settings of the master and of a server", async () => {
  await using site = new Site();
  const port = site.port();
  site.write("all.gcf", { color: "blue", "master-stop-timeout": "5s" });
  const master = site.run(["-C", site.conf, "--debug-config", "-pid-file", site.pidFile]);
  await master.complains(/listeners: /);
  await master.prints(/pid-file = .*\n/);
  assertEquals(master.stdout.trim().split("\n"), [
    "color = blue",
    "master-stop-timeout = 5s",
    `C = ${site.conf}`,
    "debug-config = yes",
    `pid-file = ${site.pidFile}`,
  ]);
  const args = ["-server-config-path", site.conf, "-server-service", `127.0.0.1:${port}`];
  const server = site.run(["alone", ...args, "--debug-config"], { program: SERVERS.coroutine });
  await server.complains(/serviceRegister/);
  await server.prints(/debug-config = yes\n/);
  assertEquals(server.stdout.trim().split("\n"), [
    "color = blue",
    "master-stop-timeout = 5s",
    `server-config-path = ${site.conf}`,
    `server-service = 127.0.0.1:${port}`,
    "debug-config = yes",
  ]);
});
