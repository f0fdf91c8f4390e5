import { assertEquals } from "@std/assert";
import { ClientPace } from "../../../src/server/http/client_pace.ts";

/** Whether the client may have a request on its way, from what has come and how long ago. */
const isExpected = (pace: ClientPace, nowMs: number) => !pace.haveAllCome || !pace.isSilent(nowMs);

Deno.test("ClientPace expects as many requests as were pending at once", () => {
  const pace = new ClientPace();
  assertEquals(isExpected(pace, 0), false);
  pace.begun(0);
  pace.begun(0);
  pace.answered(1);
  assertEquals(isExpected(pace, 1_000), true);
  pace.begun(2);
  assertEquals(isExpected(pace, 102), true);
  assertEquals(isExpected(pace, 104), false);
  pace.answered(105);
  assertEquals(isExpected(pace, 1_000), true);
  pace.forgetMost();
  assertEquals(isExpected(pace, 1_000), false);
});

Deno.test("ClientPace expects a client in turns that has never asked for all at once", () => {
  const pace = new ClientPace();
  // Five streams and three, in turns 200 ms apart.
  for (let turn = 0; turn < 4; turn++) {
    const streams = turn % 2 === 0 ? 5 : 3;
    for (let stream = 0; stream < streams; stream++) pace.begun(200 * turn);
    for (let stream = 0; stream < streams; stream++) pace.answered(200 * turn + 40);
  }
  // The next five are held: no more have ever been pending, but three are to come after 200 ms.
  for (let stream = 0; stream < 5; stream++) pace.begun(800);
  assertEquals([pace.haveAllCome, isExpected(pace, 1_000)], [true, true]);
  for (let stream = 0; stream < 3; stream++) pace.begun(1_000);
  assertEquals(isExpected(pace, 1_499), true);
  assertEquals(isExpected(pace, 1_500), false);
  assertEquals(pace.waitMs, 100 + 3 * 200);
});

Deno.test("ClientPace takes no pause into account in which a client has nothing to ask", () => {
  const pace = new ClientPace();
  pace.begun(0);
  pace.answered(1);
  pace.begun(1_002);
  assertEquals([pace.waitMs, isExpected(pace, 1_102)], [100, false]);
});

Deno.test("ClientPace takes longer pauses into account of clients that share it", () => {
  const pace = new ClientPace();
  pace.clients = 2;
  // Each pauses for 200 ms, 100 ms after the other one.
  for (const nowMs of [0, 100, 200]) {
    pace.begun(nowMs);
    pace.answered(nowMs);
  }
  assertEquals([pace.waitMs, isExpected(pace, 699), isExpected(pace, 700)], [700, true, true]);
  pace.forgetMost();
  assertEquals([isExpected(pace, 699), isExpected(pace, 700)], [true, false]);
});
