import { assertEquals, assertLess } from "@std/assert";
import { type Load, load } from "../../bench/load.ts";
import { Bench } from "../../bench/bench.ts";
import { prepareTools } from "../../bench/tools.ts";

/** Runs the client once against a server of this process that answers each line so late. */
async function loadEcho(
  answerAfterMs: (line: number) => number,
  options: { readonly seconds: number; readonly rate?: number; readonly fresh?: boolean },
): Promise<{ readonly result: Load; readonly connections: number }> {
  const cache = await Deno.makeTempDir();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let lines = 0, connections = 0;
  const serve = async (conn: Deno.Conn) => {
    using _ = conn;
    const room = new Uint8Array(64);
    for (let count; (count = await conn.read(room)) !== null;) {
      const ms = answerAfterMs(++lines);
      if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
      await conn.write(room.subarray(0, count));
    }
  };
  const serving = (async () => {
    const all: Promise<void>[] = [];
    // A closed loop ends with lines under way.
    for await (const conn of listener) all.push(serve(conn).catch(() => {})), connections++;
    await Promise.all(all);
  })();
  try {
    await using bench = new Bench(await prepareTools(cache, { peers: false }), false);
    const { port } = listener.addr;
    return { result: await load(bench, { port, connections: 1, ...options }), connections };
  } finally {
    listener.close();
    await serving;
    await Deno.remove(cache, { recursive: true });
  }
}

const NONE = { refused: 0, reset: 0, ended: 0, timedOut: 0, other: 0 };

Deno.test("the client charges a server that stalls for all that was due meanwhile", async () => {
  const { result } = await loadEcho((line) => line === 10 ? 300 : 0, { seconds: 0.5, rate: 200 });
  assertEquals([result.done, result.failed], [101, NONE]);
  // 60 of 101 were due within the 300 ms, and waited for half of it in the mean: a closed loop would
  // have seen one slow answer.
  assertLess(50_000, result.latencyUs.p50);
});

Deno.test("the client makes a connection for each exchange when it is told so", async () => {
  const { result, connections } = await loadEcho(() => 0, { seconds: 0.2, rate: 100, fresh: true });
  assertEquals([result.done, connections, result.failed], [21, 21, NONE]);
});

Deno.test("the client keeps its connection, and one line under way on it, without a rate", async () => {
  const { result, connections } = await loadEcho(() => 20, { seconds: 0.3 });
  assertEquals([connections, result.failed], [1, NONE]);
  assertLess(0, result.done);
  assertLess(result.done, 16);
});

Deno.test("the client takes the last answer of a connection in chunks, as a draining server sends it", async () => {
  const cache = await Deno.makeTempDir();
  const headers = { connection: "close" };
  const answer = () => new Response(new Blob(["hello from 1\n"]).stream(), { headers });
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, answer);
  try {
    await using bench = new Bench(await prepareTools(cache, { peers: false }), false);
    const { port } = server.addr;
    const options = { port, connections: 1, http: true, seconds: 0.2, rate: 100 };
    const { done, failed } = await load(bench, options);
    assertEquals([done, failed], [21, NONE]);
  } finally {
    await server.shutdown();
    await Deno.remove(cache, { recursive: true });
  }
});
