import { assertEquals, assertLess } from "@std/assert";
import { ConnectionLooks } from "../../../src/server/lifecycle/quiet.ts";
import { FakeClock } from "../../fakes/fake_clock.ts";
import { startFunction } from "../../support/processes.ts";

const ADDRESS = { kind: "inet", hostname: "::1", port: 80 } as const;

/** A clock, and looks that find as many open connections everywhere as a test says. */
function scene(lookMs = 0) {
  const clock = new FakeClock();
  const state = { open: 0, looks: 0 };
  const looks = new ConnectionLooks(clock, () => {
    state.looks++;
    clock.advance(lookMs);
    return { at: () => Array.from({ length: state.open }, () => ({ fd: 0, peer: "" })) };
  });
  return { clock, state, looks };
}

Deno.test("ConnectionLooks answers all questions by one look, and looks no more without any", async () => {
  const { clock, state, looks } = scene();
  state.open = 1;
  const answers = Array.from(
    { length: 1_000 },
    () => looks.until((open) => open.at(ADDRESS).length === 0),
  );
  assertEquals(state.looks, 0);
  clock.advance(1_000);
  assertEquals(state.looks, 10);
  state.open = 0;
  clock.advance(100);
  await Promise.all(answers);
  assertEquals([state.looks, clock.pending], [11, 0]);
  // A later one begins anew.
  const later = looks.until((open) => open.at(ADDRESS).length === 0);
  clock.advance(100);
  await later;
  assertEquals([state.looks, clock.pending], [12, 0]);
});

Deno.test("ConnectionLooks lets a look that takes its time rest for twenty times as long", () => {
  const { clock, state, looks } = scene(50);
  looks.until((open) => open.at(ADDRESS).length > 0);
  clock.advance(51);
  assertEquals([state.looks, clock.nextInMs], [1, 1_000]);
});

Deno.test("the drain of many HTTP listeners takes time in proportion to their number", async () => {
  await using child = startFunction(import.meta, async (count) => {
    const { cpuUsage } = await import("node:process");
    const { serveHttp } = await import("../../../coroutine_server.ts");
    const { openListener } = await import("../../../src/os/net/open_listener.ts");
    const { serverLifecycle } = await import("../../../src/server/lifecycle/lifecycle.ts");
    for (let i = 0; i < count; i++) {
      const { fd } = openListener({ kind: "inet", hostname: "127.0.0.1", port: 0 });
      serveHttp(fd, "inet", () => new Response("hello"));
    }
    serverLifecycle.own({
      softstopSeconds: undefined,
      drainSeconds: 30,
      onDraining() {},
      onDetach() {},
      onError: console.error,
    });
    const before = cpuUsage();
    serverLifecycle.softstop();
    await serverLifecycle.stopped;
    const { user, system } = cpuUsage(before);
    console.log((user + system) / 1000);
    Deno.exit(0);
  }, { arg: 400 });
  // Some 50 ms, and 2,000 with a look for each of them.
  assertLess(Number(await child.succeeds(30_000)), 400);
});

Deno.test("ConnectionLooks looks for no connections where no question asks for them", async () => {
  const { clock, state, looks } = scene();
  let asked = 0;
  const answered = looks.until(() => ++asked === 3);
  clock.advance(201);
  await answered;
  assertEquals([asked, state.looks, clock.pending], [3, 0, 0]);
});
