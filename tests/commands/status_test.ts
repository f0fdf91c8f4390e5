import { assertEquals, assertStringIncludes } from "@std/assert";
import { render } from "../../src/commands/status.ts";
import type { ChangeStatus, ProcessStatus, Status } from "../../src/control/status.ts";
import { changeText, progressText } from "../../src/control/under_way.ts";
import { masterStatus, processStatus, serviceStatus } from "../metrics/statuses.ts";

const CHANGE: ChangeStatus = {
  kind: "reload",
  name: "reload",
  services: [],
  atMs: 1_000,
  elapsedMs: 4_000,
  limitMs: null,
};

function changing(change: Partial<ChangeStatus>, ...processes: ProcessStatus[]): Status {
  const services = [serviceStatus("a.cf", { processes }), serviceStatus("b.cf")];
  return masterStatus(services, { change: { ...CHANGE, ...change } });
}

/** The second line of a status. */
const secondOf = (status: Status, nowMs = 0): string =>
  render(status, { colour: false, nowMs }).split("\n")[1];

Deno.test("status shows the change that is under way, and each process that it waits for", () => {
  assertEquals(secondOf(changing({})), "reload under way for 4.0 s");
  // The processes of services with an outcome, and those of another change, are not awaited.
  const starting = processStatus(7, {
    state: "starting",
    awaited: { step: "ready", elapsedMs: 3_000, limitMs: 30_000 },
  });
  assertEquals(secondOf(changing({}, starting)), "reload under way for 4.0 s");
  assertEquals(
    secondOf(changing({ services: ["b.cf"] }, starting)),
    "reload under way for 4.0 s, waiting for b.cf",
  );
  const soaking = processStatus(8, { awaited: { step: "soak", elapsedMs: 500, limitMs: 5_000 } });
  const unlimited = processStatus(9, {
    state: "starting",
    awaited: { step: "ready", elapsedMs: 2_000, limitMs: null },
  });
  assertEquals(
    secondOf(changing({ services: ["a.cf"] }, processStatus(6), starting, soaking, unlimited)),
    "reload under way for 4.0 s, waiting for a.cf: " +
      "process 7 starting for 3.0 s of 30 s (server-ready-timeout); " +
      "process 8 ready for 0.5 s of 5.0 s (server-soak); process 9 starting for 2.0 s",
  );
  assertEquals(
    secondOf(changing({ kind: "upgrade", name: "upgrade", limitMs: 120_000 })),
    "upgrade under way for 4.0 s, " +
      "waiting for the new master for 4.0 s of 2 min (master-upgrade-timeout)",
  );
});

Deno.test("status does not take the age of a master for the time of its stop", () => {
  const first = (phase: string) => {
    const status = masterStatus([]);
    const master = { ...status.master, phase, uptimeMs: 14_000 };
    return render({ ...status, master }, { colour: false, nowMs: 0 }).split(",", 2).join();
  };
  const { pid } = masterStatus([]).master;
  assertEquals(first("serving"), `master ${pid}: serving for 14 s, generation 1`);
  assertEquals(first("starting"), `master ${pid}: starting for 14 s, generation 1`);
  assertEquals(first("stopping"), `master ${pid}: stopping, started 14 s ago`);
  assertEquals(first("draining"), `master ${pid}: draining, started 14 s ago`);
});

Deno.test("a command that waits tells at least which change is under way", () => {
  const { change, services } = changing({ name: "restart of b.cf" });
  assertEquals(progressText(change!, services), "the restart of b.cf under way for 4.0 s");
  const known = changing({ services: ["b.cf"] });
  assertEquals(progressText(known.change!, known.services), "b.cf");
});

Deno.test("a master of an earlier version tells no change and nothing that is awaited", () => {
  const { change: _, ...older } = masterStatus();
  assertEquals(changeText(older as Status), undefined);
  const { awaited: __, ...process } = processStatus(7);
  assertEquals(
    changeText(changing({ services: ["a.cf"] }, process as ProcessStatus)),
    "reload under way for 4.0 s, waiting for a.cf",
  );
});

Deno.test("the age of the last reload counts from its end", () => {
  const lastReload = {
    atMs: 1_000,
    durationMs: 20_000,
    outcome: "committed",
    text: "reloaded",
  } as const;
  assertStringIncludes(
    secondOf(masterStatus([], { lastReload }), 24_000),
    "last reload 3.0 s ago, after 20 s: reloaded",
  );
});
