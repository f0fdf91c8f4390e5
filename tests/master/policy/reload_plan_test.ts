import { assert, assertEquals } from "@std/assert";
import { keysOf } from "../../../src/config/endpoints.ts";
import type { ServiceConfig } from "../../../src/config/service.ts";
import * as policy from "../../../src/master/policy/reload_plan.ts";
import { describePlan, type ReloadPlan } from "../../../src/master/policy/reload_plan.ts";
import { FUZZ_SEED, pick, seededRandom } from "../../support/random.ts";
import { serviceOf } from "../service_configs.ts";

/** A plan without its reasons, which have a test of their own. */
type Changes = Omit<ReloadPlan, "reasons">;

function planReload(...args: Parameters<typeof policy.planReload>): Changes {
  const { reasons: _, ...changes } = policy.planReload(...args);
  return changes;
}

const NOTHING: Changes = {
  kept: [],
  opened: [],
  closed: [],
  added: [],
  removed: [],
  replaced: [],
  left: [],
  groups: [],
};

/** The running services, with a listener for each address. */
function running(...services: ServiceConfig[]) {
  return { listeners: new Set(services.flatMap(keysOf)), services };
}

Deno.test("planReload() opens and adds everything at the start", () => {
  const wanted = [
    serviceOf("a.cf", { addresses: "0:80 0:81" }),
    serviceOf("b.cf", { addresses: "0:82" }),
  ];
  assertEquals(planReload(running(), wanted), {
    ...NOTHING,
    opened: ["inet:0.0.0.0:80", "inet:0.0.0.0:81", "inet:0.0.0.0:82"],
    added: ["a.cf", "b.cf"],
    groups: [["a.cf"], ["b.cf"]],
  });
});

Deno.test("planReload() lists kept, added and removed listeners and services", () => {
  const before = running(
    serviceOf("a.cf", { addresses: "local:/run/s" }),
    serviceOf("b.cf", { addresses: "0:80" }),
  );
  const wanted = [
    serviceOf("b.cf", { addresses: "0:80" }),
    serviceOf("c.cf", { addresses: "0:81" }),
  ];
  assertEquals(planReload(before, wanted), {
    ...NOTHING,
    kept: ["inet:0.0.0.0:80"],
    opened: ["inet:0.0.0.0:81"],
    closed: ["unix:/run/s"],
    added: ["c.cf"],
    removed: ["a.cf"],
    replaced: ["b.cf"],
    groups: [["b.cf"], ["c.cf"], ["a.cf"]],
  });
});

Deno.test("planReload() keeps an address that has moved to another service", () => {
  const before = running(serviceOf("a.cf", { addresses: "0:80" }));
  const plan = planReload(before, [serviceOf("b.cf", { addresses: "web://:80" })]);
  assertEquals(plan, {
    ...NOTHING,
    kept: ["inet:0.0.0.0:80"],
    added: ["b.cf"],
    removed: ["a.cf"],
    groups: [["b.cf", "a.cf"]],
  });
});

Deno.test("planReload() closes and removes everything for an empty configuration", () => {
  assertEquals(planReload(running(serviceOf("a.cf", { addresses: "0:80" })), []), {
    ...NOTHING,
    closed: ["inet:0.0.0.0:80"],
    removed: ["a.cf"],
    groups: [["a.cf"]],
  });
});

Deno.test("planReload() leaves unchanged services alone that ask for it, and no others", () => {
  const reload = (rule: string, more = {}) => ({ "server-reload": rule, ...more });
  const before = running(
    serviceOf("same.cf", { settings: reload("changed") }),
    serviceOf("always.cf", { settings: reload("always") }),
    serviceOf("setting.cf", { settings: reload("changed", { own: "1" }) }),
    serviceOf("address.cf", { addresses: "0:80", settings: reload("changed") }),
    serviceOf("command.cf", { settings: reload("changed") }),
  );
  const plan = planReload(before, [
    serviceOf("same.cf", { settings: reload("changed") }),
    serviceOf("always.cf", { settings: reload("always") }),
    serviceOf("setting.cf", { settings: reload("changed", { own: "2" }) }),
    serviceOf("address.cf", { addresses: "0:81", settings: reload("changed") }),
    serviceOf("command.cf", { command: "bin/other", settings: reload("changed") }),
    serviceOf("new.cf", { settings: reload("changed") }),
  ]);
  assertEquals(plan.left, ["same.cf"]);
  assertEquals(plan.replaced, ["always.cf", "setting.cf", "address.cf", "command.cf"]);
  assertEquals(plan.added, ["new.cf"]);
  assert(!plan.groups.flat().includes("same.cf"));
  assert(plan.kept.includes("unix:/run/same.cf"));
});

Deno.test("planReload() groups services that exchange addresses, directly or through others", () => {
  const before = running(
    serviceOf("a", { addresses: "0:80" }),
    serviceOf("b", { addresses: "0:81" }),
    serviceOf("c", { addresses: "0:82" }),
    serviceOf("d", { addresses: "0:83" }),
    serviceOf("e", { addresses: "0:84" }),
  );
  const { groups } = planReload(before, [
    // A ring of two, a chain of three, and a service without any move.
    serviceOf("a", { addresses: "0:81" }),
    serviceOf("b", { addresses: "0:80" }),
    serviceOf("c", { addresses: "0:83 0:85" }),
    serviceOf("d", { addresses: "0:84" }),
    serviceOf("f", { addresses: "0:86" }),
  ]);
  assertEquals(groups.map((group) => group.toSorted()).toSorted(), [
    ["a", "b"],
    ["c", "d", "e"],
    ["f"],
  ]);
});

Deno.test("planReload() also plans for a wrong configuration that names an address twice", () => {
  const same = serviceOf("a", { addresses: "0:80", settings: { "server-reload": "changed" } });
  const plan = planReload(running(same), [same, serviceOf("b", { addresses: "0:80" })]);
  assertEquals([plan.left, plan.groups], [["a"], [["b"]]]);
});

Deno.test("planReload() puts each changed service into exactly one group", () => {
  const random = seededRandom(FUZZ_SEED);
  const services = () => {
    const ports = [0, 1, 2, 3, 4, 5].toSorted(() => random(3) - 1);
    return ["a", "b", "c", "d"].filter(() => random(4) > 0).map((id) => {
      const addresses = ports.splice(0, 1 + random(2)).map((port) => `0:${80 + port}`).join();
      const rule = pick(random, ["always", "changed"]);
      return serviceOf(id, { addresses: addresses || "0:90", settings: { "server-reload": rule } });
    });
  };
  for (let count = 0; count < 500; count++) {
    const [before, after] = [services(), services()];
    const plan = planReload(running(...before), after);
    const changed = [...plan.added, ...plan.removed, ...plan.replaced];
    assertEquals(plan.groups.flat().toSorted(), changed.toSorted());
    const groupOf = (id: string) => plan.groups.find((group) => group.includes(id));
    for (const old of before) {
      for (const next of after) {
        if (old.id === next.id || keysOf(old).every((key) => !keysOf(next).includes(key))) continue;
        assertEquals(groupOf(old.id), groupOf(next.id), `${old.id} gives something to ${next.id}`);
      }
    }
  }
});

Deno.test("describePlan() writes one line without empty parts", () => {
  assertEquals(
    describePlan({ ...NOTHING, opened: ["inet:0.0.0.0:80"], added: ["a.cf"] }),
    "listeners: opened inet:0.0.0.0:80; services: added a.cf",
  );
  assertEquals(describePlan(NOTHING), "listeners: none; services: none");
  assertEquals(
    describePlan({
      ...NOTHING,
      kept: ["x"],
      opened: ["inet:0.0.0.0:80", "inet:0.0.0.0:81"],
      closed: ["unix:/run/s"],
      added: ["a.cf"],
      removed: ["b.cf", "c.cf"],
      replaced: ["d.cf", "e.cf"],
      left: ["f.cf"],
    }),
    "listeners: 1 kept, opened inet:0.0.0.0:80 inet:0.0.0.0:81, closed unix:/run/s; " +
      "services: 2 replaced, 1 left alone, added a.cf, removed b.cf c.cf",
  );
});

const WHEN_CHANGED = { "server-reload": "changed" };

Deno.test("planReload() says why each service is changed or left alone", () => {
  const same = serviceOf("same.cf", { addresses: "0:80", settings: WHEN_CHANGED });
  const scaled = serviceOf("scaled.cf", { addresses: "0:86", settings: WHEN_CHANGED });
  const failed = serviceOf("failed.cf", { addresses: "0:81", settings: WHEN_CHANGED });
  const changed = (count: string) =>
    serviceOf("changed.cf", {
      addresses: "0:82",
      settings: { ...WHEN_CHANGED, "server-proc-count": count },
    });
  const always = serviceOf("always.cf", { addresses: "0:83" });
  const before = {
    ...running(
      same,
      scaled,
      failed,
      changed("1"),
      always,
      serviceOf("gone.cf", { addresses: "0:84" }),
    ),
    failed: new Set(["failed.cf"]),
    scaled: new Set(["scaled.cf"]),
  };
  const added = serviceOf("new.cf", { addresses: "0:85" });
  const wanted = [same, scaled, failed, changed("2"), always, added];
  assertEquals(Object.fromEntries(policy.planReload(before, wanted).reasons), {
    "same.cf": "nothing of it has changed",
    "scaled.cf": "only its number of processes is that of its settings again",
    "failed.cf": "it has failed",
    "changed.cf": "its settings or files have changed",
    "always.cf": "server-reload = always",
    "new.cf": "it is new",
    "gone.cf": "it has no settings any more",
  });
});

Deno.test("planReload() changes only the services that are named, and these in any case", () => {
  const a = serviceOf("a.cf", { addresses: "0:80", settings: WHEN_CHANGED });
  const b = serviceOf("b.cf", { addresses: "0:81" });
  const plan = policy.planReload(running(a, b), [a, b], new Set(["a.cf"]));
  assertEquals([plan.replaced, plan.left], [["a.cf"], ["b.cf"]]);
  assertEquals(Object.fromEntries(plan.reasons), {
    "a.cf": "it was named",
    "b.cf": "only other services were named",
  });
  const stopped = policy.planReload(running(a, b), [b], new Set(["a.cf"]));
  assertEquals([stopped.removed, stopped.closed], [["a.cf"], ["inet:0.0.0.0:80"]]);
  assertEquals(stopped.reasons.get("a.cf"), "it has no settings any more");
  assertEquals(policy.stopPlan(stopped).reasons.get("a.cf"), "it is stopped until the next reload");
});
