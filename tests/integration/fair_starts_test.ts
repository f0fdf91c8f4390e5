/** A large service that crashes all the time takes neither the master's time nor other services' starts. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { greeted } from "../support/client.ts";
import { pidIn, Site } from "../support/master.ts";
import { eventually } from "../support/wait.ts";

/** Of a start in a turn of its own; where one turn has all starts, it is more by the third one. */
const MOST_MS = 5_000;

Deno.test("beside a service of 300 processes that crash without a back-off, another one is replaced, reloads work, and the master stops", async () => {
  await using site = new Site();
  const port = site.port();
  site.write("bad.cf", {
    "server-command": "/bin/false",
    "server-protocol": "libzc",
    "server-service": `127.0.0.1:${site.port()}`,
    "server-proc-count": 300,
    "server-backoff-max": 0,
    // A reload that tried it would be undone.
    "server-reload": "changed",
  });
  site.serve("good.cf", { mode: "coroutine", service: port });
  const master = await site.start();
  const END = /bad\.cf: process \d+ ended after/g;
  await master.logs(END, 100);
  for (let round = 0; round < 3; round++) {
    using client = await greeted(port);
    const pid = pidIn(client);
    const killedMs = performance.now();
    Deno.kill(pid, "SIGKILL");
    const next = await eventually(
      () => master.servers("good.cf").find((server) => server.pid !== pid),
      { what: "a process in its place" },
    );
    const tookMs = performance.now() - killedMs;
    assert(tookMs < MOST_MS, `${tookMs} ms`);
    using served = await greeted(port);
    assertEquals(pidIn(served), next.pid);
    assertNotEquals(next.pid, pid);
    // It goes on.
    const before = [...master.log.matchAll(END)].length;
    await master.logs(END, before + 20);
  }
  await master.reload();
  await master.stop();
  await site.isGone();
});
