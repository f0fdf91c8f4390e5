import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { parseLogTarget, SYSLOG_FACILITIES } from "../../src/config/log_target.ts";
import { openBackend } from "../../src/log/backends.ts";
import { RECORD_BYTES_MAX } from "../../src/log/lines.ts";
import { openDescriptors } from "../../src/os/fd/descriptor.ts";
import { FakeClock } from "../fakes/fake_clock.ts";
import { flagsOf, leavesNothingOpen } from "../support/descriptors.ts";
import { startFunction } from "../support/processes.ts";
import { TempDir } from "../support/temp.ts";
import { LogReceiver } from "./log_receiver.ts";

const SOURCE = { ident: "imapd", pid: 77 };

interface Logging {
  log(...texts: string[]): void;
  close(): number;
  readonly clock: FakeClock;
  readonly told: string[];
}

/** Logs as a server would whose `server-log` is `target`. */
function open(target: string, syslogPath?: string): Logging {
  const clock = new FakeClock();
  const told: string[] = [];
  const { spool, encode, source } = openBackend(parseLogTarget(target), SOURCE, {
    syslogPath,
    clock,
    tell: (text) => told.push(text),
  });
  return {
    log: (...texts) =>
      texts.forEach((text) =>
        spool.push(encode({ ...source, timeMs: Date.now(), level: "info", text }))
      ),
    close: () => spool.close(0),
    clock,
    told,
  };
}

Deno.test("openBackend() writes syslog lines with each facility, under all its names", async () => {
  await leavesNothingOpen(() => {
    using dir = new TempDir();
    using receiver = new LogReceiver(dir.file("log"));
    for (const [name, facility] of SYSLOG_FACILITIES) {
      for (
        const written of [name, name.toUpperCase(), `LOG_${name}`, `log_${name.toUpperCase()}`]
      ) {
        const { log, close } = open(`syslog,${written}`, dir.file("log"));
        log("hello");
        close();
        const [line] = receiver.take();
        assertMatch(line, /^<\d+>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d imapd\[77\]: hello$/);
        assertEquals(line.slice(0, line.indexOf(">")), `<${facility * 8 + 6}`);
      }
    }
    assertEquals(SYSLOG_FACILITIES.size, 20);
  });
});

Deno.test("openBackend() takes the ident of a syslog target before the program's name", () => {
  using dir = new TempDir();
  using receiver = new LogReceiver(dir.file("log"));
  const { log, close } = open("syslog,mail,other-name", dir.file("log"));
  log("hello");
  close();
  assertStringIncludes(receiver.take()[0], " other-name[77]: hello");
});

Deno.test("openBackend() sends masterlog records byte for byte, over-long ones cut", () => {
  using dir = new TempDir();
  using receiver = new LogReceiver(dir.file("log"));
  const { log, close } = open(`masterlog,${dir.file("log")}`);
  log("häl,lo [a.ts:1]", "€".repeat(9_000));
  close();
  const [first, second] = receiver.take();
  assertEquals(first, "imapd,77,häl,lo [a.ts:1]");
  assertEquals(second, `imapd,77,${"€".repeat(Math.floor((RECORD_BYTES_MAX - 9) / 3))}`);
});

Deno.test("openBackend() opens its socket close-on-exec", () => {
  using dir = new TempDir();
  using _receiver = new LogReceiver(dir.file("log"));
  const before = openDescriptors();
  const { log, close } = open(`masterlog,${dir.file("log")}`);
  log("hello");
  const opened = [...openDescriptors().keys()].filter((fd) => !before.has(fd));
  assertEquals(opened.map((fd) => flagsOf(fd).closeOnExec), [true]);
  close();
});

for (const kind of ["masterlog", "syslog"]) {
  Deno.test(`openBackend() with ${kind} counts what nobody receives and says so once it works again`, async () => {
    await leavesNothingOpen(() => {
      using dir = new TempDir();
      const path = dir.file("log");
      const target = kind === "syslog" ? "syslog,mail" : `masterlog,${path}`;
      const { log, close, clock, told } = open(target, path);
      const texts = (lines: string[]) =>
        lines.map((line) => line.replace(/^.*77(,|\]: )(warning: )?/, ""));
      log("missing 1", "missing 2");
      {
        using receiver = new LogReceiver(path);
        clock.advance(1_000);
        log("there");
        assertEquals(texts(receiver.take()), ["2 log lines dropped", "there"]);
      }
      // The path is still there and answers with ECONNREFUSED, as after a crash.
      clock.advance(1_000);
      log("crashed 1", "crashed 2", "crashed 3");
      using receiver = new LogReceiver(path);
      clock.advance(1_000);
      log("back", "again");
      assertEquals(texts(receiver.take()), ["3 log lines dropped", "back", "again"]);
      assertEquals(close(), 0);
      assertEquals(told.length, 2);
      assertMatch(
        told[0],
        /^Cannot log to ".*": connect ".*": no such file or directory \(ENOENT\); /,
      );
      assertMatch(
        told[1],
        /connection refused \(ECONNREFUSED\); lines are dropped until it is back$/,
      );
    });
  });
}

Deno.test("openBackend() loses nothing when its service is replaced between two lines", () => {
  using dir = new TempDir();
  const { log, close, clock } = open(`masterlog,${dir.file("log")}`);
  {
    using first = new LogReceiver(dir.file("log"));
    log("one");
    assertEquals(first.take(), ["imapd,77,one"]);
  }
  using second = new LogReceiver(dir.file("log"));
  clock.advance(1_000);
  log("two", "three");
  close();
  assertEquals(second.take(), ["imapd,77,two", "imapd,77,three"]);
});

Deno.test("openBackend() keeps more lines than the kernel does, and sends them when it is read", async () => {
  await leavesNothingOpen(async () => {
    using dir = new TempDir();
    using receiver = new LogReceiver(dir.file("log"));
    const { log, close } = open(`masterlog,${dir.file("log")}`);
    const texts = Array.from({ length: 2_000 }, (_, index) => `imapd,77,${index}`);
    log(...texts.keys().map(String));
    assertEquals(await receiver.takeUntil((lines) => lines.length >= texts.length), texts);
    assertEquals(close(), 0);
  });
});

Deno.test("openBackend() never waits for a service that reads nothing, and owns up when it does", async () => {
  await leavesNothingOpen(async () => {
    using dir = new TempDir();
    using receiver = new LogReceiver(dir.file("log"));
    const { log, close } = open(`masterlog,${dir.file("log")}`);
    const count = 20_000;
    const start = performance.now();
    log(...Array.from({ length: count }, (_, index) => `${index} ${"x".repeat(90)}`));
    assert(performance.now() - start < 5_000);
    const got = await receiver.takeUntil((lines) => lines.at(-1)?.endsWith("dropped") === true);
    const kept = got.slice(0, -1);
    assertEquals(got.at(-1), `imapd,77,warning: ${count - kept.length} log lines dropped`);
    assertEquals(kept.map((line) => parseInt(line.split(",")[2])), [...kept.keys()]);
    assert(kept.length > 1_000 && kept.length < count, `${kept.length} kept`);
    log("and on");
    // The thread that has waited for room may still be about to end.
    assertEquals(await receiver.takeUntil((lines) => lines.length > 0), ["imapd,77,and on"]);
    assertEquals(close(), 0);
  });
});

Deno.test("openBackend() gives a full service up when it is closed, and tells how much was lost", async () => {
  await leavesNothingOpen(() => {
    using dir = new TempDir();
    using receiver = new LogReceiver(dir.file("log"));
    const { log, close } = open(`masterlog,${dir.file("log")}`);
    log(...Array.from({ length: 1_500 }, (_, index) => `${index}`));
    const start = performance.now();
    const lost = close();
    assert(performance.now() - start < 1_000);
    // The line that the thread was waiting with finds room now; none of those behind it does.
    const accounted = receiver.take().length + lost;
    assert(accounted === 1_500 || accounted === 1_501, `${accounted} lines`);
  });
});

Deno.test("openBackend() sends what fits in the time that its end has", async () => {
  await leavesNothingOpen(async () => {
    using dir = new TempDir();
    // Another process: this one blocks.
    await using reader = startFunction(import.meta, async (path) => {
      const { LogReceiver } = await import("./log_receiver.ts");
      using receiver = new LogReceiver(path);
      console.log("bound");
      const lines = await receiver.takeUntil((lines) => lines.at(-1)?.endsWith(",end") === true);
      console.log(lines.length);
    }, { arg: dir.file("log") });
    assertEquals(await reader.nextLine(), "bound");
    const { spool, encode } = openBackend(parseLogTarget(`masterlog,${dir.file("log")}`), SOURCE);
    const log = (text: string) =>
      spool.push(encode({ ...SOURCE, timeMs: Date.now(), level: "info", text }));
    for (let index = 0; index < 3_000; index++) log(`${index}`);
    log("end");
    assertEquals(spool.close(20_000), 0);
    assertEquals(await reader.nextLine(), "3001");
    await reader.succeeds();
  });
});
