import { assert, assertEquals, assertMatch } from "@std/assert";
import { textRecord } from "../../../src/log/formats.ts";
import { OutputFile } from "../../../src/master/outputs/output_file.ts";
import type { OutputFileConfig } from "../../../src/config/output.ts";
import { FakeClock } from "../../fakes/fake_clock.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { startFunction } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";

const FOREVER = { keep: 100, totalBytes: Infinity };

/** A file in a directory of its own. */
class Fixture implements Disposable {
  readonly dir = new TempDir();
  readonly told: string[] = [];
  isOnDuty = true;
  readonly path = this.dir.file("web.log");
  /** Noon, long after the real files are made. */
  time = new Date(2030, 0, 31, 12).getTime();

  open(config: Partial<OutputFileConfig> = {}): OutputFile {
    return new OutputFile({
      ...{ path: this.path, ...FOREVER, ...config },
      clock: new FakeClock(),
      now: () => this.time,
      encode: textRecord,
      mayRotate: () => this.isOnDuty,
      onError: (message) => this.told.push(message),
    });
  }

  /** Writes lines, each in a write of its own. */
  async write(config: Partial<OutputFileConfig>, ...texts: string[]): Promise<void> {
    for (const text of texts) {
      const file = this.open(config);
      file.append({ timeMs: this.time, level: "info", ident: "web", pid: 7, text });
      await file.close();
      Deno.utimeSync(this.path, new Date(this.time), new Date(this.time));
    }
  }

  /** The texts of each file, by its name. */
  get content(): Record<string, string[]> {
    const names = Array.from(Deno.readDirSync(this.dir.path), ({ name }) => name).sort();
    return Object.fromEntries(names.map((name) => [
      name,
      Array.from(
        Deno.readTextFileSync(this.dir.file(name)).matchAll(/web\[7\] (.*)/g),
        ([, text]) => text,
      ),
    ]));
  }

  [Symbol.dispose](): void {
    this.dir[Symbol.dispose]();
  }
}

Deno.test("OutputFile appends records, and nobody else may read the file", async () => {
  using fixture = new Fixture();
  await leavesNothingOpen(() => fixture.write({}, "one", "two"));
  const text = Deno.readTextFileSync(fixture.path);
  assertMatch(text, /^2030-01-31T12:00:00\.000\S+ info web\[7\] one\n2030-.* web\[7\] two\n$/);
  assertEquals(Deno.statSync(fixture.path).mode! & 0o137, 0);
  assertEquals(fixture.told, []);
});

/** Appends numbered lines as a process of its own, each in a write of its own, and renames the file after each two. */
async function appendAlone({ path, name }: { path: string; name: string }): Promise<void> {
  const { OutputFile } = await import("../../../src/master/outputs/output_file.ts");
  const { textRecord } = await import("../../../src/log/formats.ts");
  const { systemClock } = await import("../../../src/os/clock/clock.ts");
  const now = () => new Date(2030, 0, 31, 12).getTime();
  for (let number = 1; number <= 100; number++) {
    const file = new OutputFile({
      ...{ path, keep: 1_000, totalBytes: Infinity, maxBytes: 100, clock: systemClock, now },
      encode: textRecord,
      mayRotate: () => true,
      onError: (message) => console.error(message),
    });
    file.append({ timeMs: now(), level: "info", ident: "web", pid: 7, text: `${name} ${number}` });
    await file.close();
  }
}

Deno.test("OutputFile loses no line where the masters of an upgrade rename the file in the same second", async () => {
  using fixture = new Fixture();
  const { path } = fixture, names = ["old", "new"];
  await Promise.all(names.map(async (name) => {
    await using process = startFunction(import.meta, appendAlone, { arg: { path, name } });
    await process.succeeds();
    assertEquals(process.stderr, "");
  }));
  const found = Object.values(fixture.content).flat().sort();
  const all = names.flatMap((name) => Array.from({ length: 100 }, (_, i) => `${name} ${i + 1}`));
  assertEquals(found, all.sort());
});

Deno.test("OutputFile renames a file that would be too large, and keeps some of them", async () => {
  using fixture = new Fixture();
  for (const text of ["1", "2", "3", "4", "5"]) {
    await fixture.write({ maxBytes: 100, keep: 2 }, `${text} ${"x".repeat(60)}`);
    fixture.time += 1_000;
  }
  const { content } = fixture;
  assertEquals(Object.keys(content), [
    "web.log",
    "web.log.20300131-120003",
    "web.log.20300131-120004",
  ]);
  assertEquals(Object.values(content).map(([text]) => text[0]), ["5", "3", "4"]);
});

Deno.test("OutputFile gives two files of one second different names, in order", async () => {
  using fixture = new Fixture();
  const texts = Array.from({ length: 14 }, (_, number) => `${number} ${"x".repeat(60)}`);
  await fixture.write({ maxBytes: 100, keep: 3 }, ...texts);
  const kept = Object.values(fixture.content).map(([text]) => Number(text.split(" ")[0]));
  assertEquals(kept.sort((a, b) => a - b), [10, 11, 12, 13]);
});

for (const [period, later] of [["day", 86_400_000], ["hour", 3_600_000]] as const) {
  Deno.test(`OutputFile renames the file of another ${period} at the first line of this one`, async () => {
    using fixture = new Fixture();
    await fixture.write({ period }, "before", "still before");
    fixture.time += later;
    await fixture.write({ period }, "after");
    assertEquals(Object.values(fixture.content), [["after"], ["before", "still before"]]);
  });
}

Deno.test("OutputFile removes the oldest renamed files beyond the total size", async () => {
  using fixture = new Fixture();
  const line = "x".repeat(1_000);
  for (let count = 0; count < 6; count++) {
    await fixture.write({ maxBytes: 10, totalBytes: 3_500 }, line);
    fixture.time += 1_000;
  }
  assertEquals(Object.keys(fixture.content).length, 1 + 3);
});

Deno.test("OutputFile removes no file with another name", async () => {
  using fixture = new Fixture();
  const others = [
    "web.log.gz",
    "web.log.20300101",
    "web.log.20300101-000000.gz",
    "web2.log.20300101-000000",
  ];
  for (const name of others) Deno.writeTextFileSync(fixture.dir.file(name), "web[7] kept");
  await fixture.write({ maxBytes: 10, keep: 0 }, "one", "two");
  assertEquals(Object.keys(fixture.content), ["web.log", ...others].sort());
});

// Sticky or not: another user could make files that look like renamed ones.
for (const mode of [0o777, 0o1777]) {
  Deno.test(`OutputFile renames nothing in a directory of the mode ${mode.toString(8)}, in which other users may write, and says so once`, async () => {
    using fixture = new Fixture();
    const file = fixture.open({ maxBytes: 10 });
    Deno.chmodSync(fixture.dir.path, mode);
    for (const text of ["one", "two", "three"]) {
      file.append({ timeMs: 0, level: "info", ident: "web", pid: 7, text });
      await file.close();
    }
    assertEquals(fixture.content, { "web.log": ["one", "two", "three"] });
    assertEquals(fixture.told.length, 1);
    assertMatch(
      fixture.told[0],
      /^Cannot rename ".*web\.log": .* it grows on until it can be renamed$/,
    );
  });
}

Deno.test("OutputFile goes on in a new file when the old one was renamed by another program", async () => {
  using fixture = new Fixture();
  const file = fixture.open();
  file.append({ timeMs: 0, level: "info", ident: "web", pid: 7, text: "one" });
  await file.close();
  Deno.renameSync(fixture.path, `${fixture.path}.1`);
  file.append({ timeMs: 0, level: "info", ident: "web", pid: 7, text: "two" });
  await file.close();
  assertEquals(fixture.content, { "web.log": ["two"], "web.log.1": ["one"] });
});

Deno.test("OutputFile reports a directory that is missing, and the lines that are lost", async () => {
  using fixture = new Fixture();
  const file = fixture.open({ path: fixture.dir.file("none/web.log") });
  file.append({ timeMs: 0, level: "info", ident: "web", pid: 7, text: "lost" });
  await file.close();
  assertEquals(fixture.told.length, 2);
  assertMatch(fixture.told[0], /^Cannot write log file ".*none\/web\.log"/);
  assert(fixture.told[1].endsWith("1 log line dropped"));
});

Deno.test("OutputFile keeps each file within its size, however much is written at once", async () => {
  using fixture = new Fixture();
  const file = fixture.open({ maxBytes: 5_000 });
  const texts = Array.from({ length: 500 }, (_, number) => `${number}`);
  for (const text of texts) file.append({ timeMs: 0, level: "info", ident: "web", pid: 7, text });
  await file.close();
  const names = Object.keys(fixture.content);
  for (const name of names) assert(Deno.statSync(fixture.dir.file(name)).size <= 5_000, name);
  assert(names.length > 4);
  assertEquals(Object.values(fixture.content).flat().sort(), texts.sort());
});

Deno.test("OutputFile writes a record that is larger than its buffer", async () => {
  using fixture = new Fixture();
  const text = "x".repeat(400_000);
  await fixture.write({}, "before", text, "after");
  assertEquals(fixture.content, { "web.log": ["before", text, "after"] });
});

Deno.test("two OutputFiles of one path lose nothing when both rename it", async () => {
  using fixture = new Fixture();
  const files = [10, 20].map((keep) => fixture.open({ maxBytes: 2_000, keep: keep * 1_000 }));
  const texts = Array.from({ length: 1_000 }, (_, number) => `${number}`);
  for (const [index, text] of texts.entries()) {
    files[index % 2].append({ timeMs: 0, level: "info", ident: "web", pid: 7, text });
    if (index % 100 === 99) await Promise.all(files.map((file) => file.close()));
  }
  assertEquals(Object.values(fixture.content).flat().sort(), texts.sort());
});

Deno.test("OutputFile renames nothing while another master has the duty", async () => {
  using fixture = new Fixture();
  fixture.isOnDuty = false;
  await fixture.write({ maxBytes: 10 }, "one", "two");
  assertEquals(fixture.content, { "web.log": ["one", "two"] });
  fixture.isOnDuty = true;
  await fixture.write({ maxBytes: 10 }, "three");
  assertEquals(fixture.content["web.log"], ["three"]);
});
