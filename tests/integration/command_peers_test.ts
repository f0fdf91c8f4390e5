/** Commands, and whoever listens at the control socket in the place of a master. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { ControlClient } from "../../src/control/client.ts";
import { mayChangeUser } from "../../src/os/user/credentials.ts";
import { setprivCommand } from "../../src/os/process/setpriv.ts";
import { installationFor } from "../support/installation.ts";
import { leaveOut } from "../support/left_out.ts";
import { Site } from "../support/master.ts";
import { NOBODY } from "../support/privileges.ts";
import { eventually } from "../support/wait.ts";

/** Each kind of control character: of ASCII, DELETE, and one of those from U+0080 on. */
const CONTROLS = "\x1b[6n\x07\x7f\u009b6n";

function assertHarmless(text: string): void {
  const found = text.match(/[^\P{Cc}\n]/gu) ?? [];
  assertEquals(found, [], JSON.stringify(text));
}

/** Answers every request with control characters in all places, until it is closed. */
function fakeMaster(path: string): AsyncDisposable {
  const listener = Deno.listen({ transport: "unix", path });
  const answers: Record<string, unknown> = {
    hello: { ok: true, result: { pid: 1, version: CONTROLS, deno: CONTROLS } },
    plan: {
      ok: true,
      result: { services: [{ id: CONTROLS, change: CONTROLS, why: CONTROLS }], listeners: [] },
    },
    stop: { ok: false, error: { code: "failed", message: CONTROLS } },
    logs: {
      ok: true,
      result: {
        lines: [{
          ...{ atMs: 1, level: "info", service: CONTROLS, pid: 1, stream: "stdout" },
          text: CONTROLS,
        }],
      },
    },
    status: {
      ok: true,
      result: {
        state: "ready",
        master: { pid: 1, version: CONTROLS, deno: CONTROLS, phase: CONTROLS, uptimeMs: 1 },
        services: [{
          id: CONTROLS,
          state: "ready",
          problem: CONTROLS,
          lastExit: null,
          processes: [],
        }],
        listeners: [{ address: CONTROLS, services: [CONTROLS], [CONTROLS]: CONTROLS }],
        lastReload: { atMs: 1, text: CONTROLS },
      },
    },
  };
  const serve = async (conn: Deno.Conn) => {
    const decoder = new TextDecoder(), encoder = new TextEncoder();
    for await (const bytes of conn.readable) {
      for (const line of decoder.decode(bytes).trimEnd().split("\n")) {
        const { id, do: name } = JSON.parse(line);
        const lines = [{ id, progress: CONTROLS }, { id, ...answers[name] as object }];
        for (const one of lines) await conn.write(encoder.encode(`${JSON.stringify(one)}\n`));
      }
    }
  };
  const over = (async () => {
    for await (const conn of listener) serve(conn).catch(() => {});
  })();
  return {
    async [Symbol.asyncDispose]() {
      listener.close();
      await over;
    },
  };
}

Deno.test("no command prints a control character of what listens in the place of a master", async () => {
  await using site = new Site();
  await using _ = fakeMaster(`${site.pidFile}.sock`);
  for (
    const command of [
      "status",
      "status --json",
      "plan",
      "plan --json",
      "stop",
      "logs",
      "logs --json",
    ]
  ) {
    const process = site.run([...command.split(" "), "-pid-file", site.pidFile]);
    const { stdout, stderr } = await process.ended();
    assert(`${stdout}${stderr}`.includes("6n"), command + stdout + stderr);
    assertHarmless(stdout + stderr);
  }
  // A program gets what the master has sent.
  using client = await ControlClient.connect(`${site.pidFile}.sock`);
  assertEquals((await client.request("hello")).version, CONTROLS);
});

Deno.test("check prints no control character of the name of a file", async () => {
  await using site = new Site();
  site.write("a\x1b[6n\u009b.cf", { "server-command": "none\u009b", "server-service": "x" });
  for (const options of [[], ["--json"]]) {
    const { stdout, stderr } = await site.run(["check", "-C", site.conf, ...options]).ended();
    assertMatch(stdout + stderr, /u001b\[6n\\+u009b/);
    assertHarmless(stdout + stderr);
  }
});

Deno.test("root's commands ask no master of a user who does not own both the pid file and the socket", async (t) => {
  await using site = new Site();
  if (!mayChangeUser()) return leaveOut(t);
  Deno.chmodSync(site.dir.path, 0o777);
  const socket = `${site.pidFile}.sock`;
  const { deno, denoDir } = installationFor("nobody");
  const listening =
    `for await (const one of Deno.listen({ transport: "unix", path: "${socket}" })) {
    one.close();
  }`;
  site.execute([
    ...setprivCommand({ uid: NOBODY, gid: NOBODY, groups: [NOBODY] })!,
    ...[deno, "eval", "--no-config", listening],
  ], { env: { DENO_DIR: denoDir } });
  await eventually(() => existsSync(socket), { what: "the socket" });
  const status = () => site.run(["status", "-pid-file", site.pidFile]).ended();
  for (const owner of [undefined, 0]) {
    if (owner === 0) Deno.writeTextFileSync(site.pidFile, "");
    const { code, stderr } = await status();
    assertEquals(code, 3);
    assertMatch(stderr, new RegExp(`user ${NOBODY} listens there, expected root, or`));
  }
  Deno.chownSync(site.pidFile, NOBODY, NOBODY);
  assertMatch((await status()).stderr, /has ended before its answer/);
});
