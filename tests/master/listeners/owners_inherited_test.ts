import { assertEquals, assertStrictEquals } from "@std/assert";
import { parseAddress } from "../../../src/config/address.ts";
import { ListenerOwners } from "../../../src/master/listeners/owners.ts";
import type { Listener } from "../../../src/master/policy/listener.ts";
import { FakeListeners } from "../../fakes/fake_listeners.ts";

const endpoint = (address: string) => parseAddress(address, { cwd: "/srv" });

/** Opens an address with one listener. */
function open(listeners: ListenerOwners, address: string): Listener {
  return listeners.open(endpoint(address), { wanted: [] })[0];
}

/** The listeners of an old master, and the port of the new one. */
function inherit(...addresses: string[]) {
  const port = new FakeListeners();
  const inherited = new Map(addresses.map((address) => {
    const { key } = endpoint(address);
    return [key, port.open(endpoint(address))];
  }));
  return { port, inherited, listeners: new ListenerOwners(port, { inherited }) };
}

Deno.test("ListenerOwners returns each inherited listener once, and opens the others", () => {
  const { port, inherited, listeners } = inherit("0:80", "0:81");
  assertEquals(listeners.atHand(), ["inet:0.0.0.0:80", "inet:0.0.0.0:81"]);
  assertStrictEquals(open(listeners, "0:80"), inherited.get("inet:0.0.0.0:80")![0]);
  assertEquals(listeners.atHand(), ["inet:0.0.0.0:81"]);
  open(listeners, "0:82");
  assertEquals(port.keys, ["inet:0.0.0.0:80", "inet:0.0.0.0:81", "inet:0.0.0.0:82"]);
});

Deno.test("ListenerOwners keeps borrowed listeners for the next use of their address", () => {
  const { port, inherited, listeners } = inherit("0:80", "0:81", "0:82");
  const [first, second, third] = ["0:80", "0:81", "0:82"].map((at) => open(listeners, at));
  listeners.close(first);
  listeners.discard(second);
  assertEquals(listeners.refuse(third), false);
  assertEquals(port.keys.length, 3);
  assertEquals([...port.refused], []);
  assertEquals(listeners.atHand(), ["inet:0.0.0.0:80", "inet:0.0.0.0:81"]);
  assertStrictEquals(open(listeners, "0:81"), inherited.get("inet:0.0.0.0:81")![0]);
});

for (const others of ["leave", "close"] as const) {
  Deno.test(`ListenerOwners owns the used listeners from the takeover on, and ${others}s the others`, () => {
    const { port, listeners } = inherit("0:80", "0:81");
    const did: string[] = [];
    port.leave = ({ fd }) => did.push(`leave ${port.addresses.get(fd)}`);
    port.close = ({ fd }) => did.push(`close ${port.addresses.get(fd)}`);
    const used = open(listeners, "0:80");
    listeners.own(others);
    assertEquals(did, [`${others} inet:0.0.0.0:81`]);
    assertEquals(listeners.atHand(), []);
    assertEquals(listeners.refuse(used), true);
    listeners.close(used);
    assertEquals(did[1], "close inet:0.0.0.0:80");
  });
}

Deno.test("ListenerOwners closes the listeners that it has opened itself", () => {
  const { port, listeners } = inherit();
  listeners.discard(open(listeners, "0:80"));
  listeners.close(open(listeners, "0:81"));
  assertEquals(port.keys, []);
});

Deno.test("ListenerOwners returns all inherited slots of an address in their order, and opens more", () => {
  const port = new FakeListeners();
  const at = endpoint("0:80"), slots = port.open(at, { slots: 3 });
  const listeners = new ListenerOwners(port, { inherited: new Map([[at.key, slots]]) });
  const found = listeners.open(at, { wanted: [], slots: 4 });
  assertEquals(found.slice(0, 3), slots);
  assertEquals(port.addresses.size, 4);
  assertEquals(found.map((one) => listeners.isHeldElsewhere(one)), [true, true, true, true]);
  listeners.own("leave");
  assertEquals(found.map((one) => listeners.isHeldElsewhere(one)), [true, true, true, false]);
});

Deno.test("ListenerOwners keeps the slots of an address together that is returned before the takeover", () => {
  const port = new FakeListeners();
  const at = endpoint("0:80"), slots = port.open(at, { slots: 2 });
  const listeners = new ListenerOwners(port, { inherited: new Map([[at.key, slots]]) });
  const found = listeners.open(at, { wanted: [], slots: 3 });
  found.toReversed().forEach((listener) => listeners.discard(listener));
  assertEquals(listeners.atHand(), [at.key]);
  assertEquals(listeners.open(at, { wanted: [], slots: 3 }), found);
  assertEquals(port.addresses.size, 3);
});

Deno.test("ListenerOwners lets the old master choose the slots of new connections, until the takeover", () => {
  const port = new FakeListeners();
  const at = endpoint("0:80"), slots = port.open(at, { slots: 3 });
  const listeners = new ListenerOwners(port, { inherited: new Map([[at.key, slots]]) });
  listeners.open(at, { wanted: [], slots: 3 });
  port.steer(slots, [2]);
  listeners.steer(slots, [0, 1]);
  assertEquals(port.chosen.get(at.key), [slots[2].fd]);
  listeners.own("leave");
  assertEquals(port.chosen.get(at.key), slots.slice(0, 2).map(({ fd }) => fd));
});

Deno.test("ListenerOwners leaves mode and owner of a file to the old master until the takeover", () => {
  const { port, listeners } = inherit("local:/run/a", "local:/run/b");
  const [used, returned] = ["local:/run/a", "local:/run/b"].map((at) => open(listeners, at));
  const own = open(listeners, "local:/run/c");
  for (const one of [used, returned, own]) listeners.protect(one, { mode: 0o600 });
  assertEquals([...port.access.keys()], ["unix:/run/c"]);
  listeners.close(returned);
  listeners.own("leave");
  assertEquals([...port.access.keys()], ["unix:/run/c", "unix:/run/a"]);
});

Deno.test("ListenerOwners replaces no listener before the takeover, and after it like any other", () => {
  const { port, listeners } = inherit("0:80");
  const listener = open(listeners, "0:80");
  const options = { endpoint: endpoint("0:80"), mayReplace: true, mayRevive: false };
  port.damaged.set(listener.fd, "lost");
  assertEquals(listeners.isSound(listener), false);
  assertEquals(listeners.repair([listener], options), {
    slots: [listener],
    told: [],
    problem: "is lost",
  });
  listeners.own("leave");
  const { slots: [newMaster], told } = listeners.repair([listener], options);
  assertEquals(told, ["was lost"]);
  assertEquals(port.keys, ["inet:0.0.0.0:80"]);
  assertEquals(listeners.isHeldElsewhere(newMaster), false);
});

Deno.test("ListenerOwners keeps the listeners that were left to another master, and releases them", () => {
  const { port, listeners } = inherit("0:80");
  const first = open(listeners, "0:80"), second = open(listeners, "0:81");
  listeners.own("leave");
  for (const [address, listener] of [["0:80", first], ["0:81", second]] as const) {
    listeners.keep(endpoint(address).key, [listener]);
  }
  assertEquals(listeners.atHand(), ["inet:0.0.0.0:80", "inet:0.0.0.0:81"]);
  assertStrictEquals(open(listeners, "0:81"), second);
  listeners.own("close");
  assertEquals(port.keys, ["inet:0.0.0.0:81"]);
  // The new master owns it like any other.
  listeners.close(second);
  assertEquals(port.keys, []);
});
