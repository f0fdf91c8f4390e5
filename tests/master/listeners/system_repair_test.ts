import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { type Endpoint, parseAddress } from "../../../src/config/address.ts";
import {
  isSoundListener,
  type Repaired,
  repairListeners,
  type RepairOptions,
} from "../../../src/master/listeners/system_repair.ts";
import { systemListeners } from "../../../src/master/listeners/system.ts";
import { ListenerTable } from "../../../src/master/listeners/table.ts";
import { closeFd, duplicateFd } from "../../../src/os/fd/descriptor.ts";
import { admissionOf } from "../../../src/os/net/listener_damage.ts";
import { libc } from "../../../src/os/ffi/libc.ts";
import { type Listener, ownListener } from "../../../src/master/policy/listener.ts";
import { ListenerOwners } from "../../../src/master/listeners/owners.ts";
import { acceptFd } from "../../../src/os/net/socket.ts";
import { openListener } from "../../../src/os/net/open_listener.ts";
import { setIntOption } from "../../../src/os/net/socket_options.ts";
import { isRefused, type Target } from "../../support/client.ts";
import { flagsOf, leavesNothingOpen, targetOf } from "../../support/descriptors.ts";
import {
  ATTACKS,
  INET_ATTACKS,
  shortenQueue,
  spoil,
  SPOILING_OPTIONS,
  SPOILING_OPTIONS_OF_IPV6,
  SPOILING_OPTIONS_OF_UNIX,
} from "../../support/listener_attacks.ts";
import { ReservedPort } from "../../support/ports.ts";
import { TempDir } from "../../support/temp.ts";
import { eventually, within } from "../../support/wait.ts";
import { serviceOf } from "../service_configs.ts";

/** A listener of a master that a server holds as well. */
class Shared implements Disposable {
  readonly endpoint: Endpoint;
  listener: Listener;
  /** The server's descriptor of the same listener. */
  readonly servers: number;
  readonly inode: string;

  constructor(address: string, readonly target: Target) {
    this.endpoint = parseAddress(address, { cwd: "/" });
    this.listener = ownListener(this.endpoint, openListener(this.endpoint));
    this.servers = duplicateFd(this.listener.fd);
    this.inode = targetOf(this.servers)!;
  }

  repair(options: Partial<RepairOptions> = {}): Repaired {
    const { endpoint } = this;
    const repaired = repairListeners([this.listener], {
      endpoint,
      mayReplace: true,
      mayRevive: false,
      ...options,
    });
    this.listener = repaired.slots[0];
    return repaired;
  }

  /** Whether it is still the listener that the server holds. */
  get isSame(): boolean {
    return targetOf(this.listener.fd) === this.inode;
  }

  /** Fails unless a client gets into the queue of the master's listener. */
  async isReached(): Promise<void> {
    assert(isSoundListener(this.listener));
    const connecting = typeof this.target === "number"
      ? Deno.connect({ hostname: "127.0.0.1", port: this.target })
      : Deno.connect({ transport: "unix", path: this.target });
    using _client = await connecting;
    const accepted = await eventually(() => acceptFd(this.listener.fd), { what: "a client" });
    closeFd(accepted);
  }

  [Symbol.dispose](): void {
    closeFd(this.listener.fd);
    closeFd(this.servers);
  }
}

/** The log line of an attack, and whether the socket can stay the same. */
const INET_CASES: Readonly<
  Record<
    keyof typeof ATTACKS | keyof typeof INET_ATTACKS,
    readonly [told: RegExp, stays: boolean | string]
  >
> = {
  shutDown: [/^was shut down, and was opened anew$/, false],
  block: [/^was blocking, which is undone$/, true],
  disconnect: [/^was shut down, and was opened anew$/, false],
  connect: [/^was shut down, and was opened anew$/, false],
  keys: [/^was given keys of TCP_MD5SIG for good, and was opened anew$/, false],
  filter: [/^was filtered, which is undone$/, true],
  lockedFilter: [/^was filtered for good, and was opened anew$/, false],
  lockedAndShutDown: [/^was filtered for good, and was opened anew$/, false],
  // Without CAP_NET_RAW the change can't be undone, so another listener is opened.
  bindToInterface: [
    /^was bound to one interface(, which is undone| for good, and was opened anew)$/,
    "where it is undone",
  ],
  closeToDistantHosts: [/^was closed to distant hosts, which is undone$/, true],
};

for (const [name, attack] of Object.entries({ ...ATTACKS, ...INET_ATTACKS })) {
  const [told, stays] = INET_CASES[name as keyof typeof INET_CASES];
  Deno.test(`repairListeners() repairs a TCP listener after the attack ${name}`, () =>
    leavesNothingOpen(async () => {
      using reserved = new ReservedPort();
      const { port } = reserved;
      using shared = new Shared(`127.0.0.1:${port}`, port);
      assertEquals(shared.repair().told, [], "nothing is wrong at first");
      attack(shared.servers);
      assert(!isSoundListener(shared.listener));
      const repaired = shared.repair();
      assertEquals([repaired.told.length, repaired.problem], [1, undefined], `${repaired.told}`);
      assertMatch(repaired.told[0], told);
      const isUndone = repaired.told[0].endsWith("undone");
      assertEquals(shared.isSame, typeof stays === "string" ? isUndone : stays);
      assertEquals(flagsOf(shared.listener.fd), { closeOnExec: true, nonblocking: true });
      await shared.isReached();
      assertEquals(shared.repair().told, [], "it is right now");
    }));
}

/** The value of an option, as bytes. */
function optionOf(fd: number, [level, name]: readonly [level: number, name: number, ...unknown[]]) {
  const bytes = new Uint8Array(64), length = new Uint32Array([bytes.length]);
  assertEquals(libc().getsockopt(fd, level, name, bytes, length), 0);
  return bytes.slice(0, length[0]).toHex();
}

for (
  const [host, options] of [
    ["127.0.0.1", SPOILING_OPTIONS],
    ["[::1]", { ...SPOILING_OPTIONS, ...SPOILING_OPTIONS_OF_IPV6 }],
  ] as const
) {
  Deno.test(`repairListeners() resets the options of a listener of ${host} that harm connections`, () =>
    leavesNothingOpen(() => {
      for (const [name, option] of Object.entries(options)) {
        using reserved = new ReservedPort();
        using shared = new Shared(`${host}:${reserved.port}`, reserved.port);
        const before = optionOf(shared.servers, option);
        spoil(shared.servers, option);
        assertNotEquals(optionOf(shared.servers, option), before, name);
        assert(!isSoundListener(shared.listener), name);
        const repaired = shared.repair();
        assertEquals(
          [repaired.told.length, repaired.problem],
          [1, undefined],
          `${name} ${repaired.told}`,
        );
        // This option can't be reset.
        const outcome = name === "TCP_WINDOW_CLAMP"
          ? " for good, and was opened anew"
          : ", which is undone";
        const changes = new RegExp(
          `^was (closed to distant hosts|(changed in \\w+( and )?)+)${outcome}$`,
        );
        assertMatch(repaired.told[0], changes);
        if (!repaired.told[0].includes("distant")) {
          assertStringIncludes(repaired.told[0], `changed in ${name}`);
        }
        assertEquals(optionOf(shared.listener.fd, option), before, name);
        assert(isSoundListener(shared.listener), name);
      }
    }));
}

Deno.test("repairListeners() resets the options of a unix socket that its connections inherit, but those of its activator", () =>
  leavesNothingOpen(() => {
    using temp = new TempDir();
    const path = temp.file("socket");
    using shared = new Shared(path, path);
    for (const [name, option] of Object.entries(SPOILING_OPTIONS_OF_UNIX)) {
      spoil(shared.servers, option);
      assert(!isSoundListener(shared.listener), name);
      assertEquals(shared.repair().told, [`was changed in ${name}, which is undone`]);
      spoil(shared.servers, option);
      const { listener } = shared;
      shared.listener = { ...listener, admission: admissionOf(listener.fd) };
      assertEquals(shared.repair().told, [], "the activator has set it");
      shared.listener = listener;
      assertEquals(shared.repair().told.length, 1);
    }
  }));

Deno.test("repairListeners() leaves larger buffers and other harmless options", () =>
  leavesNothingOpen(() => {
    using reserved = new ReservedPort();
    using shared = new Shared(`127.0.0.1:${reserved.port}`, reserved.port);
    for (const [level, name, value] of [[1, 7, 1 << 16], [1, 8, 1 << 17], [1, 9, 1], [6, 1, 1]]) {
      setIntOption({ fd: shared.servers, level, name }, value);
    }
    assert(isSoundListener(shared.listener));
    assertEquals(shared.repair().told, []);
  }));

Deno.test("repairListeners() restores the queue length of a listener of its own", () =>
  leavesNothingOpen(async () => {
    using temp = new TempDir();
    const path = temp.file("socket");
    using shared = new Shared(path, path);
    shortenQueue(shared.servers);
    const clients: Deno.Conn[] = [];
    const connect = async () => {
      clients.push(await within(Deno.connect({ transport: "unix", path }), { what: "room" }));
    };
    await connect();
    assertEquals(shared.repair().told, []);
    for (let count = 0; count < 20; count++) await connect();
    clients.forEach((client) => client.close());
    assert(shared.isSame);
  }));

Deno.test("repairListeners() reopens a unix socket that was shut down, and its path leads to it", () =>
  leavesNothingOpen(async () => {
    using temp = new TempDir();
    const path = temp.file("socket");
    using shared = new Shared(path, path);
    ATTACKS.shutDown(shared.servers);
    assert(await isRefused(path));
    const repaired = shared.repair({ access: { mode: 0o640 } });
    assertEquals(repaired.told, ["was shut down, and was opened anew"]);
    assertEquals(shared.isSame, false);
    assertEquals(Deno.lstatSync(path).mode! & 0o777, 0o640);
    await shared.isReached();
  }));

for (const address of ["local:socket", "fifo:pipe"]) {
  Deno.test(`repairListeners() recreates the file of ${address} when it was removed`, () =>
    leavesNothingOpen(() => {
      using temp = new TempDir();
      const path = temp.file(address.split(":")[1]);
      using shared = new Shared(address.replace(":", `:${temp.path}/`), path);
      ATTACKS.block(shared.servers);
      Deno.removeSync(path);
      const repaired = shared.repair();
      assertEquals(repaired.told, [
        "was blocking, which is undone",
        "had lost its file, and was opened anew",
      ]);
      assertNotEquals(targetOf(shared.listener.fd), targetOf(shared.servers));
      assert(isSoundListener(shared.listener));
      assertEquals(shared.repair(), { slots: [shared.listener], told: [] });
    }));
}

Deno.test("repairListeners() leaves the path of a socket to another program that listens there", () =>
  leavesNothingOpen(() => {
    using temp = new TempDir();
    const path = temp.file("socket");
    using shared = new Shared(path, path);
    Deno.removeSync(path);
    using _other = Deno.listen({ transport: "unix", path });
    const { ino } = Deno.lstatSync(path);
    const { told, problem } = shared.repair();
    assertEquals(told, []);
    assertMatch(problem!, /^had lost its file: .*(another process answers|address in use)/);
    assert(shared.isSame);
    assertEquals(Deno.lstatSync(path).ino, ino);
  }));

Deno.test("repairListeners() names the program that has taken the port of a listener that was shut down", () =>
  leavesNothingOpen(() => {
    using reserved = new ReservedPort();
    using shared = new Shared(`127.0.0.1:${reserved.port}`, reserved.port);
    ATTACKS.shutDown(shared.servers);
    using _rival = Deno.listen({ hostname: "127.0.0.1", port: reserved.port });
    const { told, problem } = shared.repair();
    assertEquals(told, []);
    assertMatch(problem!, /^was shut down: bind "127.0.0.1:\d+": address in use/);
  }));

Deno.test("repairListeners() makes a TCP listener listen again that may not be replaced and that no process holds", () =>
  leavesNothingOpen(async () => {
    using temp = new TempDir();
    const path = temp.file("socket");
    using reserved = new ReservedPort();
    using tcp = new Shared(`127.0.0.1:${reserved.port}`, reserved.port);
    using unix = new Shared(path, path);
    const given = { mayReplace: false, mayRevive: true } as const;
    for (const { servers } of [tcp, unix]) ATTACKS.shutDown(servers);
    for (const shared of [tcp, unix]) {
      const { told, problem } = shared.repair({ ...given, mayRevive: false });
      assertEquals([told, problem], [[], "was shut down"], "a process has it");
    }
    assertEquals(tcp.repair(given).told, ["was shut down, and listens again"]);
    await tcp.isReached();
    assertEquals(unix.repair(given).problem, "was shut down");
    INET_ATTACKS.connect(tcp.servers);
    assertEquals(tcp.repair(given).told, ["was shut down, and listens again"]);
    INET_ATTACKS.lockedFilter(tcp.servers);
    assertEquals(tcp.repair(given).problem, "was filtered for good");
    assert(tcp.isSame && unix.isSame);
  }));

Deno.test("repairListeners() keeps the access mode that the opener of a listener has set", () =>
  leavesNothingOpen(() => {
    using reserved = new ReservedPort();
    using shared = new Shared(`127.0.0.1:${reserved.port}`, reserved.port);
    INET_ATTACKS.filter(shared.servers);
    INET_ATTACKS.closeToDistantHosts(shared.servers);
    const own = [SPOILING_OPTIONS.SO_LINGER, SPOILING_OPTIONS.IP_TTL];
    for (const option of own) spoil(shared.servers, option);
    const { fd } = shared.listener;
    shared.listener = { ...shared.listener, admission: admissionOf(fd) };
    assertEquals(shared.repair().told, []);
    ATTACKS.shutDown(shared.servers);
    const { told } = shared.repair({ mayReplace: false, mayRevive: true });
    assertEquals(told, ["was shut down, and listens again"]);
    assertEquals(admissionOf(fd), shared.listener.admission);
    for (const [level, name] of own) spoil(shared.servers, [level, name, 2, 2]);
    assertEquals(shared.repair().told, [
      "was closed to distant hosts and changed in SO_LINGER, which is undone",
    ]);
    assertEquals(admissionOf(fd), shared.listener.admission);
  }));

Deno.test("repairListeners() never throws, whatever a descriptor has become", () => {
  const endpoint = parseAddress("127.0.0.1:1", { cwd: "/" });
  for (const fd of [1_000_000, 0]) {
    const listener = ownListener(endpoint, { fd });
    const { slots, problem } = repairListeners([listener], {
      endpoint,
      mayReplace: false,
      mayRevive: true,
    });
    assertEquals(slots, [listener]);
    assertEquals(typeof problem, fd === 0 ? "undefined" : "string");
  }
});

Deno.test("systemListeners never throws for changes to a listener or its file", () => {
  using temp = new TempDir();
  using reserved = new ReservedPort();
  for (const [address, target] of [[`127.0.0.1:${reserved.port}`, reserved.port], ["", ""]]) {
    const path = temp.file("directory/socket");
    Deno.mkdirSync(temp.file("directory"));
    using shared = new Shared(`${address}` || path, target || path);
    const { listener } = shared;
    ATTACKS.shutDown(shared.servers);
    // Neither the path nor its directory exists any more.
    Deno.removeSync(temp.file("directory"), { recursive: true });
    temp.write("directory", "");
    systemListeners.steer([listener, listener], [0, 1]);
    systemListeners.protect(listener, { mode: 0o600 });
    assertEquals(systemListeners.refuse(listener), false);
    systemListeners.close({ ...listener, fd: duplicateFd(listener.fd) });
    systemListeners.discard({ ...listener, fd: duplicateFd(listener.fd) });
    Deno.removeSync(temp.file("directory"));
  }
});

/** A group in a table, as in the supervisor. */
class Group implements Disposable {
  readonly #reserved = new ReservedPort();
  readonly table = new ListenerTable(new ListenerOwners(systemListeners));
  readonly service = serviceOf("x", {
    addresses: `127.0.0.1:${this.#reserved.port}`,
    procCount: 3,
    settings: { "server-balance": "reuseport" },
  });
  readonly key = this.service.endpoints[0].key;
  readonly servers: readonly number[];

  constructor() {
    this.table.prepare([this.service]).commit();
    this.table.keep(this.service);
    this.servers = this.slots.map(({ fd }) => duplicateFd(fd));
  }

  get slots(): readonly Listener[] {
    return this.table.listenersOf(this.key);
  }

  /** Which slot gets a client when only one is served. */
  async reached(slot: number): Promise<number> {
    this.table.steer(this.service, new Set([this.slots[slot]]));
    using _client = await Deno.connect({ hostname: "127.0.0.1", port: this.#reserved.port });
    return await eventually(() => {
      const found = this.slots.findIndex(({ fd }) => {
        const accepted = acceptFd(fd);
        if (accepted !== undefined) closeFd(accepted);
        return accepted !== undefined;
      });
      return found >= 0 && [found];
    }, { what: "a client" }).then(([found]) => found);
  }

  [Symbol.dispose](): void {
    this.table.releaseAll();
    this.table.closeReleased();
    this.servers.forEach(closeFd);
    this.#reserved[Symbol.dispose]();
  }
}

for (const [name, victims] of [["first", [0]], ["last", [2]], ["two", [2, 0]]] as const) {
  for (const attack of ["shutDown", "lockedFilter"] as const) {
    Deno.test(`ListenerTable.repair() keeps the order of a group after the attack ${attack} on the ${name}`, () =>
      leavesNothingOpen(async () => {
        using group = new Group();
        const { table, key } = group, before = [...group.slots];
        for (const slot of before.keys()) assertEquals(await group.reached(slot), slot);
        for (const victim of victims) {
          ({ ...ATTACKS, ...INET_ATTACKS })[attack](group.servers[victim]);
        }
        const repaired = table.repair(key, { mayReplace: true, mayRevive: false });
        // The order in which several have left is unknown.
        const going = victims.length > 1 ? before : [before[victims[0]]];
        assertEquals(repaired.replaced, going);
        assertEquals(repaired.problem, undefined);
        for (const [slot, listener] of before.entries()) {
          assertEquals(group.slots[slot] === listener, !going.includes(listener));
        }
        for (const slot of before.keys()) assertEquals(await group.reached(slot), slot);
        // Once more, from the current order.
        ATTACKS.shutDown(group.slots[1].fd);
        table.repair(key, { mayReplace: true, mayRevive: false });
        for (const slot of before.keys()) assertEquals(await group.reached(slot), slot);
        const handedOver = table.all();
        assertEquals(new Set(handedOver), new Set(group.slots));
      }));
  }
}

Deno.test("repairListeners() gives a named pipe its size back", () =>
  leavesNothingOpen(() => {
    using temp = new TempDir();
    const path = temp.file("pipe"), F_SETPIPE_SZ = 1031, F_GETPIPE_SZ = 1032;
    using shared = new Shared(`fifo:${path}`, path);
    const size = () => libc().fcntl(shared.listener.fd, F_GETPIPE_SZ, 0), before = size();
    assertEquals(libc().fcntl(shared.servers, F_SETPIPE_SZ, 4096), 4096);
    assertEquals(shared.repair().told, []);
    assertEquals(size(), before);
    // A larger one may have its reasons.
    const larger = libc().fcntl(shared.servers, F_SETPIPE_SZ, 2 * before);
    shared.repair();
    if (larger >= 0) assertEquals(size(), larger);
  }));
