import { assert, assertEquals, assertLess, assertLessOrEqual } from "@std/assert";
import { closeFd, setCloseOnExec } from "../../../src/os/fd/descriptor.ts";
import { AcceptPace } from "../../../src/server/listen/accept_pace.ts";
import { FakeClock } from "../../fakes/fake_clock.ts";
import { startFunction } from "../../support/processes.ts";
import { eventually, within } from "../../support/wait.ts";
import { inetSocket } from "../service_sockets.ts";

/** How many are accepted before the next pause. */
function acceptedUntilPause(pace: AcceptPace, clock: FakeClock, gapMs: number): number {
  for (let count = 0;; count++) {
    if (pace.pause() !== undefined) return count;
    clock.advance(gapMs);
    pace.accepted();
  }
}

Deno.test("AcceptPace pauses after the first few of many that come at the same time", () => {
  const clock = new FakeClock();
  const pace = new AcceptPace(clock);
  const counts = Array.from({ length: 6 }, () => acceptedUntilPause(pace, clock, 0));
  assert(counts.every((count) => count <= 3), `${counts}`);
});

Deno.test("AcceptPace takes the more between two pauses the higher the rate is, and forgets it", () => {
  const clock = new FakeClock();
  const pace = new AcceptPace(clock);
  let count = 0;
  // 20,000 a second.
  for (let i = 0; i < 100; i++) count = acceptedUntilPause(pace, clock, 0.05);
  assertLess(50, count);
  clock.advance(500);
  assertLessOrEqual(acceptedUntilPause(pace, clock, 0), 2);
});

const CLIENTS = 64, BURSTS = 9, TRIES = 5;

for (const mode of ["coroutine", "aio"] as const) {
  for (const processes of [2, 4]) {
    Deno.test(`a service (${mode}) of ${processes} processes spreads ${CLIENTS} connections made at once`, async () => {
      const socket = inetSocket();
      const servers = Array.from({ length: processes }, () => {
        setCloseOnExec(socket.fd, false);
        const process = startFunction(import.meta, async ({ mode, fd, processes }) => {
          const { defaultConfig, setFrom } = await import("../../../src/config/config.ts");
          const { acceptStatistics } = await import("../../../src/server/listen/accept_counts.ts");
          setFrom(defaultConfig, "server-proc-count", `${processes}`, "argument");
          const greeting = new TextEncoder().encode(`${Deno.pid}`);
          if (mode === "aio") {
            const { aioServerGeneralAioRegister, defaultAioBase } = await import(
              "../../../aio_server.ts"
            );
            aioServerGeneralAioRegister(defaultAioBase, fd, "inet", (aio) => {
              aio.cacheWrite(greeting);
              aio.cacheFlush(() => aio.read(1, () => aio.close()));
            });
          } else {
            const { coroutineServe } = await import("../../../coroutine_server.ts");
            coroutineServe(fd, "inet", async (conn) => {
              await conn.write(greeting);
              await conn.read(new Uint8Array(1));
            });
          }
          const { untilInputCloses } = await import("../../support/processes.ts");
          console.log("serving");
          await untilInputCloses();
          console.log(JSON.stringify(acceptStatistics()[0]));
          Deno.exit();
        }, { arg: { mode, fd: socket.fd, processes } });
        setCloseOnExec(socket.fd, true);
        return process;
      });
      await using stack = new AsyncDisposableStack();
      servers.forEach((server) => stack.use(server));
      for (const server of servers) await server.prints(/serving\n/);
      closeFd(socket.fd);

      const totals = new Map(servers.map(({ pid }) => [`${pid}`, 0]));
      const burst = async () => {
        const addr = { hostname: "127.0.0.1", port: socket.port };
        const connecting = Array.from({ length: CLIENTS }, () => Deno.connect(addr));
        for (const client of await Promise.all(connecting)) {
          const room = new Uint8Array(100);
          const count = await within(client.read(room), { what: "a pid" });
          const pid = new TextDecoder().decode(room.subarray(0, count ?? 0));
          totals.set(pid, totals.get(pid)! + 1);
          client.close();
        }
      };
      // Until the code of each is compiled.
      await eventually(
        async () => {
          await burst();
          return [...totals.values()].every((total) => total > 0);
        },
        { what: "connections of each process" },
      );
      // Without the pauses one takes nearly all of them, time and again. A busy machine may give another one no turn
      // for as long as nine bursts take.
      const enough = BURSTS * CLIENTS / processes / 4;
      let shares = [0];
      for (let tries = 0; tries < TRIES && Math.min(...shares) < enough; tries++) {
        const before = new Map(totals);
        for (let i = 0; i < BURSTS; i++) await burst();
        shares = [...totals].map(([pid, total]) => total - before.get(pid)!);
      }
      assert(Math.min(...shares) >= enough, shares.join(" "));
      for (const server of servers) {
        await server.closeInput();
        const { accepted } = JSON.parse((await server.prints(/\{.*\}/))[0]);
        assertEquals(accepted, totals.get(`${server.pid}`));
      }
    });
  }
}
