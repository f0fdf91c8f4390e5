import type { LogMessage } from "../../../src/log/record.ts";
import { assertEquals, assertStringIncludes } from "@std/assert";
import type { ServiceConfig } from "../../../src/config/service.ts";
import { kindOfKey } from "../../../src/config/address.ts";
import { ListenerOwners } from "../../../src/master/listeners/owners.ts";
import type { Listener } from "../../../src/master/policy/listener.ts";
import { ListenerTable } from "../../../src/master/listeners/table.ts";
import { FakeListeners } from "../../fakes/fake_listeners.ts";
import { serviceOf } from "../service_configs.ts";

/** The activated listeners of a test: `NAME KEY`, with `-` for no name, from descriptor 3 on. */
function activatedOf(...texts: string[]): Listener[] {
  return texts.map((text, index) => {
    const [name, key] = text.split(" ");
    return {
      fd: 3 + index,
      kind: kindOfKey(key),
      key,
      owner: "activation",
      ...(name === "-" ? {} : { name }),
      ...(key.startsWith("inet:[::]") ? { ipv4Key: key.replace("[::]", "0.0.0.0") } : {}),
    };
  });
}

/** A table over activated listeners, and the listeners that it opens itself. */
class Table {
  readonly port = new FakeListeners();
  readonly owners: ListenerOwners;
  readonly #table: ListenerTable;
  #service?: ServiceConfig;

  constructor(...given: string[]) {
    this.owners = new ListenerOwners(this.port, { activated: activatedOf(...given) });
    this.#table = new ListenerTable(this.owners);
  }

  /** Makes a `server-service` current, and returns the descriptors of its addresses. */
  apply(addresses: string): (number | "opened")[] {
    const service = serviceOf("x", { addresses });
    const change = this.#table.prepare([service]);
    assertEquals(change.problems, []);
    change.commit();
    this.#table.keep(service);
    if (this.#service !== undefined) this.#table.release([this.#service], [service]);
    this.#table.closeReleased();
    this.#service = service;
    return this.#table.listeners(service, 0).map(({ fd }) =>
      this.port.addresses.has(fd) ? "opened" : fd
    );
  }

  /** Prepares a `server-service` and undoes it. */
  refuse(addresses: string): void {
    this.#table.prepare([serviceOf("x", { addresses })]).undo();
  }

  /** The log lines about the current `server-service`. */
  describe(): LogMessage[] {
    return this.owners.describe(this.#service?.endpoints ?? []);
  }

  closeAll(): void {
    this.#table.releaseAll();
    this.#table.closeReleased();
  }
}

for (
  const [what, given, addresses, fds] of [
    ["the same address", ["- inet:127.0.0.1:80"], "127.0.0.1:80", [3]],
    ["the same path", ["- unix:/run/s"], "a:///run/s", [3]],
    ["the same pipe", ["- fifo:/run/f"], "fifo:/run/f", [3]],
    ["no other port", ["- inet:127.0.0.1:80"], "127.0.0.1:81", ["opened"]],
    ["no other kind", ["- fifo:/run/s"], "/run/s", ["opened"]],
    ["no wider address", ["- inet:0.0.0.0:80"], "127.0.0.1:80", ["opened"]],
    ["any IPv4 address by a listener of both families", ["- inet:[::]:80"], "0:80", [3]],
    [
      "each family by its own listener, if both exist",
      ["- inet:[::]:80", "- inet:0.0.0.0:80"],
      "0:80 [::]:80",
      [4, 3],
    ],
    ["both families by one listener, once", ["- inet:[::]:80"], "0:80 [::]:80", ["opened", 3]],
    ["a name", ["web inet:0.0.0.0:80"], "web://127.0.0.1:8080", [3]],
    ["a name of the same kind", ["web inet:0.0.0.0:80"], "web:///run/web", ["opened"]],
    ["no name at all", ["- inet:0.0.0.0:80"], "127.0.0.1:8080", ["opened"]],
    [
      "listeners of one name in their order",
      ["w inet:0.0.0.0:1", "w inet:0.0.0.0:2"],
      "w://0:8 w://0:9",
      [
        3,
        4,
      ],
    ],
    ["an address before a name", ["w inet:0.0.0.0:1"], "w://0:8 w://0:1", ["opened", 3]],
    ["the only listener of a name once", ["w inet:0.0.0.0:1"], "w://0:8 w://0:9", [3, "opened"]],
  ] satisfies [string, string[], string, (number | "opened")[]][]
) {
  Deno.test(`ListenerOwners.open() matches ${what}`, () => {
    assertEquals(new Table(...given).apply(addresses), fds);
  });
}

Deno.test("ListenerOwners keeps an unused listener for a later configuration", () => {
  const table = new Table("- inet:0.0.0.0:80", "web unix:/run/web");
  assertEquals(table.apply("0:80 web:///srv/web 0:81"), [3, 4, "opened"]);
  assertEquals(table.apply("0:81"), ["opened"]);
  assertEquals(table.port.keys, ["inet:0.0.0.0:81"]);
  assertEquals(table.apply("0:80 web:///srv/web"), [3, 4]);
  table.closeAll();
  assertEquals(table.port.keys, [], "closes only what it has opened");
});

Deno.test("ListenerOwners passes an activated listener from a removed address to a new one in the same reload", () => {
  const table = new Table("web inet:[::]:80");
  assertEquals(table.apply("0:80"), [3]);
  assertEquals(table.apply("[::]:80"), [3]);
  assertEquals(table.apply("web://0:8080"), [3]);
  assertEquals(table.apply("web://0:8080 web://0:8081"), [3, "opened"]);
  // An open address keeps its listener, although an activated one would fit it now.
  assertEquals(table.apply("web://0:8081 web://0:8082"), ["opened", 3]);
});

Deno.test("ListenerOwners takes back the activated listeners of a refused change", () => {
  const table = new Table("web inet:[::]:80");
  assertEquals(table.apply("0:80"), [3]);
  table.refuse("[::]:80 0:81");
  assertEquals(table.port.keys, []);
  assertEquals(table.describe().length, 1, "it is still served");
  assertEquals(table.apply("0:80"), [3]);
  table.refuse("0:81");
  assertEquals(table.apply("0:80"), [3]);
});

Deno.test("ListenerOwners.describe() lists the used listeners and warns of unused ones", () => {
  const table = new Table("- inet:0.0.0.0:80", "web inet:[::]:443", "old unix:/run/old");
  table.apply("0:80 web://0:8443 0:81");
  const [served, warning, ...rest] = table.describe();
  assertEquals(
    served,
    {
      level: "info",
      text: "not opened but given at the start: inet:0.0.0.0:80 inet:[::]:443 as inet:0.0.0.0:8443",
    },
  );
  assertEquals(warning.level, "warn");
  assertStringIncludes(warning.text, "no service has unix:/run/old");
  assertStringIncludes(warning.text, "descriptor 5 with the name old: no server-service fits it");
  assertEquals(rest, []);
  assertEquals(new Table().describe(), []);
});

Deno.test("ListenerOwners.repair() replaces opened listeners but not activated ones, and says who can", () => {
  const port = new FakeListeners();
  const owners = new ListenerOwners(port, { activated: activatedOf("- inet:0.0.0.0:80") });
  const open = (address: string) => {
    const { endpoints } = serviceOf("x", { addresses: address });
    return { endpoint: endpoints[0], wanted: endpoints };
  };
  const may = { mayReplace: true, mayRevive: true };
  const one = open("0:80"), other = open("0:81");
  const [taken] = owners.open(one.endpoint, one), [opened] = owners.open(other.endpoint, other);
  for (const { fd } of [taken, opened]) port.damaged.set(fd, "lost");
  const repaired = owners.repair([opened], { endpoint: other.endpoint, ...may });
  assertEquals(repaired.told, ["was lost"]);
  assertEquals(owners.repair([taken], { endpoint: one.endpoint, ...may }), {
    slots: [taken],
    told: [],
    problem: "is lost; only its activator can open it anew",
  });
  assertEquals([taken, opened].map((listener) => owners.isSound(listener)), [false, true]);
  // The table knows it by its replacement from now on.
  const [newMaster] = repaired.slots;
  assertEquals(owners.extend([newMaster], 1).length, 1);
  owners.close(newMaster);
  assertEquals(port.addresses.has(newMaster.fd), false);
});
