/** What a server of another user can do to its master by what both hold, and by the master's pid. */
import { assertEquals } from "@std/assert";
import { mayChangeRoot } from "../../src/os/user/credentials.ts";
import { greeted } from "../support/client.ts";
import { id } from "../support/credentials.ts";
import { installationFor } from "../support/installation.ts";
import { leaveOut } from "../support/left_out.ts";
import { Site } from "../support/master.ts";

/** Another user than the one who runs the tests. */
const USER = id("-un") === "nobody" ? "daemon" : "nobody";

const NEIGHBOUR = new URL("../support/servers/neighbour.py", import.meta.url).pathname;

Deno.test("a server of another user neither signals its master by listener and outputs, nor reaches into it, nor spoils its reading", async (t) => {
  // Another user's master has no such servers.
  if (!mayChangeRoot()) return leaveOut(t);
  await using site = new Site(installationFor(USER));
  const program = site.dir.file("neighbour.py"), port = site.port(), shared = site.port();
  Deno.copyFileSync(NEIGHBOUR, program);
  Deno.chmodSync(program, 0o644);
  site.serve("good.cf", { mode: "coroutine", service: port });
  site.write("neighbour.cf", {
    "server-command": `/usr/bin/python3 ${program}`,
    "server-service": `127.0.0.1:${shared}`,
    "server-protocol": "systemd",
    "server-user": USER,
  });
  const master = await site.start();
  await master.logs(
    /refused: kill ptrace pidfd_getfd prlimit setpriority sched_setaffinity environ mem maps$/m,
  );
  await master.logs(/neighbour\[\d+\] done$/m);
  for (const line of ["by vmsplice", "in a packet"]) {
    await master.logs(new RegExp(`neighbour\\[\\d+\\] ${line}$`, "m"));
  }
  assertEquals(master.logged(/neighbour\[\d+\] by tee$/m), 2);
  // An event of the listener.
  using _client = await Deno.connect({ hostname: "127.0.0.1", port: shared });
  await master.reload();
  {
    using client = await greeted(port);
    assertEquals(await client.ask("echo as before"), "as before");
  }
  await master.stop();
});
