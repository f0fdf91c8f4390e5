import { assertEquals, assertStrictEquals } from "@std/assert";
import { parseAddress } from "../../../src/config/address.ts";
import { type HeirListeners, heirListeners } from "../../../src/master/listeners/inherited.ts";
import type { OpenedListener } from "../../../src/os/net/socket.ts";
import { FakeListeners } from "../../fakes/fake_listeners.ts";

const endpoint = (address: string) => parseAddress(address, { cwd: "/srv" });

/** Opens an address with one listener. */
function open(heirs: HeirListeners, address: string): OpenedListener {
  return heirs.open(endpoint(address), { wanted: [] })[0];
}

/** What an old master has opened, and the port of the new one. */
function inherit(...addresses: string[]) {
  const port = new FakeListeners();
  const inherited = new Map(addresses.map((address) => {
    const { key } = endpoint(address);
    return [key, port.open(endpoint(address))];
  }));
  return { port, inherited, heirs: heirListeners(port, inherited) };
}

Deno.test("heirListeners() gives out what was inherited, once, and opens the rest", () => {
  const { port, inherited, heirs } = inherit("0:80", "0:81");
  assertEquals(heirs.atHand(), ["inet:0.0.0.0:80", "inet:0.0.0.0:81"]);
  assertStrictEquals(open(heirs, "0:80"), inherited.get("inet:0.0.0.0:80")![0]);
  assertEquals(heirs.atHand(), ["inet:0.0.0.0:81"]);
  open(heirs, "0:82");
  assertEquals(port.keys, ["inet:0.0.0.0:80", "inet:0.0.0.0:81", "inet:0.0.0.0:82"]);
});

Deno.test("heirListeners() keep what is still the old master's, for whoever asks next", () => {
  const { port, inherited, heirs } = inherit("0:80", "0:81", "0:82");
  const [first, second, third] = ["0:80", "0:81", "0:82"].map((at) => open(heirs, at));
  heirs.close(first);
  heirs.discard(second);
  assertEquals(heirs.refuse(third, "inet"), false);
  assertEquals(port.keys.length, 3);
  assertEquals([...port.refused], []);
  assertEquals(heirs.atHand(), ["inet:0.0.0.0:80", "inet:0.0.0.0:81"]);
  assertStrictEquals(open(heirs, "0:81"), inherited.get("inet:0.0.0.0:81")![0]);
});

for (const others of ["leave", "close"] as const) {
  Deno.test(`heirListeners() own what is used from the takeover on, and ${others} what is not`, () => {
    const { port, heirs } = inherit("0:80", "0:81");
    const did: string[] = [];
    port.leave = ({ fd }) => did.push(`leave ${port.addresses.get(fd)}`);
    port.close = ({ fd }) => did.push(`close ${port.addresses.get(fd)}`);
    const used = open(heirs, "0:80");
    heirs.own(others);
    assertEquals(did, [`${others} inet:0.0.0.0:81`]);
    assertEquals(heirs.atHand(), []);
    assertEquals(heirs.refuse(used, "inet"), true);
    heirs.close(used);
    assertEquals(did[1], "close inet:0.0.0.0:80");
  });
}

Deno.test("heirListeners() close what they have opened themselves like any other", () => {
  const { port, heirs } = inherit();
  heirs.discard(open(heirs, "0:80"));
  heirs.close(open(heirs, "0:81"));
  assertEquals(port.keys, []);
});

Deno.test("heirListeners() give out all slots of an address in their order, and open more", () => {
  const port = new FakeListeners();
  const at = endpoint("0:80"), slots = port.open(at, { slots: 3 });
  const heirs = heirListeners(port, new Map([[at.key, slots]]));
  const found = heirs.open(at, { wanted: [], slots: 4 });
  assertEquals(found.slice(0, 3), slots);
  assertEquals(port.addresses.size, 4);
  assertEquals(found.map((one) => heirs.isHeldElsewhere(one)), [true, true, true, true]);
  heirs.own("leave");
  assertEquals(found.map((one) => heirs.isHeldElsewhere(one)), [true, true, true, false]);
});

Deno.test("heirListeners() keep all slots of an address together that comes back before the takeover", () => {
  const port = new FakeListeners();
  const at = endpoint("0:80"), slots = port.open(at, { slots: 2 });
  const heirs = heirListeners(port, new Map([[at.key, slots]]));
  const found = heirs.open(at, { wanted: [], slots: 3 });
  found.toReversed().forEach((listener) => heirs.discard(listener));
  assertEquals(heirs.atHand(), [at.key]);
  assertEquals(heirs.open(at, { wanted: [], slots: 3 }), found);
  assertEquals(port.addresses.size, 3);
});

Deno.test("heirListeners() let the old master say to which slots connections come, until the takeover", () => {
  const port = new FakeListeners();
  const at = endpoint("0:80"), slots = port.open(at, { slots: 3 });
  const heirs = heirListeners(port, new Map([[at.key, slots]]));
  heirs.open(at, { wanted: [], slots: 3 });
  port.steer(slots, [2]);
  heirs.steer(slots, [0, 1]);
  assertEquals(port.chosen.get(at.key), [slots[2].fd]);
  heirs.own("leave");
  assertEquals(port.chosen.get(at.key), slots.slice(0, 2).map(({ fd }) => fd));
});

Deno.test("heirListeners() leave mode and owner of a file to the old master, until the takeover", () => {
  const { port, heirs } = inherit("local:/run/a", "local:/run/b");
  const [used, returned] = ["local:/run/a", "local:/run/b"].map((at) => open(heirs, at));
  const own = open(heirs, "local:/run/c");
  for (const one of [used, returned, own]) heirs.protect(one, { mode: 0o600 });
  assertEquals([...port.access.keys()], ["unix:/run/c"]);
  heirs.close(returned);
  heirs.own("leave");
  assertEquals([...port.access.keys()], ["unix:/run/c", "unix:/run/a"]);
});

Deno.test("heirListeners() replace no listener before the takeover, and after it like any other", () => {
  const { port, heirs } = inherit("0:80");
  const listener = open(heirs, "0:80");
  const options = { endpoint: endpoint("0:80"), mayReplace: true, mayRevive: false };
  port.damaged.set(listener.fd, "lost");
  assertEquals(heirs.isSound(listener), false);
  assertEquals(heirs.mend([listener], options), {
    slots: [listener],
    told: [],
    problem: "is lost",
  });
  heirs.own("leave");
  const { slots: [successor], told } = heirs.mend([listener], options);
  assertEquals(told, ["was lost"]);
  assertEquals(port.keys, ["inet:0.0.0.0:80"]);
  assertEquals(heirs.isHeldElsewhere(successor), false);
});

Deno.test("heirListeners() have at hand again what was left to another master, and let go of it", () => {
  const { port, heirs } = inherit("0:80");
  const first = open(heirs, "0:80"), second = open(heirs, "0:81");
  heirs.own("leave");
  for (const [address, listener] of [["0:80", first], ["0:81", second]] as const) {
    heirs.keep(endpoint(address).key, [listener]);
  }
  assertEquals(heirs.atHand(), ["inet:0.0.0.0:80", "inet:0.0.0.0:81"]);
  assertStrictEquals(open(heirs, "0:81"), second);
  heirs.own("close");
  assertEquals(port.keys, ["inet:0.0.0.0:81"]);
  // It is its own as any other.
  heirs.close(second);
  assertEquals(port.keys, []);
});
