/** Commands, and whoever listens at the control socket in the place of a master. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { ControlClient } from "../../src/control/client.ts";
import { mayChangeUser } from "../../src/os/user/credentials.ts";
import { type Ran, runHere } from "../support/commands.ts";
import { leaveOut } from "../support/left_out.ts";
import { Site } from "../support/master.ts";
import { NOBODY } from "../support/privileges.ts";
import { listenerInode } from "../support/proc.ts";
import { plainPython } from "../support/python.ts";
import { eventually } from "../support/wait.ts";

/** Each kind of control character: of ASCII, DELETE, and one of those from U+0080 on. */
const CONTROLS = "\x1b[6n\x07\x7f\u009b6n";

function assertHarmless(text: string): void {
  const found = text.match(/[^\P{Cc}\n]/gu) ?? [];
  assertEquals(found, [], JSON.stringify(text));
}

/** All that a command has shown. */
function text({ out, err }: Ran): string {
  return out + err;
}

/** Runs a command in a process of its own, and gives all that it shows. */
async function shownBy(site: Site, args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await site.run(args).ended();
  return stdout + stderr;
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
    const args = [...command.split(" "), "-pid-file", site.pidFile];
    // It goes past the console.
    const isOwn = command.startsWith("logs");
    const shown = isOwn ? await shownBy(site, args) : text(await runHere(args));
    assert(shown.includes("6n"), command + shown);
    assertHarmless(shown);
  }
  // A program gets what the master has sent.
  using client = await ControlClient.connect(`${site.pidFile}.sock`);
  assertEquals((await client.request("hello")).version, CONTROLS);
});

Deno.test("check prints no control character of the name of a file", async () => {
  await using site = new Site();
  site.write("a\x1b[6n\u009b.cf", { "server-command": "none\u009b", "server-service": "x" });
  for (const options of [[], ["--json"]]) {
    const shown = text(await runHere(["check", "-C", site.conf, ...options]));
    assertMatch(shown, /u001b\[6n\\+u009b/);
    assertHarmless(shown);
  }
});

Deno.test("root's commands ask no master of a user who does not own both the pid file and the socket", async (t) => {
  await using site = new Site();
  if (!mayChangeUser()) return leaveOut(t);
  Deno.chmodSync(site.dir.path, 0o777);
  const socket = `${site.pidFile}.sock`;
  const listening = [
    "import os, socket, sys",
    "os.setgroups([]), os.setgid(int(sys.argv[2])), os.setuid(int(sys.argv[2]))",
    "listener = socket.socket(socket.AF_UNIX)",
    "listener.bind(sys.argv[1]), listener.listen()",
    "while True: listener.accept()[0].close()",
  ];
  site.execute([...plainPython(), "-c", listening.join("\n"), socket, `${NOBODY}`]);
  await eventually(() => listenerInode(socket) !== undefined, { what: "the socket" });
  const status = () => runHere(["status", "-pid-file", site.pidFile]);
  for (const owner of [undefined, 0]) {
    if (owner === 0) Deno.writeTextFileSync(site.pidFile, "");
    const { code, err } = await status();
    assertEquals(code, 3);
    assertMatch(err, new RegExp(`user ${NOBODY} listens there, expected root, or`));
  }
  Deno.chownSync(site.pidFile, NOBODY, NOBODY);
  assertMatch((await status()).err, /has ended before its answer/);
});
