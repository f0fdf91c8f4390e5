import { assert, assertEquals } from "@std/assert";
import { ListenerTable } from "../../src/master/listeners/table.ts";
import { FakeListeners } from "../fakes/fake_listeners.ts";
import type { Listener } from "../../src/master/policy/listener.ts";
import { serviceOf } from "./service_configs.ts";

const KEY = "inet:0.0.0.0:80";

function serviceWith(procCount: number, balance = "reuseport") {
  return serviceOf("x", { addresses: "0:80", procCount, settings: { "server-balance": balance } });
}

/** A table with one address, whose served slots a test chooses. */
class Scene {
  readonly port = new FakeListeners();
  readonly table = new ListenerTable(this.port);
  service = serviceWith(1);

  constructor(procCount: number, balance?: string) {
    this.prepare(procCount, balance).commit();
    this.keep();
    this.serve();
  }

  /** Prepares another number of processes. */
  prepare(procCount: number, balance?: string) {
    this.service = serviceWith(procCount, balance);
    return this.table.prepare([this.service]);
  }

  /** Makes the prepared number of processes current. */
  keep(): void {
    this.table.keep(this.service);
    this.table.release([this.service], [this.service]);
  }

  /** The listeners in their order. */
  get slots(): Listener[] {
    return this.table.all();
  }

  /** Sets which slots are served, by default all. Returns the slots that receive connections. */
  serve(...restarts: number[]): number[] {
    const { slots } = this;
    const served = restarts.length === 0 ? slots : restarts.map((history) => slots[history]);
    this.table.steer(this.service, new Set(served));
    const chosen = this.port.chosen.get(KEY) ?? [];
    return chosen.map((fd) => slots.findIndex((listener) => listener.fd === fd));
  }

  /** The slots that receive no new connections. */
  get idle(): number[] {
    return this.slots.flatMap((listener, history) => this.table.isIdle(listener) ? [history] : []);
  }
}

Deno.test("ListenerTable opens a slot for each process, and gives each its own", () => {
  const { table, service, slots } = new Scene(3);
  assertEquals(slots.length, 3);
  assertEquals([0, 1, 2].map((slot) => table.listeners(service, slot)[0]), slots);
});

Deno.test("ListenerTable.steer() steers connections to the served slots", () => {
  const scene = new Scene(3);
  assertEquals(scene.serve(0, 2), [0, 2]);
  assertEquals(scene.idle, [1]);
  assertEquals(scene.serve(1), [1]);
  assertEquals(scene.serve(), [0, 1, 2]);
  assertEquals(scene.idle, []);
});

Deno.test("ListenerTable.steer() steers connections to all slots when none is served", () => {
  const scene = new Scene(3);
  scene.serve(1);
  scene.table.steer(scene.service, new Set());
  assertEquals(scene.port.chosen.get(KEY), scene.slots.map(({ fd }) => fd));
});

Deno.test("ListenerTable keeps new slots idle until their version is current", () => {
  const scene = new Scene(2);
  scene.prepare(4).commit();
  assertEquals(scene.slots.length, 4);
  assertEquals(scene.serve(), [0, 1]);
  assertEquals(scene.idle, [2, 3]);
  scene.keep();
  assertEquals(scene.serve(), [0, 1, 2, 3]);
});

Deno.test("ListenerTable closes new slots of a change that is undone", () => {
  const scene = new Scene(2);
  const before = scene.slots;
  scene.prepare(4).undo();
  assertEquals([...scene.port.addresses.keys()], before.map(({ fd }) => fd));
  assertEquals(scene.slots, before);
});

Deno.test("ListenerTable.closeUnused() closes the slots of a candidate only when it has failed", () => {
  const scene = new Scene(2);
  const { service } = scene;
  scene.prepare(4).commit();
  scene.table.closeUnused(() => false);
  assertEquals(scene.slots.length, 4);
  scene.table.release([scene.service], [service]);
  scene.table.closeUnused(() => false);
  assertEquals(scene.slots.length, 2);
});

Deno.test("ListenerTable.closeUnused() closes from the end, and waits while a process holds a slot", () => {
  const scene = new Scene(4);
  scene.prepare(1).commit();
  scene.keep();
  assertEquals(scene.serve(), [0]);
  const held = scene.slots[2];
  scene.table.closeUnused((listener) => listener === held);
  assertEquals(scene.slots.length, 3);
  scene.table.closeUnused(() => false);
  assertEquals(scene.slots.length, 1);
  assertEquals([...scene.port.addresses.keys()], scene.slots.map(({ fd }) => fd));
});

Deno.test("ListenerTable reuses slots that are not closed yet", () => {
  const scene = new Scene(4);
  const before = scene.slots;
  scene.prepare(2).commit();
  scene.keep();
  scene.table.closeUnused(() => true);
  scene.prepare(5).commit();
  assertEquals(scene.slots.slice(0, 4), before);
  assertEquals(scene.slots.length, 5);
});

Deno.test("ListenerTable changes from one queue to many and back, and keeps the first socket", () => {
  const scene = new Scene(3, "shared");
  const [first] = scene.slots;
  assertEquals(scene.slots, [first]);
  scene.prepare(3).commit();
  assertEquals(scene.idle, [1, 2]);
  scene.keep();
  assertEquals(scene.serve(), [0, 1, 2]);
  scene.prepare(3, "shared").commit();
  scene.keep();
  assertEquals(scene.serve(), [0]);
  scene.table.closeUnused(() => false);
  assertEquals(scene.slots, [first]);
});

Deno.test("ListenerTable.release() closes the queues of all slots of a removed address", () => {
  const scene = new Scene(2);
  const { slots, table } = scene;
  table.release([scene.service], []);
  assert(slots.every((listener) => table.isIdle(listener)));
  table.closeReleased();
  assertEquals(scene.port.keys, []);
});

Deno.test("ListenerTable.handOver() has stopping processes empty their slots, but not an address's only socket", () => {
  const many = new Scene(2), one = new Scene(2, "shared");
  for (const { table } of [many, one]) table.handOver();
  assertEquals(many.idle, [0, 1]);
  assertEquals(one.idle, []);
});
