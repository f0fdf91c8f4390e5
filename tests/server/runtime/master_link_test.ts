import { assert, assertEquals, assertRejects } from "@std/assert";
import type { GrantedSettings } from "../../../src/config/effective.ts";
import { ProtocolError } from "../../../src/ipc/protocol.ts";
import type { SentSocket } from "../../../src/ipc/service_socket.ts";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { closeLog } from "../../../src/log/log.ts";
import { socketPair } from "../../../src/os/net/socket.ts";
import { serverLifecycle } from "../../../src/server/lifecycle/lifecycle.ts";
import { MasterLink } from "../../../src/server/runtime/master_link.ts";
import { Recorder } from "../../ipc/channel_support.ts";
import { countedDescriptors, flagsOf, leavesNothingOpen } from "../../support/descriptors.ts";
import { eventually } from "../../support/wait.ts";

const GRANT: SentSocket = { name: "imapd", type: "inet", address: "0:143" };
const SETTINGS: GrantedSettings = { shared: [["color", "blue"]], own: [["size", "1"]] };

/** A link with a master at its other end. */
interface Ends {
  readonly link: MasterLink;
  readonly master: Recorder;
  /** The link's socket. */
  readonly fd: number;
  /** What the master's words led to, in order. */
  readonly calls: string[];
}

function test(text: string, body: (ends: Ends) => Promise<void>): void {
  Deno.test(`MasterLink ${text}`, () =>
    leavesNothingOpen(async () => {
      const [fd, other] = socketPair();
      const calls: string[] = [];
      const master = new Recorder(other);
      const link = new MasterLink(fd, {
        onSoftstop: () => calls.push("softstop"),
        onGone: () => calls.push("gone"),
      });
      try {
        await body({ link, master, fd, calls });
      } finally {
        link.close();
        master.channel.close();
        // It holds on to where it writes.
        closeLog();
      }
    }));
}

/** Sends as many descriptors as asked for, to anything that is open. */
function start({ master }: Ends, services: readonly SentSocket[], count = services.length): void {
  const message = { type: "start", generation: 7, services, settings: SETTINGS } as const;
  master.channel.send(message, Array(count).fill(0));
}

async function called({ calls }: Ends, ...expected: string[]): Promise<void> {
  await eventually(() => calls.length >= expected.length, { what: expected.join() });
  assertEquals(calls, expected);
}

test("takes the numbers of descriptors that were inherited, and no others then", async (ends) => {
  start(ends, [{ ...GRANT, fd: 20 }, { name: "", type: "unix", address: "./s", fd: 7 }], 0);
  const { services, isInherited } = await ends.link.started;
  assertEquals(services.map(({ fd, address }) => [fd, address]), [[20, "0:143"], [7, "./s"]]);
  assertEquals(isInherited, true);
});

test("takes the services and their descriptors from the first message", async (ends) => {
  start(ends, [GRANT, { name: "", type: "fifo", address: "fifo:/run/p" }]);
  const { services } = await ends.link.started;
  assertEquals(services.map(({ name, type }) => [name, type]), [["imapd", "inet"], ["", "fifo"]]);
  for (const { fd } of services) {
    assert(flagsOf(fd).closeOnExec);
    closeFd(fd);
  }
});

test("keeps its socket from the programs that the server starts", async ({ fd }) => {
  assert(flagsOf(fd).closeOnExec);
  await Promise.resolve();
});

test("has the settings of a standby, and waits for its start", async (ends) => {
  const { link, master } = ends;
  master.channel.send({ type: "standby", generation: 7, settings: SETTINGS });
  assertEquals(await link.settings, SETTINGS);
  assert(serverLifecycle.isStandby);
  link.loaded();
  await master.until(1);
  assertEquals(master.messages, [{ type: "loaded", pid: Deno.pid, generation: 7 }]);
  start(ends, [GRANT]);
  const { services } = await link.started;
  assertEquals(services.map(({ name }) => name), ["imapd"]);
  assert(!serverLifecycle.isStandby);
  services.forEach(({ fd }) => closeFd(fd));
  link.loaded();
  link.ready();
  await master.until(2);
  assertEquals(master.messages[1], { type: "ready", pid: Deno.pid, generation: 7 });
});

test("takes a start that arrives before a standby has loaded", async (ends) => {
  ends.master.channel.send({ type: "standby", generation: 7, settings: SETTINGS });
  start(ends, []);
  assertEquals((await ends.link.started).settings, SETTINGS);
  assertEquals(serverLifecycle.isStandby, false);
});

test("of a standby only reports that the master is gone", async (ends) => {
  ends.master.channel.send({ type: "standby", generation: 7, settings: SETTINGS });
  await ends.link.settings;
  let rejected = false;
  ends.link.started.catch(() => rejected = true);
  ends.master.channel.close();
  await called(ends, "gone");
  assertEquals(rejected, false);
  serverLifecycle.activate();
});

test("says its pid and its generation in all that it sends", async (ends) => {
  const { link, master } = ends;
  start(ends, []);
  await link.started;
  link.ready();
  link.draining(1.5);
  link.detach();
  await master.until(3);
  const sender = { pid: Deno.pid, generation: 7 };
  assertEquals(master.messages, [
    { type: "ready", ...sender },
    { type: "draining", seconds: 2, ...sender },
    { type: "detach", ...sender },
  ]);
});

test("tells of a soft stop, and of the end of the master", async (ends) => {
  start(ends, []);
  ends.master.channel.send({ type: "softstop" });
  await called(ends, "softstop");
  ends.master.channel.close();
  await called(ends, "softstop", "gone");
});

test("can't start when the master goes before its first message", async (ends) => {
  const rejected = assertRejects(
    () => ends.link.started,
    ProtocolError,
    "Cannot start: the master is gone, expected its first message",
  );
  ends.master.channel.close();
  await rejected;
  await called(ends, "gone");
});

for (const count of [0, 2]) {
  test(`can't start with ${count} descriptors for one service, and keeps none`, async (ends) => {
    const rejected = assertRejects(
      () => ends.link.started,
      ProtocolError,
      `Cannot start: ${count} descriptors came, expected 1`,
    );
    start(ends, [GRANT], count);
    await rejected;
    // The link is closed: nothing that comes now can be trusted.
    await ends.master.until(1);
    assertEquals([ends.master.told, ends.calls], [[{ closed: undefined }], ["gone"]]);
  });
}

test("ignores a second start, and keeps none of its descriptors", async (ends) => {
  start(ends, []);
  await ends.link.started;
  closeLog();
  const before = countedDescriptors().size;
  start(ends, [GRANT, GRANT]);
  ends.master.channel.send({ type: "softstop" });
  await called(ends, "softstop");
  // What it has logged has opened the log, in some places.
  closeLog();
  assertEquals(countedDescriptors().size, before);
  ends.link.ready();
  await ends.master.until(1);
  assertEquals(ends.master.messages, [{ type: "ready", pid: Deno.pid, generation: 7 }]);
});

test("ignores what only servers send, and keeps no descriptor of it", async (ends) => {
  start(ends, []);
  await ends.link.started;
  closeLog();
  const before = countedDescriptors().size;
  ends.master.channel.send({ type: "ready", pid: 1, generation: 1 }, [0, 0]);
  ends.master.channel.send({ type: "softstop" });
  await called(ends, "softstop");
  // What it has logged has opened the log, in some places.
  closeLog();
  assertEquals(countedDescriptors().size, before);
});

test("does not tell of an end that it has made itself", async (ends) => {
  ends.link.started.catch(() => {});
  ends.link.close();
  ends.link.close();
  ends.link.ready();
  await ends.master.until(1);
  assertEquals([ends.master.told, ends.calls], [[{ closed: undefined }], []]);
});
