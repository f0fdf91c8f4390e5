import { assertEquals, assertLess, assertMatch } from "@std/assert";
import { greeted } from "../support/client.ts";
import { attacked, hostile } from "../support/hostile.ts";
import { type Master, pidIn, Site } from "../support/master.ts";
import { serveSmall } from "../support/peers.ts";
import { NOBODY } from "../support/privileges.ts";
import { descriptorsOf } from "../support/proc.ts";
import { TestProcess } from "../support/processes.ts";
import { plainPython } from "../support/python.ts";
import { eventually } from "../support/wait.ts";

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
  const refusal = /process \d+: Cannot receive a message: descriptors came with it, expected none/;
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
