import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import {
  closeLog,
  configureLog,
  flushLog,
  isDebugLog,
  logFrom,
  logLine,
  type LogOptions,
  logRecords,
  zdebug,
  zerror,
  zinfo,
  zwarn,
} from "../../src/log/log.ts";
import { LOG_LEVELS } from "../../src/config/log_form.ts";
import { leavesNothingOpen } from "../support/descriptors.ts";
import { startFunction } from "../support/processes.ts";
import { TempDir } from "../support/temp.ts";
import { withoutTimes } from "./stamps.ts";
import { LogReceiver } from "./log_receiver.ts";

/** Runs `body` with a log that is received, and returns the texts that came. */
async function logged(
  body: () => unknown,
  options: Partial<LogOptions> = {},
): Promise<string[]> {
  return await leavesNothingOpen(async () => {
    using dir = new TempDir();
    using receiver = new LogReceiver(dir.file("log"));
    configureLog({ program: "p", pid: 1, target: `masterlog,${dir.file("log")}`, ...options });
    try {
      await body();
    } finally {
      closeLog();
    }
    return receiver.take().map((record) => record.replace(/^p,1,/, ""));
  });
}

Deno.test("each call appends file and line of its caller at debug level, and only there", async () => {
  const here = new Error().stack!.match(/log_test\.ts:(\d+)/)![1];
  const body = () => {
    zdebug("one");
    zinfo("two");
    zwarn("three");
    zerror("four");
  };
  const line = Number(here) + 2;
  assertEquals(await logged(body, { level: "debug" }), [
    `one [log_test.ts:${line}]`,
    `two [log_test.ts:${line + 1}]`,
    `warning: three [log_test.ts:${line + 2}]`,
    `error: four [log_test.ts:${line + 3}]`,
  ]);
  assertEquals(await logged(body, { level: "info" }), ["two", "warning: three", "error: four"]);
});

for (const [index, level] of LOG_LEVELS.entries()) {
  Deno.test(`configureLog() with the level ${level} writes it and what is above it`, async () => {
    const texts = await logged(() => {
      zdebug("debug");
      zinfo("info");
      zwarn("warn");
      zerror("error");
      for (const each of LOG_LEVELS) logLine(each, each);
    }, { level });
    const words = texts.map((text) => text.replace(/^.*: | \[.*$/g, ""));
    const written = LOG_LEVELS.slice(index);
    assertEquals(words, [...written, ...written]);
  });
}

Deno.test("logRecord() writes a record of any level, whatever its own process writes", async () => {
  const record = { timeMs: 0, level: "debug", ident: "p", pid: 1, text: "theirs" } as const;
  assertEquals(await logged(() => logRecords([record]), { level: "error" }), ["theirs"]);
});

Deno.test("no call looks at the stack above debug level", async () => {
  const limit = Error as unknown as { captureStackTrace: unknown };
  const { captureStackTrace } = limit;
  limit.captureStackTrace = () => {
    throw new Error("captured");
  };
  try {
    assertEquals(await logged(() => zwarn("cheap")), ["warning: cheap"]);
  } finally {
    limit.captureStackTrace = captureStackTrace;
  }
});

Deno.test("zinfo() appends arguments as console.log does, and leaves % alone", async () => {
  const texts = await logged(() => {
    zinfo("100% %s", 1, true, null, undefined, "text", { a: ["b"] }, 10n);
  });
  assertMatch(texts[0], /^100% %s 1 true null undefined text \{ a: \[ "b" \] \} 10n$/);
});

Deno.test("zinfo() writes an error with its stack and cause on one line", async () => {
  const texts = await logged(() => {
    zinfo("failed:", new TypeError("bad value", { cause: new Error("the cause") }));
  });
  assertEquals(texts.length, 1);
  assertMatch(
    texts[0],
    /^failed: TypeError: bad value at .*log_test\.ts:\d+:\d+.* \[cause\]: Error: the cause at .*$/,
  );
});

Deno.test("zinfo() goes on with a value that can't be shown", async () => {
  const hostile = {
    [Symbol.for("Deno.customInspect")]() {
      throw new Error("not to be shown");
    },
  };
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  assertEquals(await logged(() => zinfo("found", hostile, proxy, 1)), [
    "found [a value that can't be shown] [a value that can't be shown] 1",
  ]);
});

Deno.test("logFrom() names the caller of the given function, logLine() no place", async () => {
  const helper = (text: string) => logFrom("info", helper, text);
  const texts = await logged(() => {
    const [line] = [new Error().stack!.match(/log_test\.ts:(\d+)/)![1], helper("helped")];
    logLine("info", line);
  }, { level: "debug" });
  assertEquals(texts, [`helped [log_test.ts:${texts[1]}]`, texts[1]]);
});

Deno.test("zdebug() prints only with debug on, and names its own caller", async () => {
  assertEquals(await logged(() => zdebug("hidden")), []);
  assertEquals(isDebugLog(), false);
  const texts = await logged(() => {
    assertEquals(isDebugLog(), true);
    zdebug("seen", 1);
  }, { level: "debug" });
  assertEquals(texts.length, 1);
  assertMatch(texts[0], /^seen 1 \[log_test\.ts:\d+\]$/);
  configureLog({ program: "p" });
  assertEquals(isDebugLog(), false);
  closeLog();
});

Deno.test("configureLog() takes the base name of the program as ident", () => {
  using dir = new TempDir();
  using receiver = new LogReceiver(dir.file("log"));
  const target = { kind: "masterlog", socket: dir.file("log") } as const;
  configureLog({ program: "/usr/lib/zc/imapd", target });
  logLine("info", "hello");
  closeLog();
  assertEquals(receiver.take(), [`imapd,${Deno.pid},hello`]);
});

Deno.test("configureLog() sends syslog lines to the socket of the system's log", () => {
  using dir = new TempDir();
  using receiver = new LogReceiver(dir.file("log"));
  configureLog({
    program: "imapd",
    pid: 5,
    target: "syslog,LOG_MAIL",
    syslogPath: dir.file("log"),
  });
  logLine("info", "hello");
  closeLog();
  assertMatch(receiver.take()[0], /^<22>.* imapd\[5\]: hello$/);
});

Deno.test("logRecords() writes a record with its own ident, pid, time and level, masterlog", () => {
  using dir = new TempDir();
  using receiver = new LogReceiver(dir.file("log"));
  configureLog({ program: "master", pid: 5, target: `masterlog,${dir.file("log")}` });
  logRecords([{ timeMs: 0, level: "error", ident: "imapd", pid: 77, text: "failed" }]);
  logLine("info", "mine");
  closeLog();
  assertEquals(receiver.take(), ["imapd,77,error: failed", "master,5,mine"]);
});

Deno.test("logRecords() writes a record with its own ident, pid, time and level, syslog", () => {
  using dir = new TempDir();
  using receiver = new LogReceiver(dir.file("log"));
  const syslogPath = dir.file("log");
  configureLog({ program: "master", pid: 5, target: "syslog,LOG_MAIL,mail", syslogPath });
  const timeMs = new Date(2026, 10, 3, 4, 5, 6).getTime();
  logRecords([{ timeMs, level: "error", ident: "imapd", pid: 77, text: "failed" }]);
  logLine("info", "mine");
  closeLog();
  const [failed, mine] = receiver.take();
  assertEquals(failed, "<19>Nov  3 04:05:06 imapd[77]: failed");
  assertMatch(mine, /^<22>.* mail\[5\]: mine$/);
});

for (const target of ["file,/tmp/x", "masterlog", "syslog,nosuch", ","]) {
  Deno.test(`configureLog() refuses the target "${target}" and goes on as before`, async () => {
    const texts = await logged(() => {
      assertThrows(
        () => configureLog({ program: "q", target }),
        TypeError,
        `Cannot read "${target}"`,
      );
      logLine("info", "as before");
    });
    assertEquals(texts, ["as before"]);
  });
}

Deno.test("flushLog() waits for lines that the receiver had no room for", async () => {
  using dir = new TempDir();
  using receiver = new LogReceiver(dir.file("log"));
  configureLog({ program: "p", pid: 1, target: `masterlog,${dir.file("log")}` });
  for (let i = 0; i < 1_000; i++) logLine("info", `${i}`);
  let isFlushed = false;
  const flushed = flushLog(30_000).then(() => isFlushed = true);
  const lines = await receiver.takeUntil((lines) => lines.length === 1_000);
  await flushed;
  assert(isFlushed);
  assertEquals(lines.at(-1), "p,1,999");
  closeLog();
});

Deno.test("zfatal() logs its line, says it on stderr, and exits with 1", async () => {
  using dir = new TempDir();
  using receiver = new LogReceiver(dir.file("log"));
  await using child = startFunction(import.meta, async (socket) => {
    const { configureLog, zfatal } = await import("../../src/log/log.ts");
    configureLog({ program: "imapd", pid: 9, target: { kind: "masterlog", socket } });
    try {
      zfatal("Cannot go on:", 42);
    } finally {
      console.log("never printed");
    }
  }, { arg: dir.file("log") });
  const { code, stdout, stderr } = await child.ended();
  assertEquals([code, stdout], [1, ""]);
  assertEquals(withoutTimes(stderr), "error imapd[9] Cannot go on: 42\n");
  const [record] = receiver.take();
  assertEquals(record, "imapd,9,error: Cannot go on: 42");
});

Deno.test("zfatal() on stderr says its line once", async () => {
  await using child = startFunction(import.meta, async () => {
    const { zfatal } = await import("../../src/log/log.ts");
    zfatal("the end");
  });
  const { code, stderr } = await child.ended();
  assertEquals(code, 1);
  assertEquals(stderr, "the end\n");
});

Deno.test("closeLog() says on stderr how many lines nobody took, and is soon done", async () => {
  using dir = new TempDir();
  using receiver = new LogReceiver(dir.file("log"));
  await using child = startFunction(import.meta, async (socket) => {
    const { closeLog, configureLog, logLine } = await import("../../src/log/log.ts");
    configureLog({ program: "p", pid: 1, target: { kind: "masterlog", socket } });
    for (let i = 0; i < 1_000; i++) logLine("info", `${i}`);
    const start = performance.now();
    closeLog();
    console.log(performance.now() - start);
  }, { arg: dir.file("log") });
  const { code, stdout, stderr } = await child.ended();
  const taken = receiver.take().length;
  assertEquals(code, 0);
  assertEquals(withoutTimes(stderr), `warn p[1] ${1_000 - taken} log lines dropped\n`);
  assert(Number(stdout) < 2_000, `took ${stdout} ms`);
});

Deno.test("zinfo() tells once on stderr that the log socket is not there, and nothing dies of it", async () => {
  using dir = new TempDir();
  await using child = startFunction(import.meta, async (socket) => {
    const { closeLog, configureLog, zinfo } = await import("../../src/log/log.ts");
    configureLog({ program: "p", pid: 1, target: { kind: "masterlog", socket } });
    for (let i = 0; i < 100; i++) zinfo("lost");
    closeLog();
  }, { arg: dir.file("nothing") });
  const { code, stderr } = await child.ended();
  assertEquals(code, 0);
  const [first, second, ...more] = withoutTimes(stderr).trimEnd().split("\n");
  assertMatch(first, /^error p\[1\] Cannot log to ".*\/nothing": .*ENOENT.*; lines are dropped/);
  assertEquals([second, ...more], ["warn p[1] 100 log lines dropped"]);
});

Deno.test("each call is exported by the method of console that has its level", async () => {
  await using child = startFunction(import.meta, async () => {
    // In the place of a console that exports: an exporter would need a receiver.
    Deno.env.set("OTEL_DENO", "true");
    Deno.env.set("OTEL_DENO_CONSOLE", "replace");
    const exported: string[] = [];
    for (const method of ["debug", "info", "warn", "error"] as const) {
      console[method] = (text: string) => exported.push(`${method} ${text}`);
    }
    const { configureLog, zdebug, zerror, zinfo, zwarn } = await import("../../src/log/log.ts");
    const { closeLog, logRecords } = await import("../../src/log/log.ts");
    configureLog({ program: "p", level: "info" });
    zdebug("not written");
    zinfo("one");
    zwarn("two");
    zerror("three", 3);
    // Its own process exports it.
    logRecords([{ timeMs: 0, level: "error", ident: "q", pid: 1, text: "captured" }]);
    closeLog();
    console.log(exported.join());
  });
  assertEquals(await child.succeeds(), "info one,warn two,error three 3\n");
});
