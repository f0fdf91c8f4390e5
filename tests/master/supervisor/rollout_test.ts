import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { newService, type Service } from "../../../src/master/policy/model.ts";
import { type TrialGroup, Trials } from "../../../src/master/supervisor/rollout.ts";
import { isSettled } from "../scene.ts";
import { serviceOf } from "../service_configs.ts";

const OLD = 1, NEW = 2;

/** A service with a version in force and another one on trial. */
function serviceOnTrial(id: string): Service {
  return {
    ...newService(id),
    current: { config: serviceOf(id, { procCount: 1 }), generation: OLD },
    trial: { config: serviceOf(id, { procCount: 2 }), generation: NEW, startAtMs: 70, left: 1 },
    startAtMs: 50,
    workers: new Set(),
  };
}

function groupOf(...members: Service[]): TrialGroup {
  return { ids: members.map(({ id }) => id), members, removed: [] };
}

Deno.test("Trials.pass() puts the versions into force, and those that are gone out of it", () => {
  const member = serviceOnTrial("x"), gone = serviceOnTrial("y");
  const tried = member.trial!.config;
  const group = { ids: ["x", "y"], members: [member], removed: [gone] };
  new Trials([group]).pass(group);
  assertEquals(member.current, { config: tried, generation: NEW });
  assertStrictEquals(member.trial, undefined);
  assertEquals(member.startAtMs, 70);
  assertStrictEquals(gone.current, undefined);
});

Deno.test("Trials.fail() drops the versions on trial, and touches nothing else", () => {
  const member = serviceOnTrial("x"), gone = serviceOnTrial("y");
  const before = [member.current, gone.current];
  const group = { ids: ["x", "y"], members: [member], removed: [gone] };
  new Trials([group]).fail(group, "because");
  assertEquals([member.current, gone.current], before);
  assertStrictEquals(member.trial, undefined);
  assertEquals(member.startAtMs, 50);
});

Deno.test("Trials.outcome tells of all that were undone, when the last trial is over", async () => {
  const groups = ["x", "y", "z"].map((id) => groupOf(serviceOnTrial(id)));
  const trials = new Trials(groups);
  const [x, y, z] = groups;
  trials.fail(z, "not ready");
  trials.pass(x);
  assert(!await isSettled(trials.outcome));
  assertEquals([...trials.open], [y]);
  trials.fail(y, "ended");
  assertEquals(await trials.outcome, [
    { services: ["z"], reason: "not ready" },
    { services: ["y"], reason: "ended" },
  ]);
});

Deno.test("Trials.outcome is known at once where nothing is tried", async () => {
  assertEquals(await new Trials([]).outcome, []);
});

Deno.test("Trials.groupOf() knows the members of the groups that are still on trial", () => {
  const [x, y, other] = ["x", "y", "other"].map(serviceOnTrial);
  const groups = [groupOf(x), groupOf(y)];
  const trials = new Trials(groups);
  trials.pass(groups[0]);
  assertEquals([x, y, other].map((service) => trials.groupOf(service)), [
    undefined,
    groups[1],
    undefined,
  ]);
});
