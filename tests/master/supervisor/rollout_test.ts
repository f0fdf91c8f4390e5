import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { newService, type Service } from "../../../src/master/policy/model.ts";
import { Rollout, type RolloutGroup } from "../../../src/master/supervisor/rollout.ts";
import { isSettled } from "../scene.ts";
import { serviceOf } from "../service_configs.ts";

const OLD = 1, NEW = 2;

/** A service with a current version and a candidate. */
function serviceWithCandidate(id: string): Service {
  return {
    ...newService(id),
    current: { config: serviceOf(id, { procCount: 1 }), generation: OLD },
    candidate: { config: serviceOf(id, { procCount: 2 }), generation: NEW, startAtMs: 70, left: 1 },
    startAtMs: 50,
    workers: new Set(),
  };
}

function groupOf(...members: Service[]): RolloutGroup {
  return { ids: members.map(({ id }) => id), members, removed: [] };
}

Deno.test("Rollout.pass() makes the candidates current, and removes the removed services", () => {
  const member = serviceWithCandidate("x"), gone = serviceWithCandidate("y");
  const config = member.candidate!.config;
  const group = { ids: ["x", "y"], members: [member], removed: [gone] };
  new Rollout([group]).pass(group);
  assertEquals(member.current, { config, generation: NEW });
  assertStrictEquals(member.candidate, undefined);
  assertEquals(member.startAtMs, 70);
  assertStrictEquals(gone.current, undefined);
});

Deno.test("Rollout.fail() drops the candidates, and changes nothing else", () => {
  const member = serviceWithCandidate("x"), gone = serviceWithCandidate("y");
  const before = [member.current, gone.current];
  const group = { ids: ["x", "y"], members: [member], removed: [gone] };
  new Rollout([group]).fail(group, "because");
  assertEquals([member.current, gone.current], before);
  assertStrictEquals(member.candidate, undefined);
  assertEquals(member.startAtMs, 50);
});

Deno.test("Rollout.outcome lists all undone reloads when the last group has an outcome", async () => {
  const groups = ["x", "y", "z"].map((id) => groupOf(serviceWithCandidate(id)));
  const rollout = new Rollout(groups);
  const [x, y, z] = groups;
  rollout.fail(z, "not ready");
  rollout.pass(x);
  assert(!await isSettled(rollout.outcome));
  assertEquals([...rollout.open], [y]);
  rollout.fail(y, "ended");
  assertEquals(await rollout.outcome, [
    { services: ["z"], reason: "not ready" },
    { services: ["y"], reason: "ended" },
  ]);
});

Deno.test("Rollout.outcome is known at once without groups", async () => {
  assertEquals(await new Rollout([]).outcome, []);
});

Deno.test("Rollout.groupOf() finds the members of open groups", () => {
  const [x, y, other] = ["x", "y", "other"].map(serviceWithCandidate);
  const groups = [groupOf(x), groupOf(y)];
  const rollout = new Rollout(groups);
  rollout.pass(groups[0]);
  assertEquals([x, y, other].map((service) => rollout.groupOf(service)), [
    undefined,
    groups[1],
    undefined,
  ]);
});
