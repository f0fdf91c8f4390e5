import { assert, assertEquals, assertMatch } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { LogFiles } from "../../src/log/log_files.ts";
import { closeFd } from "../../src/os/fd/descriptor.ts";
import { O_CLOEXEC } from "../../src/os/ffi/constants.ts";
import { cString, libc, unwrap } from "../../src/os/ffi/libc.ts";
import { FakeClock } from "../fakes/fake_clock.ts";
import { leavesNothingOpen } from "../support/descriptors.ts";
import { giveLinkAway } from "../support/privileges.ts";
import { TempDir } from "../support/temp.ts";
import { eventually, within } from "../support/wait.ts";

const IS_ROOT = Deno.uid() === 0;
const MEBIBYTE = 1_048_576;
/** What is kept while nothing can be written. */
const KEPT_BYTES = 16 * MEBIBYTE;

const encoder = new TextEncoder();

const F_SETSIG = 10, F_SETLEASE = 1_024, F_RDLCK = 0, F_UNLCK = 2;
/** A signal that is ignored by default. */
const SIGURG = 23;

/** A lease of a file: whoever opens it to write waits, as on a dead network file system (fcntl(2), F_SETLEASE). */
class Lease {
  readonly #fd: number;

  constructor(path: string) {
    const fd = this.#fd = unwrap(
      { syscall: "open", subject: path },
      () => libc().open(cString(path), O_CLOEXEC, 0),
    );
    for (const [command, argument] of [[F_SETSIG, SIGURG], [F_SETLEASE, F_RDLCK]]) {
      unwrap({ syscall: "fcntl", subject: fd }, () => libc().fcntl(fd, command, argument));
    }
  }

  end(): void {
    libc().fcntl(this.#fd, F_SETLEASE, F_UNLCK);
    closeFd(this.#fd);
  }
}

/** Files in a temporary directory, on a clock and a time of day that stand still. */
class Fixture implements AsyncDisposable {
  readonly dir = new TempDir();
  readonly clock = new FakeClock();
  readonly told: string[] = [];
  /** The time of day. */
  time = new Date(2026, 10, 23, 8, 59, 58).getTime();
  readonly files: LogFiles;

  constructor(prefix = "log.", period: "day" | "hour" = "day") {
    this.files = new LogFiles({
      prefix: this.dir.file(prefix),
      period,
      source: { ident: "log-service", pid: 1 },
      clock: this.clock,
      now: () => this.time,
      onError: (message) => this.told.push(message),
    });
  }

  append(...records: string[]): void {
    for (const record of records) assert(this.files.append(encoder.encode(record)), record);
  }

  /** The content of a file, once `wanted` says that it is all there. */
  async read(name: string, wanted: (text: string) => boolean): Promise<string> {
    let text = "";
    const arrived = () => {
      try {
        text = Deno.readTextFileSync(this.dir.file(name));
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
        return false;
      }
      return wanted(text);
    };
    try {
      await eventually(arrived, { what: `the lines of ${name}` });
    } catch (cause) {
      throw new Error(`${(cause as Error).message}: ${text.slice(0, 500)}`, { cause });
    }
    return text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.files.close();
    this.dir[Symbol.dispose]();
  }
}

function lineCount(text: string): number {
  return text.split("\n").length - 1;
}

const RECORDS: readonly (readonly [string, string])[] = [
  ["imapd,77,hello [x.c:1]", "08:59:58 imapd[77] hello [x.c:1]\n"],
  ["a,b,c,d,e", "08:59:58 a[b] c,d,e\n"],
  [",,", "08:59:58 [] \n"],
  ["a,1,", "08:59:58 a[1] \n"],
  ["a,1,ends at\0the nul", "08:59:58 a[1] ends at\n"],
  ["ä,1,ö\ttab", "08:59:58 ä[1] ö\ttab\n"],
];

const FORGED: readonly (readonly [string, string])[] = [
  ["a,1,two\n09:00:00 b[2] lines\n", "08:59:58 a[1] two\\n09:00:00 b[2] lines\n"],
  ["a\n09:00:00 b,1,x", "08:59:58 a\\n09:00:00 b[1] x\n"],
  ["a,1\n,x", "08:59:58 a[1\\n] x\n"],
  ["a,1,\r\x1b[2J\x08\x7f", "08:59:58 a[1] \\r\\x1b[2J\\x08\\x7f\n"],
  ["a,1,ends with a line break\n", "08:59:58 a[1] ends with a line break\n"],
  ["a,1,\n\n", "08:59:58 a[1] \\n\n"],
  ["a,1,\x9b2J\x85x", "08:59:58 a[1] \\xc2\\x9b2J\\xc2\\x85x\n"],
];

for (const [record, line] of RECORDS) {
  Deno.test(`LogFiles.append() makes the line that C makes of ${JSON.stringify(record)}`, async () => {
    await using fixture = new Fixture();
    fixture.append(record);
    await fixture.files.close();
    assertEquals(Deno.readTextFileSync(fixture.dir.file("log.20261123.log")), line);
  });
}

for (const [record, line] of FORGED) {
  Deno.test(`LogFiles.append() makes no more than one line of ${JSON.stringify(record)}`, async () => {
    await using fixture = new Fixture();
    fixture.append(record);
    await fixture.files.close();
    assertEquals(Deno.readTextFileSync(fixture.dir.file("log.20261123.log")), line);
  });
}

Deno.test("LogFiles keeps a record of nothing but control characters within a block", async () => {
  await using fixture = new Fixture();
  const text = "\x01".repeat(10_000);
  for (let i = 0; i < 100; i++) fixture.append(`a,1,${text}`);
  await fixture.files.close();
  const lines = Deno.readTextFileSync(fixture.dir.file("log.20261123.log")).split("\n");
  assertEquals(lines.length, 101);
  assert(lines.slice(0, -1).every((line) => line === `08:59:58 a[1] ${"\\x01".repeat(10_000)}`));
});

for (const record of ["", "no comma", "one,comma", "a\0,1,hidden", "a,\x001,hidden", "\0"]) {
  Deno.test(`LogFiles.append() passes over ${JSON.stringify(record)}, as C does`, async () => {
    await using fixture = new Fixture();
    assertEquals(fixture.files.append(encoder.encode(record)), false);
    await fixture.files.close();
    assertEquals([...Deno.readDirSync(fixture.dir.path)], []);
  });
}

Deno.test("LogFiles writes the bytes from 0xa0 on of a record that isn't UTF-8 unchanged", async () => {
  await using fixture = new Fixture();
  // Bytes of no encoding, of a word in GB 2312, and all of them.
  const high = Array.from({ length: 96 }, (_, index) => 0xa0 + index);
  const text = [0xff, 0xc3, 0x28, 0xd6, 0xd0, 0xce, 0xc4, ...high];
  fixture.files.append(new Uint8Array([0x61, 0x2c, 0x31, 0x2c, ...text]));
  await fixture.files.close();
  const bytes = Deno.readFileSync(fixture.dir.file("log.20261123.log"));
  assertEquals([...bytes.slice("08:59:58 a[1]".length)], [0x20, ...text, 0x0a]);
});

Deno.test("LogFiles writes about a second after the first line, and sets no timer without lines", async () => {
  await using fixture = new Fixture();
  assertEquals(fixture.clock.pending, 0);
  fixture.append("a,1,one", "a,1,two");
  assertEquals([fixture.clock.pending, fixture.clock.nextInMs], [1, 1_000]);
  fixture.clock.advance(999);
  assertEquals([...Deno.readDirSync(fixture.dir.path)], []);
  fixture.clock.advance(1);
  await fixture.read("log.20261123.log", (text) => lineCount(text) === 2);
  assertEquals(fixture.clock.pending, 0);
  fixture.append("a,1,three");
  assertEquals(fixture.clock.pending, 1);
});

Deno.test("LogFiles writes a full buffer without waiting for the timer", async () => {
  await using fixture = new Fixture();
  for (let i = 0; i < 6_000; i++) fixture.append(`a,1,${"x".repeat(90)}`);
  await fixture.read("log.20261123.log", (text) => lineCount(text) > 4_000);
});

Deno.test("LogFiles begins a new file with the day", async () => {
  await using fixture = new Fixture();
  fixture.time = new Date(2026, 11, 31, 23, 59, 59).getTime();
  fixture.append("a,1,old");
  fixture.time += 1_000;
  fixture.append("a,1,new");
  // The old day's lines don't wait for the timer.
  await fixture.read("log.20261231.log", (text) => text === "23:59:59 a[1] old\n");
  await fixture.files.close();
  assertEquals(Deno.readTextFileSync(fixture.dir.file("log.20270101.log")), "00:00:00 a[1] new\n");
});

Deno.test("LogFiles begins a new file with the hour", async () => {
  await using fixture = new Fixture("hourly-", "hour");
  fixture.append("a,1,one");
  fixture.time += 2_000;
  fixture.append("a,1,two");
  fixture.time += 3_600_000;
  fixture.append("a,1,three");
  await fixture.files.close();
  const read = (hour: string) =>
    Deno.readTextFileSync(fixture.dir.file(`hourly-20261123${hour}.log`));
  assertEquals(read("08"), "08:59:58 a[1] one\n");
  assertEquals(read("09"), "09:00:00 a[1] two\n");
  assertEquals(read("10"), "10:00:00 a[1] three\n");
});

Deno.test("LogFiles in day mode keeps one file over the hours", async () => {
  await using fixture = new Fixture();
  fixture.append("a,1,one");
  fixture.time += 3_600_000;
  fixture.append("a,1,two");
  await fixture.files.close();
  assertEquals([...Deno.readDirSync(fixture.dir.path)].length, 1);
});

Deno.test("LogFiles appends to what another program writes into the same file", async () => {
  await using fixture = new Fixture();
  const path = fixture.dir.file("log.20261123.log");
  Deno.writeTextFileSync(path, "from C 1\n");
  fixture.append("a,1,one");
  fixture.clock.advance(1_000);
  await fixture.read("log.20261123.log", (text) => lineCount(text) === 2);
  Deno.writeTextFileSync(path, "from C 2\n", { append: true });
  fixture.append("a,1,two");
  await fixture.files.close();
  assertEquals(
    Deno.readTextFileSync(path),
    "from C 1\n08:59:58 a[1] one\nfrom C 2\n08:59:58 a[1] two\n",
  );
});

Deno.test("LogFiles makes a new file when its file was rotated away or removed", async () => {
  await using fixture = new Fixture();
  const path = fixture.dir.file("log.20261123.log");
  fixture.append("a,1,one");
  fixture.clock.advance(1_000);
  await fixture.read("log.20261123.log", (text) => lineCount(text) === 1);
  Deno.renameSync(path, fixture.dir.file("rotated"));
  fixture.append("a,1,two");
  fixture.clock.advance(1_000);
  await fixture.read("log.20261123.log", (text) => text === "08:59:58 a[1] two\n");
  Deno.removeSync(path);
  fixture.append("a,1,three");
  await fixture.files.close();
  assertEquals(Deno.readTextFileSync(path), "08:59:58 a[1] three\n");
  assertEquals(Deno.readTextFileSync(fixture.dir.file("rotated")), "08:59:58 a[1] one\n");
});

Deno.test("LogFiles keeps the lines of a full disk and writes them when there is room", async () => {
  await using fixture = new Fixture();
  const path = fixture.dir.file("log.20261123.log");
  Deno.symlinkSync("/dev/full", path);
  fixture.append("a,1,one");
  fixture.clock.advance(1_000);
  await eventually(() => fixture.told.length > 0, { what: "the complaint" });
  assertMatch(fixture.told[0], /^Cannot write log file ".*log\.20261123\.log": .*[Nn]o space/);
  fixture.append("a,1,two");
  await eventually(() => fixture.clock.pending === 1, { what: "the timer of the next attempt" });
  fixture.clock.advance(1_000);
  await eventually(() => fixture.clock.pending === 1, { what: "the timer of the next attempt" });
  Deno.removeSync(path);
  fixture.clock.advance(1_000);
  await fixture.read("log.20261123.log", (text) => lineCount(text) === 2);
  assertEquals(fixture.told.length, 1);
});

Deno.test("LogFiles drops what it can't keep, and says so in the file once it works again", async () => {
  await using fixture = new Fixture();
  const path = fixture.dir.file("log.20261123.log");
  Deno.symlinkSync("/dev/full", path);
  const count = 2_000, reported = 70;
  for (let i = 0; i < count; i++) fixture.append(`a,1,${i} ${"x".repeat(10_000)}`);
  // A report that is dropped itself stands for all of its lines.
  fixture.append(`a,1,${reported} log lines dropped`);
  fixture.clock.advance(1_000);
  await eventually(() => fixture.told.length > 0, { what: "the complaint" });
  Deno.removeSync(path);
  // One that was under way in this moment may have failed, and the next one waits for its time.
  await eventually(() => {
    fixture.clock.advance(1_000);
    return existsSync(path);
  }, { what: "the next attempt" });
  const text = await fixture.read("log.20261123.log", (text) => text.endsWith("dropped\n"));
  const lines = text.trimEnd().split("\n");
  const [, dropped] = /^08:59:58 log-service\[1\] (\d+) log lines dropped$/.exec(lines.pop()!)!;
  assertEquals(lines.length + Number(dropped), count + reported);
  assert(text.length <= KEPT_BYTES && text.length > KEPT_BYTES * 0.9, `${text.length} bytes`);
  assertEquals(
    lines.map((line) => parseInt(line.slice("08:59:58 a[1] ".length))),
    [...lines.keys()],
  );
  fixture.append("a,1,and on");
  await fixture.files.close();
  assert(Deno.readTextFileSync(path).endsWith("dropped\n08:59:58 a[1] and on\n"));
});

Deno.test("LogFiles goes on trying when its directory is removed, and never makes it", async () => {
  await using fixture = new Fixture("logs/");
  fixture.append("a,1,one");
  fixture.clock.advance(1_000);
  await eventually(() => fixture.told.length > 0, { what: "the complaint" });
  assertMatch(fixture.told[0], /^Cannot write log file ".*\/logs\/20261123\.log": No such file/);
  assertEquals([...Deno.readDirSync(fixture.dir.path)], []);
  Deno.mkdirSync(fixture.dir.file("logs"));
  await eventually(() => fixture.clock.pending === 1, { what: "the timer of the next attempt" });
  fixture.clock.advance(1_000);
  await fixture.read("logs/20261123.log", (text) => text === "08:59:58 a[1] one\n");
});

Deno.test("LogFiles gives up a day whose file can't be written when the next day's can", async () => {
  await using fixture = new Fixture();
  Deno.mkdirSync(fixture.dir.file("log.20261123.log"));
  fixture.append("a,1,one", "a,1,5 log lines dropped");
  fixture.clock.advance(1_000);
  await eventually(() => fixture.told.length > 0, { what: "the complaint" });
  await eventually(() => fixture.clock.pending === 1, { what: "the timer of the next attempt" });
  fixture.time += 86_400_000;
  fixture.append("a,1,three");
  fixture.clock.advance(1_000);
  const text = await fixture.read("log.20261124.log", (text) => lineCount(text) === 2);
  assertEquals(text, "08:59:58 a[1] three\n08:59:58 log-service[1] 6 log lines dropped\n");
});

Deno.test("LogFiles writes to no file that a link of another user leads to, and goes on without it", async () => {
  await using fixture = new Fixture();
  const victim = fixture.dir.write("victim", "precious\n");
  const path = fixture.dir.file("log.20261123.log");
  // A directory that others may write to, as that of a server's own user.
  Deno.chmodSync(fixture.dir.path, 0o777);
  Deno.symlinkSync(victim, path);
  if (IS_ROOT) giveLinkAway(path);
  fixture.append("a,1,one");
  fixture.clock.advance(1_000);
  if (!IS_ROOT) {
    // Links of other users can't be made here, and one's own are followed.
    await fixture.read("victim", (text) => text === "precious\n08:59:58 a[1] one\n");
    return;
  }
  await eventually(() => fixture.told.length > 0, { what: "the complaint" });
  assertMatch(fixture.told[0], /^Cannot write log file ".*\.log": .* is a link of user \d+, which/);
  await eventually(() => fixture.clock.pending === 1, { what: "the timer of the next attempt" });
  Deno.removeSync(path);
  fixture.clock.advance(1_000);
  await fixture.read("log.20261123.log", (text) => text === "08:59:58 a[1] one\n");
  assertEquals(Deno.readTextFileSync(victim), "precious\n");
});

for (const reader of ["without", "with"] as const) {
  for (
    const [whose, mode] of [["that others may write to", 0o777], ["of its own", 0o700]] as const
  ) {
    Deno.test(`LogFiles writes to no pipe ${reader} a reader in the place of its file, in a directory ${whose}`, async () => {
      await using fixture = new Fixture();
      const path = fixture.dir.file("log.20261123.log");
      Deno.chmodSync(fixture.dir.path, mode);
      assert((await new Deno.Command("mkfifo", { args: [path] }).output()).success);
      // For writing as well, so that the call does not wait.
      const held = reader === "with" ? Deno.openSync(path, { read: true, write: true }) : undefined;
      using _reader = held;
      fixture.append("a,1,one");
      fixture.clock.advance(1_000);
      await eventually(() => fixture.told.length > 0, { what: "the complaint" });
      const why = mode === 0o700
        ? /it is a named pipe/
        : reader === "with"
        ? /no regular file/
        : /no reader \(ENXIO\)/;
      assertMatch(fixture.told[0], /^Cannot write log file ".*": /);
      assertMatch(fixture.told[0], why);
      await eventually(() => fixture.clock.pending === 1, {
        what: "the timer of the next attempt",
      });
      Deno.removeSync(path);
      fixture.clock.advance(1_000);
      await fixture.read("log.20261123.log", (text) => text === "08:59:58 a[1] one\n");
    });
  }
}

Deno.test("LogFiles.close() tells how many lines could not be written", async () => {
  await using fixture = new Fixture("nowhere/");
  fixture.append("a,1,one", "a,1,two", "a,1,three");
  await fixture.files.close();
  assertEquals(fixture.told.length, 2);
  assertEquals(fixture.told[1], "3 log lines dropped");
});

Deno.test("LogFiles.append() goes on while a disk hangs, and close() waits for it 5 s at most", async () => {
  await leavesNothingOpen(async () => {
    await using fixture = new Fixture();
    const path = fixture.dir.file("log.20261123.log");
    Deno.writeTextFileSync(path, "");
    const lease = new Lease(path);
    try {
      fixture.append("a,1,one");
      fixture.clock.advance(1_000);
      for (let i = 0; i < 1_000; i++) fixture.append(`a,1,${i}`);
      let isClosed = false;
      const closed = fixture.files.close().then(() => isClosed = true);
      await new Promise((resolve) => setTimeout(resolve, 0));
      assertEquals(isClosed, false);
      fixture.clock.advance(5_000);
      await within(closed, { what: "the end of the wait" });
      assertEquals(fixture.told, ["1001 log lines dropped"]);
    } finally {
      lease.end();
    }
    // The thread that hangs can go.
    const text = await fixture.read("log.20261123.log", (text) => lineCount(text) === 1_001);
    assert(text.startsWith("08:59:58 a[1] one\n08:59:58 a[1] 0\n"));
  });
});
