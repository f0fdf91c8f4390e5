import { assert, assertEquals } from "@std/assert";
import { closeLog } from "../../../src/log/log.ts";
import { socketPair } from "../../../src/os/net/socket.ts";
import { MasterLink } from "../../../src/server/runtime/master_link.ts";
import { Recorder } from "../../ipc/channel_support.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { eventually } from "../../support/wait.ts";

const INTERVAL_MS = 20;

Deno.test("MasterLink sends heartbeats when the master asks for them, the first one at once", () =>
  leavesNothingOpen(async () => {
    const [fd, other] = socketPair();
    const master = new Recorder(other);
    const link = new MasterLink(fd, { onSoftstop() {}, onGone() {} });
    try {
      const settings = { shared: [] };
      master.channel.send({ type: "start", generation: 7, services: [], settings });
      await link.started;
      // No heartbeats were requested.
      link.ready();
      await master.until(1);
      const askedAt = performance.now();
      master.channel.send({ type: "watchdog", intervalMs: INTERVAL_MS });
      await eventually(() => master.messages.length >= 4, { what: "three heartbeats" });
      assert(performance.now() - askedAt >= 2 * INTERVAL_MS - 2);
      const heartbeat = { type: "heartbeat", pid: Deno.pid, generation: 7 } as const;
      assertEquals(master.messages.slice(1, 4), [
        heartbeat,
        heartbeat,
        heartbeat,
      ]);
    } finally {
      link.close();
      master.channel.close();
      closeLog();
    }
  }));

Deno.test("MasterLink ends its heartbeats with the master", () =>
  leavesNothingOpen(async () => {
    const [fd, other] = socketPair();
    const master = new Recorder(other);
    const gone = Promise.withResolvers<void>();
    const link = new MasterLink(fd, { onSoftstop() {}, onGone: () => gone.resolve() });
    const settings = { shared: [] };
    master.channel.send({ type: "start", generation: 7, services: [], settings });
    await link.started;
    master.channel.send({ type: "watchdog", intervalMs: INTERVAL_MS });
    await eventually(() => master.messages.length >= 2, { what: "two heartbeats" });
    master.channel.close();
    // A timer that was left would be told by the test runner.
    await gone.promise;
    closeLog();
  }));
