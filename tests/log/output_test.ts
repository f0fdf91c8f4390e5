/** Logging to the standard outputs, which other processes share, in processes of their own. */

import { assert, assertEquals } from "@std/assert";
import { functionArgs, startDeno, startFunction } from "../support/processes.ts";
import { plainPython } from "../support/python.ts";
import { TempDir } from "../support/temp.ts";
import { within } from "../support/wait.ts";
import { withoutTimes } from "./stamps.ts";

const LOG = new URL("../../src/log/log.ts", import.meta.url).href;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

/** Kills a process that a failed test has left. */
async function endChild(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended, as it should.
  }
  await child.status;
}

Deno.test("zinfo() writes to stderr until configureLog() says otherwise, and after closeLog()", async () => {
  await using child = startFunction(import.meta, async () => {
    const { closeLog, configureLog, zinfo } = await import("../../src/log/log.ts");
    zinfo("first");
    configureLog({ program: "/usr/sbin/imapd", pid: 12, target: "stdout" });
    zinfo("second");
    closeLog();
    zinfo("third");
    configureLog({ program: "imapd", pid: 13, target: "" });
    zinfo("fourth");
  });
  const { stdout, stderr } = await child.ended();
  assertEquals(withoutTimes(stdout), "info imapd[12] second\n");
  assertEquals(
    withoutTimes(stderr),
    "first\ninfo imapd[12] third\ninfo imapd[13] fourth\n",
  );
});

Deno.test("zinfo() needs no permission for the standard outputs", async () => {
  using dir = new TempDir();
  const script = dir.write(
    "plain.ts",
    `import { closeLog, configureLog, zinfo } from "${LOG}";
zinfo("one");
configureLog({ program: "p", pid: 1, target: "stdout" });
zinfo("two");
closeLog();
`,
  );
  await using child = startDeno(["run", "--no-prompt", "--config", CONFIG, script]);
  const { code, stdout, stderr } = await child.ended();
  assertEquals(code, 0);
  assertEquals([stdout, stderr].map(withoutTimes), ["info p[1] two\n", "one\n"]);
});

Deno.test("zinfo() leaves the flags of an inherited pipe alone", async () => {
  await using child = startFunction(import.meta, async () => {
    const { zinfo } = await import("../../src/log/log.ts");
    const flags = () => Deno.readTextFileSync("/proc/self/fdinfo/2").match(/flags:\s*(\d+)/)![1];
    const before = flags();
    zinfo("hello");
    console.log(before === flags());
  });
  assertEquals(await child.succeeds(), "true\n");
});

Deno.test("zinfo() appends to a file that stderr was sent to, in order with other writers", async () => {
  using dir = new TempDir();
  const args = functionArgs(async () => {
    const { zinfo } = await import("../../src/log/log.ts");
    for (let i = 0; i < 3; i++) {
      zinfo("ours", i);
      console.error("theirs", i);
    }
  });
  const command = new Deno.Command("sh", {
    args: ["-c", `exec "$@" 2> ${dir.file("out")}`, "sh", Deno.execPath(), ...args],
    cwd: import.meta.dirname,
    env: { NO_COLOR: "1" },
  });
  assertEquals((await command.output()).code, 0);
  const text = Deno.readTextFileSync(dir.file("out"));
  assertEquals(text, [0, 1, 2].map((i) => `ours ${i}\ntheirs ${i}\n`).join(""));
});

Deno.test("zinfo() never waits for a pipe that nobody reads, drops the rest and says how much", async () => {
  const lines = 30_000;
  const child = new Deno.Command(Deno.execPath(), {
    args: functionArgs(async (lines) => {
      const { closeLog, flushLog, zinfo } = await import("../../src/log/log.ts");
      for (let i = 0; i < lines; i++) zinfo(`${i} ${"x".repeat(80)}`);
      console.log("still alive");
      await flushLog(60_000);
      zinfo("last");
      closeLog();
    }, lines),
    cwd: import.meta.dirname,
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  try {
    const stdout = child.stdout.getReader();
    const alive = await within(stdout.read(), { what: "the end of the loop", withinMs: 30_000 });
    assertEquals(new TextDecoder().decode(alive.value), "still alive\n");
    await stdout.cancel();
    const stderr = await within(new Response(child.stderr).text(), { what: "all lines" });
    assertEquals((await child.status).code, 0);
    const got = stderr.trimEnd().split("\n");
    assertEquals(got.pop(), "last");
    const [, dropped] = /^warning: (\d+) log lines dropped$/.exec(got.pop()!)!;
    assertEquals(got.map((line) => parseInt(line)), [...got.keys()]);
    assertEquals(got.length + Number(dropped), lines);
  } finally {
    await endChild(child);
  }
});

Deno.test("zinfo() survives a reader that goes away", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: functionArgs(async () => {
      const { zinfo } = await import("../../src/log/log.ts");
      zinfo("read this");
      for await (const _ of Deno.stdin.readable);
      for (let i = 0; i < 1_000; i++) zinfo("nobody reads this");
      console.log("fine");
    }),
    cwd: import.meta.dirname,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  try {
    const reader = child.stderr.getReader();
    assert((await within(reader.read(), { what: "the first line" })).value);
    await reader.cancel();
    await child.stdin.close();
    const stdout = await within(new Response(child.stdout).text(), { what: "its end" });
    assertEquals([(await child.status).code, stdout], [0, "fine\n"]);
  } finally {
    await endChild(child);
  }
});

Deno.test("zinfo() without FFI waits for no pipe that is non-blocking, and keeps the order", async () => {
  using dir = new TempDir();
  const script = dir.write(
    "plain.ts",
    `import { closeLog, flushLog, zinfo } from "${LOG}";
for (let i = 0; i < 4_000; i++) zinfo(\`\${i} \${"x".repeat(80)}\`);
await flushLog(60_000);
closeLog();
`,
  );
  const nonblocking =
    "import os, sys; os.set_blocking(2, False); os.execvp(sys.argv[1], sys.argv[1:])";
  await using child = startDeno(["run", "--no-prompt", "--config", CONFIG, script], {
    prefix: [...plainPython(), "-c", nonblocking],
  });
  const { code, stderr } = await child.ended();
  const lines = stderr.trimEnd().split("\n");
  assertEquals([code, lines.length], [0, 4_000]);
  assertEquals(lines.map((line) => parseInt(line)), [...lines.keys()]);
});
