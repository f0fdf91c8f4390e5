import { assertEquals } from "@std/assert";
import { describePlan, planReload, type ReloadPlan } from "../../src/master/reload_plan.ts";
import { serviceOf } from "./service_configs.ts";

const NOTHING: ReloadPlan = {
  kept: [],
  opened: [],
  closed: [],
  added: [],
  removed: [],
  replaced: [],
};

Deno.test("planReload() opens and adds everything at the start", () => {
  const running = { listeners: new Set<string>(), services: new Set<string>() };
  const wanted = [
    serviceOf("a.cf", { addresses: "0:80 0:81" }),
    serviceOf("b.cf", { addresses: "0:82" }),
  ];
  assertEquals(planReload(running, wanted), {
    ...NOTHING,
    opened: ["inet:0.0.0.0:80", "inet:0.0.0.0:81", "inet:0.0.0.0:82"],
    added: ["a.cf", "b.cf"],
  });
});

Deno.test("planReload() tells what stays, what comes and what goes", () => {
  const running = {
    listeners: new Set(["inet:0.0.0.0:80", "unix:/run/s"]),
    services: new Set(["a.cf", "b.cf"]),
  };
  const wanted = [
    serviceOf("b.cf", { addresses: "0:80" }),
    serviceOf("c.cf", { addresses: "0:81" }),
  ];
  assertEquals(planReload(running, wanted), {
    kept: ["inet:0.0.0.0:80"],
    opened: ["inet:0.0.0.0:81"],
    closed: ["unix:/run/s"],
    added: ["c.cf"],
    removed: ["a.cf"],
    replaced: ["b.cf"],
  });
});

Deno.test("planReload() keeps an address that has moved to another service", () => {
  const running = { listeners: new Set(["inet:0.0.0.0:80"]), services: new Set(["a.cf"]) };
  const plan = planReload(running, [serviceOf("b.cf", { addresses: "web://:80" })]);
  assertEquals(plan, {
    ...NOTHING,
    kept: ["inet:0.0.0.0:80"],
    added: ["b.cf"],
    removed: ["a.cf"],
  });
});

Deno.test("planReload() closes and removes everything where nothing is wanted", () => {
  const running = { listeners: new Set(["inet:0.0.0.0:80"]), services: new Set(["a.cf"]) };
  assertEquals(planReload(running, []), {
    ...NOTHING,
    closed: ["inet:0.0.0.0:80"],
    removed: ["a.cf"],
  });
});

Deno.test("describePlan() writes one line, and leaves out what there is none of", () => {
  assertEquals(describePlan(NOTHING), "listeners: 0 kept; services: 0 replaced");
  assertEquals(
    describePlan({
      kept: ["x"],
      opened: ["inet:0.0.0.0:80", "inet:0.0.0.0:81"],
      closed: ["unix:/run/s"],
      added: ["a.cf"],
      removed: ["b.cf", "c.cf"],
      replaced: ["d.cf", "e.cf"],
    }),
    "listeners: 1 kept, opened inet:0.0.0.0:80 inet:0.0.0.0:81, closed unix:/run/s; " +
      "services: 2 replaced, added a.cf, removed b.cf c.cf",
  );
});
