import { assertEquals } from "@std/assert";
import { FakeClock } from "../../fakes/fake_clock.ts";
import { Usage } from "../../../src/server/lifecycle/usage.ts";

const client = (port: number): Deno.Addr => ({ transport: "tcp", hostname: "::1", port });

/** Counts how often a limit was reached. */
function limited(connections: number, before = 0): { usage: Usage; told: () => number } {
  const usage = new Usage();
  for (let count = 0; count < before; count++) usage.accepted();
  let spent = 0;
  usage.limit({ connections }, { onSpent: () => spent++, onUsed() {}, underWay: () => 0 });
  return { usage, told: () => spent };
}

Deno.test("Usage tells once that as many connections were accepted as may be", () => {
  const { usage, told } = limited(3);
  usage.accepted();
  usage.accepted();
  assertEquals(told(), 0);
  for (let count = 0; count < 5; count++) usage.accepted();
  assertEquals(told(), 1);
});

Deno.test("Usage counts what was accepted before the limit was set", () => {
  assertEquals(limited(3, 2).told(), 0);
  assertEquals(limited(3, 3).told(), 1);
});

Deno.test("Usage takes the requests from one place for one connection", () => {
  const { usage, told } = limited(2);
  for (let count = 0; count < 5; count++) usage.requested(client(1));
  assertEquals(told(), 0);
  usage.requested(client(2));
  assertEquals(told(), 1);
});

Deno.test("Usage takes each request on a unix socket for a connection", () => {
  const { usage, told } = limited(2);
  for (let count = 0; count < 2; count++) {
    usage.requested({ transport: "unix", path: "/run/s" });
  }
  assertEquals(told(), 1);
});

Deno.test("Usage asks for no requests while there is no limit", () => {
  const { usage } = limited(1);
  assertEquals([new Usage().wantsRequests, usage.wantsRequests], [false, true]);
  usage.accepted();
  assertEquals(usage.wantsRequests, false);
});

Deno.test("Usage reports once that the process is used, or was before it serves", () => {
  for (const before of [true, false]) {
    const usage = new Usage(new FakeClock());
    let told = 0;
    if (before) usage.accepted();
    usage.start(() => told++);
    assertEquals(told, before ? 1 : 0);
    usage.used();
    usage.accepted();
    assertEquals(told, 1);
  }
});

const IDLE_MS = 60_000;

/** A usage with an idle limit. */
class Watched {
  readonly clock = new FakeClock();
  readonly usage = new Usage(this.clock, () => {
    this.looks++;
    if (this.isBlind) return undefined;
    return { at: () => Array.from({ length: this.found }, () => ({ fd: 0, peer: "" })) };
  });
  /** The number of scans for connections whose close is not reported. */
  looks = 0;
  /** How many of these are open at each address. */
  found = 0;
  /** Whether no descriptor is free for a scan. */
  isBlind = false;
  readonly told: boolean[] = [];
  /** How many connections are open. */
  open = 0;

  limit(): void {
    this.usage.limit({ idleMs: IDLE_MS }, {
      underWay: () => this.open,
      onSpent() {},
      onUsed: (used) => this.told.push(used),
    });
  }

  /** A usage that serves. */
  static serving(): Watched {
    const it = new Watched();
    it.limit();
    it.usage.start();
    return it;
  }

  connect(): void {
    this.open++;
    this.usage.accepted();
  }

  disconnect(): void {
    if (--this.open === 0) this.usage.unused();
  }
}

Deno.test("Usage reports once that a process is idle that was never used since it serves", () => {
  for (const order of ["limits first", "start first"]) {
    const it = new Watched();
    if (order === "limits first") it.limit();
    it.clock.advance(10 * IDLE_MS);
    assertEquals(it.told, [], "it does not serve yet");
    it.usage.start();
    if (order === "start first") it.limit();
    it.clock.advance(IDLE_MS - 1);
    assertEquals(it.told, []);
    it.clock.advance(1);
    assertEquals(it.told, [false]);
    it.clock.advance(10 * IDLE_MS);
    assertEquals(it.told, [false]);
    assertEquals(it.clock.pending, 0);
  }
});

Deno.test("Usage says that a process is in use with its first connection, and no more for others", () => {
  const it = Watched.serving();
  for (let count = 0; count < 10; count++) {
    it.connect();
    it.disconnect();
  }
  assertEquals(it.told, [true]);
  it.clock.advance(IDLE_MS);
  assertEquals(it.told, [true, false]);
  it.connect();
  assertEquals(it.told, [true, false, true]);
});

Deno.test("Usage counts the time from the end of the last connection", () => {
  const it = Watched.serving();
  it.connect();
  // However long it is open.
  it.clock.advance(10 * IDLE_MS + 1_000);
  assertEquals(it.told, [true]);
  it.disconnect();
  it.clock.advance(IDLE_MS - 1);
  assertEquals(it.told, [true]);
  it.clock.advance(1);
  assertEquals(it.told, [true, false]);
});

Deno.test("Usage finds a connection that was closed without a word", () => {
  const it = Watched.serving();
  it.connect();
  it.clock.advance(IDLE_MS / 2);
  it.open = 0;
  it.clock.advance(2 * IDLE_MS);
  assertEquals(it.told, [true, false]);
});

Deno.test("Usage counts connections whose close is reported to it", () => {
  const it = Watched.serving();
  const ends = [it.usage.accepted({ tellsEnd: true }), it.usage.accepted({ tellsEnd: true })];
  it.clock.advance(10 * IDLE_MS);
  ends[0]();
  it.clock.advance(10 * IDLE_MS + 1_000);
  assertEquals(it.told, [true]);
  ends[1]();
  it.clock.advance(IDLE_MS - 1);
  assertEquals(it.told, [true]);
  it.clock.advance(1);
  assertEquals(it.told, [true, false]);
});

Deno.test("Usage scans for connections whose close is not reported, and counts the idle time from the last one", () => {
  const it = Watched.serving();
  // One look does for both.
  for (const port of [1, 2]) it.usage.count({ kind: "inet", hostname: "::1", port });
  it.found = 1;
  it.usage.requested(client(1));
  it.clock.advance(10 * IDLE_MS + 1_000);
  assertEquals(it.told, [true]);
  assertEquals(it.looks, 10);
  // It may have been closed at any time since the last look.
  it.found = 0;
  it.clock.advance(IDLE_MS - 1_000);
  it.clock.advance(IDLE_MS - 1);
  assertEquals(it.told, [true]);
  it.clock.advance(1);
  assertEquals(it.told, [true, false]);
  it.looks = 0;
  it.clock.advance(10 * IDLE_MS);
  assertEquals(it.looks, 0);
});

Deno.test("Usage scans again after the idle time when no descriptor was free for a scan", () => {
  const it = Watched.serving();
  it.usage.count({ kind: "inet", hostname: "::1", port: 1 });
  it.isBlind = true;
  it.clock.advance(IDLE_MS);
  assertEquals(it.looks, 1);
  it.isBlind = false;
  it.clock.advance(IDLE_MS - 1);
  assertEquals(it.told, []);
  it.clock.advance(1);
  assertEquals(it.told, [false]);
});

Deno.test("Usage says nothing any more when it was stopped", () => {
  const it = Watched.serving();
  it.usage.stop();
  it.clock.advance(10 * IDLE_MS);
  it.usage.accepted();
  assertEquals(it.told, []);
  assertEquals(it.clock.pending, 0);
});
