import { assertEquals, assertLess, assertMatch } from "@std/assert";
import { ControlClient } from "../../src/control/client.ts";
import { greeted } from "../support/client.ts";
import { whyNoRefusal } from "../support/descriptors.ts";
import { attacked, hostile } from "../support/hostile.ts";
import { leaveOut } from "../support/left_out.ts";
import { type Master, pidIn, Site } from "../support/master.ts";
import { serveSmall } from "../support/peers.ts";
import { NOBODY } from "../support/privileges.ts";
import { descriptorsOf } from "../support/proc.ts";
import { TestProcess } from "../support/processes.ts";
import { plainPython } from "../support/python.ts";
import { eventually, within } from "../support/wait.ts";

/** So many the attacker sends at once, which is more than the master has. */
const DESCRIPTORS_SENT = 250;

/** A pair of services: one whose first server attacks, and one that must not notice. */
async function underAttack(site: Site, attack: string) {
  const port = site.port();
  // The second start is so late that the test sees one attack alone.
  const settings = { "server-start-limit": "1/60" };
  site.write("hostile.cf", hostile(attack, site.port(), settings));
  serveSmall(site, "good.cf", port);
  const master = await site.start();
  await master.serving("good.cf", 1);
  return { master, port };
}

/** Fails unless the other service is served, and a process of it that is killed is replaced. */
async function assertUnharmed(master: Master, port: number): Promise<void> {
  using client = await greeted(port);
  Deno.kill(pidIn(client), "SIGKILL");
  await client.ending();
  using next = await greeted(port);
  assertEquals(await next.ask("echo as before"), "as before");
  assertEquals(master.logged(/unexpected error|uncaught/i), 0, master.log);
}

Deno.test("a server that sends descriptors keeps none in its master, loses its connection and its place", async () => {
  await using site = new Site();
  const { master, port } = await underAttack(site, "descriptors");
  await attacked(master);
  assertLess(descriptorsOf(master.pid).size, DESCRIPTORS_SENT, "descriptors are kept");
  // Where the kernel refuses them, only the unfinished frame has come.
  const refusal = whyNoRefusal() === undefined
    ? /process \d+: Cannot read a frame of type 68: 1048576 bytes, expected at most 1024/
    : /process \d+: Cannot receive a message: descriptors came with it, expected none/;
  await master.logs(refusal);
  await assertUnharmed(master, port);
  await eventually(() => master.servers("hostile.cf").length === 0, { what: "the end of it" });
  assertEquals(master.logged(refusal), 1);
  assertLess(descriptorsOf(master.pid).size, DESCRIPTORS_SENT);
  await master.stop();
});

for (const [attack, line] of [["unknown", "unknown type"], ["foreign", "not its own"]] as const) {
  Deno.test(`a server that floods its master with "${attack}" messages causes one line in the log`, async () => {
    await using site = new Site();
    const { master, port } = await underAttack(site, attack);
    assertMatch(await attacked(master), /^[1-9]\d+ frames are sent$/);
    await assertUnharmed(master, port);
    assertEquals(master.logged(new RegExp(line)), 1);
    assertEquals(master.servers("hostile.cf").length, 1, "it lives on");
    await master.stop();
  });
}

Deno.test("a server that announces a long message loses its connection at once", async () => {
  await using site = new Site();
  const { master, port } = await underAttack(site, "long-frame");
  await master.logs(/Cannot read a frame of type 68: 1048576 bytes, expected at most 1024/);
  await assertUnharmed(master, port);
  await master.stop();
});

Deno.test("a server that floods its master with messages that it may send keeps it from nothing", async () => {
  await using site = new Site();
  const { master, port } = await underAttack(site, "own");
  await assertUnharmed(master, port);
  assertMatch(await attacked(master), /^[1-9]\d+ frames are sent$/);
  assertEquals(master.servers("hostile.cf").length, 1, "it lives on");
  await master.stop();
});

/** Sends datagrams as fast as they are taken, as another user where it can be. */
const DATAGRAMS = `
import os, socket, sys, time
if os.getuid() == 0: os.setuid(int(sys.argv[2]))
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.connect(sys.argv[1])
until = time.monotonic() + 2
while time.monotonic() < until: sender.send(b"flood,1," + b"x" * 9000)
`;

Deno.test("another user who floods the log service keeps its master from nothing", async () => {
  await using site = new Site();
  Deno.chmodSync(site.dir.path, 0o755);
  const port = site.port(), socket = site.dir.file("log.sock");
  serveSmall(site, "good.cf", port);
  const args = ["-log-service", `${socket},${site.dir.file("log.")},day`];
  const master = await site.start({ args });
  await master.serving("good.cf", 1);
  await using flood = new TestProcess([...plainPython(), "-c", DATAGRAMS, socket, `${NOBODY}`]);
  await assertUnharmed(master, port);
  await flood.succeeds();
  await master.stop();
});

Deno.test("a server that leaves the last close of a connection to its master holds it up in nothing", async (t) => {
  const why = whyNoRefusal();
  if (why !== undefined) return leaveOut(t, why);
  await using site = new Site();
  const { master, port } = await underAttack(site, "lingering");
  assertEquals(await attacked(master), "refused");
  await assertUnharmed(master, port);
  assertEquals(master.servers("hostile.cf").length, 1, "it lives on");
  await master.stop();
});

/** Sends a descriptor of a connection whose last close(2) takes an hour, and stays until its input ends. */
const LINGERING = `
import os, socket, struct, sys
sink = socket.create_server(("127.0.0.1", 0))
connection = socket.create_connection(sink.getsockname())
peer = sink.accept()
connection.setblocking(False)
try:
    while True: connection.send(bytes(1 << 16))
except BlockingIOError: pass
connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
if os.getuid() == 0: os.setuid(int(sys.argv[2]))
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.connect(sys.argv[1])
try:
    socket.send_fds(sender, [b"line,1,of another user"], [connection.fileno()])
    connection.close()
except PermissionError: pass
print("sent", flush=True)
sys.stdin.read()
os._exit(0)
`;

Deno.test("another user who leaves the last close of a connection to the log service holds its master up in nothing", async (t) => {
  const why = whyNoRefusal();
  if (why !== undefined) return leaveOut(t, why);
  await using site = new Site();
  Deno.chmodSync(site.dir.path, 0o755);
  const port = site.port(), socket = site.dir.file("log.sock");
  serveSmall(site, "good.cf", port);
  const args = ["-log-service", `${socket},${site.dir.file("log.")},day`];
  const master = await site.start({ args });
  await master.serving("good.cf", 1);
  const argv = [...plainPython(), "-c", LINGERING, socket, `${NOBODY}`];
  await using sender = new TestProcess(argv);
  await eventually(() => sender.stdout.includes("sent"), { what: "the datagram" });
  // No signal, which would end the wait of a system call.
  using control = await ControlClient.connect(`${site.pidFile}.sock`);
  const { services } = await within(control.request("status"), { what: "the status" });
  assertEquals(services.length, 1);
  await assertUnharmed(master, port);
  await master.stop();
});
