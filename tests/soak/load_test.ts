import { assert, assertEquals, assertMatch } from "@std/assert";
import { createServer } from "node:net";
import { Latencies } from "../../tools/soak/latencies.ts";
import { Load } from "../../tools/soak/load.ts";
import type { LoadKind, LoadProtocol, LoadTarget } from "../../tools/soak/load_plan.ts";
import {
  lostIn,
  mergeReports,
  type Outcome,
  Tally,
  type TallyReport,
} from "../../tools/soak/tally.ts";
import { ReservedPort } from "../support/ports.ts";
import { TempDir } from "../support/temp.ts";
import { eventually } from "../support/wait.ts";

const encoder = new TextEncoder();

/** Serves one connection; it is closed when this is over. */
type Serve = (conn: Deno.Conn) => Promise<void>;

/** A server of a test, good or bad. Declare it with `await using`. */
class Server implements AsyncDisposable {
  readonly target: LoadTarget;
  /** How many connections it has accepted. */
  accepted = 0;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #served: Promise<void>[] = [];
  readonly #accepting: Promise<void>;

  constructor(protocol: LoadProtocol, serve: Serve) {
    const { hostname, port } = this.#listener.addr;
    this.target = { name: "server", protocol, address: { transport: "tcp", hostname, port } };
    this.#accepting = this.#accept(serve);
  }

  async #accept(serve: Serve): Promise<void> {
    for await (const conn of this.#listener) {
      this.accepted++;
      this.#served.push(serve(conn).catch(() => {}).finally(() => conn.close()));
    }
  }

  /** Accepts no more. */
  close(): void {
    this.#listener.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.close();
    } catch {
      // The test has done it.
    }
    await this.#accepting;
    await Promise.all(this.#served);
  }
}

/** A server that resets each connection at the request behind so many answers. */
async function resetAfter(answers: number): Promise<AsyncDisposable & { target: LoadTarget }> {
  // Deno's own connections end with an end of file, whatever is unread.
  const server = createServer((socket) => {
    let count = 0;
    socket.on("data", (data) => {
      if (count++ < answers) socket.write(answerTo(data.toString().trim().split(" ")));
      else socket.resetAndDestroy();
    });
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return {
    target: {
      name: "resets",
      protocol: "line",
      address: { transport: "tcp", hostname: "127.0.0.1", port },
    },
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

async function write(conn: Deno.Conn, text: string): Promise<void> {
  const bytes = encoder.encode(text);
  for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
}

/** The next request of the line protocol, or undefined at the end. */
async function nextAsked(conn: Deno.Conn): Promise<string[] | undefined> {
  const room = new Uint8Array(4096);
  const count = await conn.read(room);
  if (count !== null) return new TextDecoder().decode(room.subarray(0, count)).trim().split(" ");
}

function answerTo([token, length]: string[]): string {
  return `${token} 7 99 ${"x".repeat(Number(length) + 1)}\n`;
}

const goodLines: Serve = async (conn) => {
  for (let asked; (asked = await nextAsked(conn)) !== undefined;) {
    await write(conn, answerTo(asked));
  }
};

const QUICK = {
  seed: 1,
  delayMs: 0,
  longDelayMs: 0,
  late: { oneIn: 1, ms: 0 },
  keptAnswers: { least: 50, most: 200 },
  timeoutMs: 5_000,
};

/** Asks in one way until something was counted, and tells what. */
async function countsOf(
  target: LoadTarget,
  { kind = "fresh", timeoutMs = QUICK.timeoutMs, least = 1, during = () => {} }: {
    readonly kind?: LoadKind;
    readonly timeoutMs?: number;
    readonly least?: number;
    readonly during?: (load: Load) => void;
  } = {},
): Promise<TallyReport> {
  const connections = { fresh: 0, kept: 0, [kind]: 1 };
  const load = new Load({ ...QUICK, connections, timeoutMs });
  const asker = load.ask(target);
  const report = () => load.report().find((report) => report.kind === kind)!;
  during(load);
  await eventually(() => Object.values(report().counts).some((count) => count >= least), {
    what: `${least} of anything`,
  });
  await asker.stop();
  return report();
}

/** Fails unless one thing happened to all of the requests. */
function assertOnly(report: TallyReport, outcome: Outcome): void {
  const others = Object.entries(report.counts).filter(([key]) => key !== outcome);
  assert(report.counts[outcome] > 0, JSON.stringify(report));
  assertEquals(others.filter(([, count]) => count > 0), [], report.examples.join("\n"));
}

for (const kind of ["fresh", "kept"] as const) {
  Deno.test(`Load, ${kind}: counts right answers of the line protocol, with who gave them`, async () => {
    await using server = new Server("line", goodLines);
    const report = await countsOf(server.target, { kind, least: 20 });
    assertOnly(report, "ok");
    assertEquals([report.versions, report.pids], [{ 7: report.counts.ok }, [99]]);
    assertEquals(server.accepted, kind === "fresh" ? report.counts.ok : 1);
  });

  Deno.test(`Load, ${kind}: nobody listens is refused`, async () => {
    using reserved = new ReservedPort();
    const address = { transport: "tcp", hostname: "127.0.0.1", port: reserved.port } as const;
    assertOnly(await countsOf({ name: "nobody", protocol: "line", address }, { kind }), "refused");
    using dir = new TempDir();
    const unix = { transport: "unix", path: dir.file("none") } as const;
    assertOnly(
      await countsOf({ name: "none", protocol: "line", address: unix }, { kind }),
      "refused",
    );
  });

  Deno.test(`Load, ${kind}: a connection that is reset in place of an answer`, async () => {
    await using server = await resetAfter(0);
    assertOnly(await countsOf(server.target, { kind }), "reset");
  });

  Deno.test(`Load, ${kind}: an end of file in place of an answer, and within one, is a cut`, async () => {
    await using silent = new Server("line", async (conn) => void await nextAsked(conn));
    assertOnly(await countsOf(silent.target, { kind }), "cut");
    await using half = new Server("line", async (conn) => {
      await write(conn, answerTo((await nextAsked(conn))!).slice(0, -1));
    });
    assertOnly(await countsOf(half.target, { kind }), "cut");
  });

  Deno.test(`Load, ${kind}: an answer that does not come has timed out`, async () => {
    await using server = new Server("line", async (conn) => {
      while (await nextAsked(conn) !== undefined);
    });
    assertOnly(await countsOf(server.target, { kind, timeoutMs: 50 }), "timedOut");
  });

  Deno.test(`Load, ${kind}: an answer to something else, or two of them, is wrong`, async () => {
    await using other = new Server("line", async (conn) => {
      const [, length] = (await nextAsked(conn))!;
      await write(conn, answerTo(["other", length]));
    });
    assertOnly(await countsOf(other.target, { kind }), "wrong");
    await using twice = new Server("line", async (conn) => {
      await write(conn, answerTo((await nextAsked(conn))!).repeat(2));
    });
    assertOnly(await countsOf(twice.target, { kind }), "wrong");
    await using short = new Server("line", async (conn) => {
      const [token, length] = (await nextAsked(conn))!;
      await write(conn, answerTo([token, String(Number(length) + 1)]));
    });
    assertOnly(await countsOf(short.target, { kind }), "wrong");
  });
}

Deno.test("Load, kept: makes its line connections anew after 50 to 200 answers", async () => {
  const answers: number[] = [];
  await using server = new Server("line", async (conn) => {
    let count = 0;
    for (let asked; (asked = await nextAsked(conn)) !== undefined; count++) {
      await write(conn, answerTo(asked));
    }
    answers.push(count);
  });
  assertOnly(await countsOf(server.target, { kind: "kept", least: 1_000 }), "ok");
  await eventually(() => answers.length === server.accepted, { what: "the ends" });
  assert(answers.length >= 5, `${answers}`);
  // The last one was ended by the test.
  assert(answers.slice(0, -1).every((count) => count >= 50 && count <= 200), `${answers}`);
});

/** Reads one HTTP request, whose body may come later, and gives what is asked in it. */
async function httpAsked(conn: Deno.Conn): Promise<string[] | undefined> {
  const room = new Uint8Array(4096);
  for (let text = "";;) {
    const count = await conn.read(room);
    if (count === null) return undefined;
    text += new TextDecoder().decode(room.subarray(0, count));
    const [head, body] = text.split("\r\n\r\n", 2);
    const length = /Content-Length: (\d+)/.exec(head)?.[1];
    if (body === undefined || (length !== undefined && body.length < Number(length))) continue;
    return length === undefined ? head.split(" ", 2)[1].slice(1).split("/") : body.split(" ");
  }
}

function httpAnswer(asked: string[], headers = ""): string {
  const body = answerTo(asked);
  return `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n${headers}\r\n${body}`;
}

Deno.test("Load, kept: an HTTP client that is told to close makes its next connection", async () => {
  await using server = new Server("http", async (conn) => {
    await write(conn, httpAnswer((await httpAsked(conn))!));
    await write(conn, httpAnswer((await httpAsked(conn))!, "Connection: close\r\n"));
  });
  const report = await countsOf(server.target, { kind: "kept", least: 20 });
  assertOnly(report, "ok");
  assertEquals(server.accepted, Math.ceil(report.counts.ok / 2));
});

Deno.test("Load, kept: an HTTP connection that is closed without being told so is a cut", async () => {
  await using server = new Server("http", async (conn) => {
    await write(conn, httpAnswer((await httpAsked(conn))!));
    await httpAsked(conn);
  });
  const { counts } = await countsOf(server.target, { kind: "kept" });
  assert(counts.ok > 0 && counts.cut > 0, JSON.stringify(counts));
});

Deno.test("Load, fresh: takes answers of HTTP in chunks, and wants their connections to be closed", async () => {
  await using server = new Server("http", async (conn) => {
    const text = answerTo((await httpAsked(conn))!);
    const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;
    const body = chunk(text.slice(0, 9)) + chunk(text.slice(9)) + chunk("");
    await write(conn, `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body}`);
  });
  assertOnly(await countsOf(server.target, { least: 10 }), "ok");
  await using open = new Server("http", async (conn) => {
    await write(conn, httpAnswer((await httpAsked(conn))!));
    await httpAsked(conn);
  });
  assertOnly(await countsOf(open.target, { timeoutMs: 50 }), "timedOut");
});

Deno.test("Load, fresh: an HTTP status other than 200 is wrong", async () => {
  await using server = new Server("http", async (conn) => {
    await httpAsked(conn);
    await write(conn, "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n");
  });
  const report = await countsOf(server.target);
  assertOnly(report, "wrong");
  assertMatch(report.examples[0], /500 Internal Server Error/);
});

Deno.test("Load.expectEnd(): who is refused then has lost nothing and asks no more", async () => {
  using reserved = new ReservedPort();
  const address = { transport: "tcp", hostname: "127.0.0.1", port: reserved.port } as const;
  const target = { name: "nobody", protocol: "line", address } as const;
  const report = await countsOf(target, { during: (load) => load.expectEnd() });
  assertOnly(report, "refusedAtEnd");
  assertEquals(report.counts.refusedAtEnd, 1);
});

Deno.test("Load.expectEnd(): a reset before the first answer of a connection is no loss, a later one is", async () => {
  const options = { kind: "kept", during: (load: Load) => load.expectEnd() } as const;
  await using first = await resetAfter(0);
  assertOnly(await countsOf(first.target, options), "queuedAtEnd");
  await using later = await resetAfter(2);
  const { counts } = await countsOf(later.target, { ...options, least: 3 });
  assert(counts.reset > 0, JSON.stringify(counts));
  assertEquals(counts.queuedAtEnd, 0);
});

Deno.test("Latencies.percentile() is exact to 4 %, also for what was merged", () => {
  const all = new Latencies();
  assertEquals(all.percentile(0.5), 0);
  for (const first of [1, 2]) {
    const some = new Latencies();
    for (let ms = first; ms <= 1000; ms += 2) some.add(ms);
    all.merge(JSON.parse(JSON.stringify(some)));
  }
  for (const part of [0.01, 0.5, 0.99]) {
    const found = all.percentile(part), exact = part * 1000;
    assert(found >= exact && found <= exact * 1.04, `${part}: ${found}`);
  }
  assertEquals([all.percentile(1), all.maxMs], [1000, 1000]);
});

Deno.test("mergeReports() adds up what has the same target and kind", () => {
  const tally = (target: string, kind: LoadKind) => {
    const tally = new Tally(target, kind);
    tally.answered({ version: "1", pid: 10, ms: 1 });
    tally.lost("cut", "of a test");
    return tally.report();
  };
  const [sum, other, ...more] = mergeReports([
    tally("a", "fresh"),
    tally("a", "kept"),
    tally("a", "fresh"),
  ]);
  assertEquals([sum.counts.ok, sum.counts.cut, lostIn(sum), sum.versions["1"]], [2, 2, 2, 2]);
  assertEquals([sum.pids, sum.examples.length, other.kind, more.length], [[10], 2, "kept", 0]);
});
