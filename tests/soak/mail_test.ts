import { assert, assertEquals } from "@std/assert";
import { MailSystem } from "../support/mail_system.ts";
import { python } from "../support/python.ts";

const CLIENT = new URL("../support/mail_storm.py", import.meta.url).pathname;

/** So many messages are sent, each to two users, over so many connections. */
const CONNECTIONS = 8, PER_CONNECTION = 625;

const SETTINGS = {
  // A machine does not fail here, and thousands of waits for the disk prove nothing.
  "shared.gcf": "mail-sync = no",
  "smtpd.cf": "server-proc-count = 4",
  // Nobody reads here.
  "imapd.cf": "server-proc-count = 0",
  "pop3d.cf": "server-proc-count = 0",
};

/** What is done when such a part of them has been accepted. */
const EVENTS: readonly (readonly [part: number, event: "reload" | "kill"])[] = [
  [0.1, "kill"],
  [0.2, "reload"],
  [0.4, "kill"],
  [0.5, "reload"],
  [0.8, "kill"],
];

/** A message answered 250 survives the end of its server: none is lost, none is there twice. */
Deno.test("10,000 deliveries that were answered 250 are there once each, after reloads and kills", async () => {
  await using system = await MailSystem.start(SETTINGS);
  const accepted = system.site.dir.file("accepted");
  await using client = system.site.execute([
    ...[python(), CLIENT, String(system.ports.smtp), String(CONNECTIONS), String(PER_CONNECTION)],
    accepted,
  ]);
  const total = CONNECTIONS * PER_CONNECTION;
  for (const [part, event] of EVENTS) {
    await client.prints(new RegExp(`^${part * total} accepted\n`, "m"), 180_000);
    if (event === "reload") await system.reload();
    // Those that have clients are among them.
    else for (const pid of system.processes("smtpd").slice(0, 2)) Deno.kill(pid, "SIGKILL");
  }
  const { code, stdout, stderr } = await client.ended(240_000);
  assertEquals(code, 0, stdout + stderr);
  const ids = Deno.readTextFileSync(accepted).trim().split("\n");
  assertEquals(ids.length, total);
  for (const user of ["alice", "bob"]) {
    const found = new Map<string, number>();
    for (const text of system.messages(user).values()) {
      const [, id] = /^X-Id: (.*)\r\n\r\nx\r\n$/m.exec(text) ?? [];
      assert(id !== undefined, `a message is incomplete: ${text}`);
      found.set(id, (found.get(id) ?? 0) + 1);
    }
    assertEquals(ids.filter((id) => found.get(id) !== 1), [], stdout);
    assertEquals([...found].filter(([, count]) => count > 1), []);
  }
  await system.stop();
});
