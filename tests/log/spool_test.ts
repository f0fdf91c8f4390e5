import { assert, assertEquals } from "@std/assert";
import { type Outlet, Spool, type SpoolOptions } from "../../src/log/spool.ts";
import { FakeClock } from "../fakes/fake_clock.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A receiver whose moods a test sets. Nobody tells when it has room again. */
class FakeReceiver {
  readonly lines: string[] = [];
  readonly clock = new FakeClock();
  readonly told: unknown[] = [];
  attempts = 0;
  closed = 0;
  present = true;
  /** Whether somebody else is there by the time that it is looked for. */
  hasSuccessor = false;
  /** So many bytes are taken at a time. */
  appetite = Infinity;
  /** So many bytes are taken before it is full. */
  room = Infinity;
  #line = "";

  spool(limitBytes?: SpoolOptions["limitBytes"]): Spool {
    return new Spool({
      connect: () => this.#connect(),
      notice: (dropped) => encoder.encode(`-${dropped}`),
      onGone: (error) => this.told.push(error),
      clock: this.clock,
      limitBytes,
    });
  }

  #connect(): Outlet {
    this.attempts++;
    this.present ||= this.hasSuccessor;
    if (!this.present) throw new Error("nobody there");
    return {
      send: (data) => this.#send(data),
      waitForRoom: () => ({ isSending: false, end: () => ({ sent: 0, isOver: true }) }),
      blockForRoom: () => false,
      close: () => this.closed++,
    };
  }

  #send(data: Uint8Array<ArrayBuffer>): number | undefined {
    if (!this.present) throw new Error("gone");
    const taken = Math.min(data.length, this.appetite, this.room);
    if (taken === 0) return undefined;
    this.room -= taken;
    this.#line += decoder.decode(data.subarray(0, taken));
    if (taken === data.length) {
      this.lines.push(this.#line);
      this.#line = "";
    }
    return taken;
  }
}

function push(spool: Spool, ...lines: string[]): void {
  for (const line of lines) spool.push(encoder.encode(line));
}

Deno.test("Spool opens nothing before the first line, and sends each at once", () => {
  const to = new FakeReceiver();
  const spool = to.spool();
  assertEquals(to.attempts, 0);
  push(spool, "a", "b");
  assertEquals(to.lines, ["a", "b"]);
  assertEquals(to.attempts, 1);
});

Deno.test("Spool goes on with the rest of a line that was taken in part", () => {
  const to = new FakeReceiver();
  to.appetite = 3;
  push(to.spool(), "abcdefgh", "ij");
  assertEquals(to.lines, ["abcdefgh", "ij"]);
});

Deno.test("Spool keeps lines for a full receiver and their order", () => {
  const to = new FakeReceiver();
  const spool = to.spool();
  to.room = 4;
  push(spool, "one", "two", "three");
  assertEquals(to.lines, ["one"]);
  to.room = Infinity;
  push(spool, "four");
  assertEquals(to.lines, ["one", "two", "three", "four"]);
});

Deno.test("Spool drops what is beyond its limit and says so once, where the lines are missing", () => {
  const to = new FakeReceiver();
  const spool = to.spool(1_000);
  to.room = 0;
  push(spool, ...Array.from({ length: 30 }, (_, index) => `line ${index}`));
  to.room = Infinity;
  push(spool, "after", "later");
  const kept = to.lines.length - 3;
  assert(kept > 3 && kept < 10, `${kept} lines kept`);
  assertEquals(to.lines.slice(kept), [`-${30 - kept}`, "after", "later"]);
});

Deno.test("Spool that overflowed takes lines again when half of it is free, not at each gap", () => {
  const to = new FakeReceiver();
  const spool = to.spool(2_000);
  to.room = 0;
  push(spool, ...Array.from({ length: 30 }, () => "full"));
  for (let index = 0; index < 100; index++) {
    to.room = 4;
    push(spool, "slow");
  }
  to.room = Infinity;
  push(spool, "end");
  const notices = to.lines.filter((line) => line.startsWith("-"));
  const taken = to.lines.filter((line) => !line.startsWith("-"));
  const dropped = notices.reduce((sum, notice) => sum - Number(notice), 0);
  assertEquals(taken.length + dropped, 131);
  assert(notices.length < taken.length / 5, `${notices.length} notices, ${taken.length} lines`);
});

Deno.test("Spool drops a line that is longer than its limit", () => {
  const to = new FakeReceiver();
  const spool = to.spool(500);
  push(spool, "x".repeat(600), "next");
  assertEquals(to.lines, ["-1", "next"]);
});

Deno.test("Spool looks for a receiver that is gone at most once a second, and only for a line", () => {
  const to = new FakeReceiver();
  const spool = to.spool();
  to.present = false;
  push(spool, "a", "b");
  to.clock.advance(999);
  push(spool, "c");
  assertEquals([to.attempts, to.clock.pending], [1, 0]);
  to.clock.advance(1);
  push(spool, "d");
  assertEquals(to.attempts, 2);
  to.present = true;
  push(spool, "e");
  to.clock.advance(10_000);
  assertEquals([to.attempts, to.lines], [2, []]);
  push(spool, "f");
  assertEquals(to.lines, ["-5", "f"]);
  assertEquals(to.told.length, 1);
});

Deno.test("Spool sends the line again to the next receiver at the path of one that went away", () => {
  const to = new FakeReceiver();
  const spool = to.spool();
  push(spool, "a");
  to.clock.advance(1_000);
  to.present = false;
  to.hasSuccessor = true;
  push(spool, "b", "c");
  assertEquals(to.lines, ["a", "b", "c"]);
  assertEquals([to.attempts, to.closed, to.told.length], [2, 1, 0]);
});

Deno.test("Spool tells of each time that the receiver is gone, once", () => {
  const to = new FakeReceiver();
  const spool = to.spool();
  for (let outage = 1; outage <= 2; outage++) {
    to.present = false;
    push(spool, "lost");
    to.clock.advance(1_000);
    push(spool, "lost");
    to.present = true;
    to.clock.advance(1_000);
    push(spool, "back");
    assertEquals(to.told.length, outage);
  }
  assertEquals(to.lines, ["-2", "back", "-2", "back"]);
});

Deno.test("Spool counts a notice that is lost itself with the lines that it stood for", () => {
  const to = new FakeReceiver();
  const spool = to.spool();
  to.present = false;
  push(spool, "a", "b", "c");
  to.clock.advance(1_000);
  push(spool, "d");
  to.clock.advance(1_000);
  to.present = true;
  push(spool, "e");
  assertEquals(to.lines, ["-4", "e"]);
});

Deno.test("Spool.close() makes a last attempt and returns how many lines were lost in silence", () => {
  const to = new FakeReceiver();
  const spool = to.spool();
  to.present = false;
  push(spool, "a", "b");
  assertEquals(spool.close(0), 2);

  const other = to.spool();
  push(other, "c");
  to.present = true;
  assertEquals(other.close(0), 0);
  assertEquals([to.lines, to.closed], [["-1"], 1]);
});

Deno.test("Spool.idle() settles when the last line was taken, dropped, or the time is over", async () => {
  const to = new FakeReceiver();
  const spool = to.spool();
  await spool.idle(1_000);
  to.room = 0;
  push(spool, "a");
  const taken = spool.idle(1_000);
  assertEquals(to.clock.pending, 1);
  to.room = Infinity;
  push(spool, "b");
  await taken;
  assertEquals(to.clock.pending, 0);
  to.room = 0;
  push(spool, "c");
  const late = spool.idle(1_000);
  to.clock.advance(1_000);
  await late;
  const dropped = spool.idle(1_000);
  to.present = false;
  to.room = 1;
  push(spool, "d");
  await dropped;
});

Deno.test("Spool.pushJoined() sends together what a pipe takes as a whole, and no line in two parts", () => {
  const receiver = new FakeReceiver();
  const texts = Array.from({ length: 500 }, (_, index) => `${index} ${"x".repeat(index)}\n`);
  receiver.spool().pushJoined(texts.map((text) => encoder.encode(text)));
  assertEquals(receiver.lines.join(""), texts.join(""));
  assert(receiver.lines.length > 20, `${receiver.lines.length} parts`);
  for (const part of receiver.lines) {
    assert(part.length <= 4096 && part.endsWith("\n"), `${part.length} bytes`);
  }
});
