import { assertEquals, assertMatch } from "@std/assert";
import { greeted } from "../support/client.ts";
import { MODES, pidIn, Site } from "../support/master.ts";

for (const mode of MODES) {
  Deno.test(`${mode} mode: a process that is replaced after a refused reload has the settings in force`, async () => {
    await using site = new Site();
    const port = site.port();
    site.write("all.gcf", { shared: "old" });
    site.serve("a.cf", { mode, service: port, own: "old" });
    const master = await site.start();
    await master.serving("a.cf", 1);
    site.write("all.gcf", { shared: "new" });
    site.serve("a.cf", { mode, service: port, own: "new", "server-proc-count": "many" });
    assertMatch(await master.reloadRefused(), /"many"/);
    using before = await greeted(port);
    Deno.kill(pidIn(before), "SIGKILL");
    await before.ending();
    using after = await greeted(port);
    assertEquals(await after.ask("setting own"), "old");
    assertEquals(await after.ask("setting shared"), "old");
    // Not even a directory that is gone matters.
    Deno.renameSync(site.conf, `${site.conf}.away`);
    Deno.kill(pidIn(after), "SIGKILL");
    await after.ending();
    using last = await greeted(port);
    assertEquals(await last.ask("setting own"), "old");
    assertEquals(await last.ask("quit"), "bye");
    await master.stop();
  });
}
