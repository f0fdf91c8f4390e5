import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { formatProblem } from "../../../src/config/errors.ts";
import type { ServiceConfig } from "../../../src/config/service.ts";
import { systemListeners } from "../../../src/master/listeners/system.ts";
import { ListenerOwners } from "../../../src/master/listeners/owners.ts";
import { ListenerTable } from "../../../src/master/listeners/table.ts";
import { SysError } from "../../../src/os/ffi/errors.ts";
import { FakeListeners } from "../../fakes/fake_listeners.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { TempDir } from "../../support/temp.ts";
import { serviceOf } from "../service_configs.ts";

/** A table with the addresses of one service open. */
function tableWith(addresses: string): { table: ListenerTable; port: FakeListeners } {
  const port = new FakeListeners();
  const table = new ListenerTable(port);
  putIntoForce(table, addresses);
  return { table, port };
}

/** The descriptors of a service's first process. */
function fdsOf(table: ListenerTable, service: ServiceConfig): number[] {
  return table.listeners(service, 0).map(({ fd }) => fd);
}

/** Opens the addresses of a service, and keeps them. */
function putIntoForce(table: ListenerTable, addresses: string): void {
  const service = serviceOf("x", { addresses });
  table.prepare([service]).commit();
  table.keep(service);
}

Deno.test("ListenerTable opens new listeners when a change is prepared, and adds them when it is committed", () => {
  const port = new FakeListeners();
  const table = new ListenerTable(port);
  const service = serviceOf("x", { addresses: "0:81 0:80" });
  const change = table.prepare([service]);
  assertEquals(port.keys, ["inet:0.0.0.0:80", "inet:0.0.0.0:81"]);
  assertEquals([...table.keys()], []);
  change.commit();
  assertEquals([...table.keys()], ["inet:0.0.0.0:81", "inet:0.0.0.0:80"]);
  assertEquals(fdsOf(table, service), [...port.addresses.keys()]);
});

Deno.test("ListenerTable.listeners() are in the order of the service's addresses", () => {
  const { table, port } = tableWith("0:80 local:/run/s fifo:/run/f");
  const service = serviceOf("x", { addresses: "fifo:/run/f 0:80 local:/run/s" });
  const keys = fdsOf(table, service).map((fd) => port.addresses.get(fd));
  assertEquals(keys, ["fifo:/run/f", "inet:0.0.0.0:80", "unix:/run/s"]);
});

Deno.test("ListenerTable.listeners() refuses a service with an address that is not open", () => {
  const { table } = tableWith("0:80");
  assertThrows(
    () => fdsOf(table, serviceOf("x", { addresses: "0:80 0:81" })),
    Error,
    "inet:0.0.0.0:81",
  );
});

Deno.test("ListenerTable keeps the listener of an address that is named again", () => {
  const { table, port } = tableWith("0:80 0:81");
  const before = new Map(port.addresses);
  // By another service, with another name and another spelling.
  table.prepare([serviceOf("y", { addresses: "mail://0.0.0.0:81, :80" })]).commit();
  assertEquals(port.addresses, before);
});

Deno.test("ListenerTable closes released listeners in two steps, the queue first", () => {
  const { table, port } = tableWith("0:80 0:81");
  const [before, after] = ["0:80 0:81", "0:81 0:82"].map((addresses) =>
    serviceOf("x", { addresses })
  );
  const [first] = table.listeners(before, 0);
  table.prepare([after]).commit();
  assertEquals(port.keys, ["inet:0.0.0.0:80", "inet:0.0.0.0:81", "inet:0.0.0.0:82"]);
  table.release([before], [after]);
  assertEquals([...port.refused], ["inet:0.0.0.0:80"]);
  assert(table.isIdle(first) && !table.has("inet:0.0.0.0:80"));
  assertEquals(port.keys, ["inet:0.0.0.0:80", "inet:0.0.0.0:81", "inet:0.0.0.0:82"]);
  table.closeReleased();
  assert(!table.isIdle(first));
  assertEquals(port.keys, ["inet:0.0.0.0:81", "inet:0.0.0.0:82"]);
  assertEquals([...table.keys()], port.keys);
});

Deno.test("ListenerTable.release() discards the listeners of a candidate, and closes permanent ones", () => {
  const { table, port } = tableWith("0:80");
  const [kept, candidate] = ["0:80", "0:80 0:81 0:82"].map((addresses) =>
    serviceOf("x", { addresses })
  );
  table.prepare([candidate]).commit();
  // Another service of the same reload has passed.
  table.keep(serviceOf("y", { addresses: "0:82" }));
  table.release([candidate], [kept]);
  table.closeReleased();
  assertEquals(port.discarded, ["inet:0.0.0.0:81"]);
  assertEquals(port.keys, ["inet:0.0.0.0:80"]);
  table.release([kept], []);
  table.closeReleased();
  assertEquals(port.discarded, ["inet:0.0.0.0:81"]);
  assertEquals(port.keys, []);
});

Deno.test("ListenerTable.release() ignores listeners that are closed already", () => {
  const { table, port } = tableWith("0:80");
  const service = serviceOf("x", { addresses: "0:80" });
  table.release([service], []);
  table.release([service], []);
  table.keep(service);
  table.closeReleased();
  assert(!table.has("inet:0.0.0.0:80"));
  assertEquals(port.keys, []);
});

Deno.test("ListenerTable.prepare() can be undone, which closes only the new listeners", () => {
  const { table, port } = tableWith("0:80 0:81");
  const before = new Map(port.addresses);
  table.prepare([serviceOf("x", { addresses: "0:81 0:82 0:83" })]).undo();
  assertEquals(port.addresses, before);
  assertEquals([...table.keys()], ["inet:0.0.0.0:80", "inet:0.0.0.0:81"]);
});

Deno.test("ListenerTable.prepare() opens an address only once that is named twice", () => {
  const port = new FakeListeners();
  const named = [serviceOf("x", { addresses: "0:80" }), serviceOf("y", { addresses: ":80" })];
  const change = new ListenerTable(port).prepare(named);
  assertEquals(port.addresses.size, 1);
  change.undo();
  assertEquals(port.keys, []);
});

Deno.test("ListenerTable.prepare() reports file, line and key of each address that can't be opened", () => {
  const port = new FakeListeners();
  for (const key of ["inet:0.0.0.0:80", "inet:0.0.0.0:82", "unix:/run/s"]) {
    port.refusals.set(key, new Error(`Cannot listen on "${key}"`));
  }
  const change = new ListenerTable(port).prepare([
    serviceOf("a.cf", { addresses: "0:80 0:81 0:82", file: "conf/a.cf" }),
    serviceOf("b.cf", { addresses: "local:/run/s", file: "conf/b.cf" }),
  ]);
  assertEquals(change.problems.map(formatProblem), [
    `conf/a.cf:2: server-service: Cannot listen on "inet:0.0.0.0:80"`,
    `conf/a.cf:2: server-service: Cannot listen on "inet:0.0.0.0:82"`,
    `conf/b.cf:2: server-service: Cannot listen on "unix:/run/s"`,
  ]);
  assertEquals(port.keys, ["inet:0.0.0.0:81"]);
  change.undo();
  assertEquals(port.keys, []);
});

for (
  const [code, errno, address, expected] of [
    ["EADDRINUSE", 98, "0:80", "an address that no other program listens on"],
    ["EACCES", 13, "0:80", "a port that this user may listen on"],
    ["EADDRNOTAVAIL", 99, "0:80", "an address of this machine"],
    ["ENOENT", 2, "local:/run/s", "a path in a directory that exists"],
    ["ENOTDIR", 20, "fifo:/run/f", "a path in a directory that exists"],
    ["EACCES", 13, "local:/run/s", "a path that this user may make and use"],
    ["EPERM", 1, "fifo:/run/f", "a path that this user may make and use"],
    ["EMFILE", 24, "0:80", "a listener that the system can open"],
  ] satisfies [string, number, string, string][]
) {
  Deno.test(`ListenerTable.prepare() says what to do about ${code} on ${address}`, () => {
    const port = new FakeListeners();
    const service = serviceOf("x", { addresses: address });
    port.refusals.set(service.endpoints[0].key, new SysError("bind", errno, "somewhere"));
    const [{ message }] = new ListenerTable(port).prepare([service]).problems;
    const { found } = new SysError("bind", errno);
    const history = address.replace(/^(local|fifo):/, "");
    assertStringIncludes(found, `(bind: ${code})`);
    assertEquals(message, `Cannot listen on "${history}": ${found}, expected ${expected}`);
  });
}

Deno.test("ListenerTable.closeAll() closes everything", () => {
  const { table, port } = tableWith("0:80 0:81");
  table.prepare([serviceOf("x", { addresses: "0:82" })]).commit();
  table.releaseAll();
  table.closeReleased();
  assertEquals(port.keys, []);
  assertEquals([...table.keys()], []);
  assertEquals(port.discarded, ["inet:0.0.0.0:82"]);
});

Deno.test("systemListeners leave a named pipe to its writers", () =>
  leavesNothingOpen(() => {
    using dir = new TempDir();
    const table = new ListenerTable(new ListenerOwners(systemListeners));
    putIntoForce(table, `fifo:${dir.file("fifo")}`);
    table.prepare([serviceOf("x", { addresses: `fifo:${dir.file("fifo")}` })]).undo();
    table.releaseAll();
    table.closeReleased();
    assert(Deno.lstatSync(dir.file("fifo")).isFifo);
    table.prepare([serviceOf("x", { addresses: `fifo:${dir.file("fifo")}` })]).undo();
    assert(Deno.lstatSync(dir.file("fifo")).isFifo, "it was there before");
  }));

Deno.test("systemListeners open and close real listeners, and remove their socket files", () =>
  leavesNothingOpen(() => {
    using dir = new TempDir();
    const table = new ListenerTable(new ListenerOwners(systemListeners));
    const [kept, gone] = [dir.file("kept"), dir.file("gone")];
    putIntoForce(table, `local:${kept} local:${gone}`);
    const inode = Deno.lstatSync(kept).ino;
    const [before, after] = [`local:${kept} local:${gone}`, `local:${kept}`]
      .map((addresses) => serviceOf("x", { addresses }));
    table.prepare([after]).commit();
    table.release([before], [after]);
    assertEquals(Deno.lstatSync(kept).ino, inode);
    assert(!existsSync(gone));
    table.releaseAll();
    table.closeReleased();
    assertEquals([...Deno.readDirSync(dir.path)], []);
  }));

Deno.test("systemListeners leave nothing of a failed candidate: no socket file, no named pipe", () =>
  leavesNothingOpen(() => {
    using dir = new TempDir();
    const table = new ListenerTable(new ListenerOwners(systemListeners));
    const candidate = serviceOf("x", {
      addresses: `local:${dir.file("s")} fifo:${dir.file("fifo")}`,
    });
    table.prepare([candidate]).commit();
    assertEquals([...Deno.readDirSync(dir.path)].length, 2);
    table.release([candidate], []);
    table.closeReleased();
    assertEquals([...Deno.readDirSync(dir.path)], []);
  }));

Deno.test("systemListeners refuse existing files and dangling paths, each with its reason", () =>
  leavesNothingOpen(() => {
    using dir = new TempDir();
    const file = dir.write("file", "kept");
    const free = [dir.file("free"), `fifo:${dir.file("fifo")}`];
    const addresses = [file, `${file}/x`, `fifo:${file}`, dir.file("none/x"), ...free];
    const change = new ListenerTable(new ListenerOwners(systemListeners)).prepare([
      serviceOf("x", { addresses: addresses.join() }),
    ]);
    assertEquals(change.problems.map(({ message }) => message), [
      `Cannot listen on "${file}": found a file of another kind, expected a free path or an old socket`,
      `Cannot listen on "${file}/x": a part of the path is not a directory (open: ENOTDIR), expected a path in a directory that exists`,
      `Cannot open "${file}": found a file of another kind, expected a named pipe or a free path`,
      `Cannot listen on "${dir.file("none/x")}": no such file or directory (open: ENOENT), ` +
      "expected a path in a directory that exists",
    ]);
    change.undo();
    assertEquals([...Deno.readDirSync(dir.path)].map(({ name }) => name), ["file"]);
    assertEquals(Deno.readTextFileSync(file), "kept");
  }));

Deno.test("ListenerTable.keep() protects the files of a current service, and of no other", () => {
  const { table, port } = tableWith("local:/run/a");
  const settings = { "server-socket-mode": "0640", "server-socket-owner": "www:mail" };
  const candidate = serviceOf("x", { addresses: "local:/run/a local:/run/b", settings });
  table.prepare([candidate]).commit();
  assertEquals(port.access.size, 0);
  table.keep(candidate);
  const access = { mode: 0o640, owner: { user: "www", group: "mail" } };
  assertEquals([...port.access], [["unix:/run/a", access], ["unix:/run/b", access]]);
});
