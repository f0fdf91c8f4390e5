import { assertEquals, assertStrictEquals } from "@std/assert";
import { parseAddress } from "../../src/config/address.ts";
import { heirListeners } from "../../src/master/heir_listeners.ts";
import { FakeListeners } from "../../src/testing/fake_listeners.ts";

const endpoint = (address: string) => parseAddress(address, { cwd: "/srv" });

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
  assertStrictEquals(heirs.open(endpoint("0:80"), []), inherited.get("inet:0.0.0.0:80"));
  assertEquals(heirs.atHand(), ["inet:0.0.0.0:81"]);
  heirs.open(endpoint("0:82"), []);
  assertEquals(port.keys, ["inet:0.0.0.0:80", "inet:0.0.0.0:81", "inet:0.0.0.0:82"]);
});

Deno.test("heirListeners() keep what is still the old master's, for whoever asks next", () => {
  const { port, inherited, heirs } = inherit("0:80", "0:81", "0:82");
  const [first, second, third] = ["0:80", "0:81", "0:82"].map((at) => heirs.open(endpoint(at), []));
  heirs.close(first);
  heirs.discard(second);
  assertEquals(heirs.refuse(third, "inet"), false);
  assertEquals(port.keys.length, 3);
  assertEquals([...port.refused], []);
  assertEquals(heirs.atHand(), ["inet:0.0.0.0:80", "inet:0.0.0.0:81"]);
  assertStrictEquals(heirs.open(endpoint("0:81"), []), inherited.get("inet:0.0.0.0:81"));
});

for (const others of ["leave", "close"] as const) {
  Deno.test(`heirListeners() own what is used from the takeover on, and ${others} what is not`, () => {
    const { port, heirs } = inherit("0:80", "0:81");
    const did: string[] = [];
    port.leave = ({ fd }) => did.push(`leave ${port.addresses.get(fd)}`);
    port.close = ({ fd }) => did.push(`close ${port.addresses.get(fd)}`);
    const used = heirs.open(endpoint("0:80"), []);
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
  heirs.discard(heirs.open(endpoint("0:80"), []));
  heirs.close(heirs.open(endpoint("0:81"), []));
  assertEquals(port.keys, []);
});
