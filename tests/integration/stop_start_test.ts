/** A service that is started again while the processes of before its stop still have its address. */
import { assertEquals } from "@std/assert";
import { ControlClient } from "../../src/control/client.ts";
import { Site } from "../support/master.ts";
import { eventually } from "../support/wait.ts";

for (const change of ["start", "reload"] as const) {
  Deno.test(`${change}, soon after a stop of a service, waits until its processes give its address up`, async () => {
    await using site = new Site();
    const ready = site.dir.file("ready");
    // It goes on for half a second with the listener that it has.
    const program = site.dir.write(
      "slow.sh",
      `#!/bin/sh\ntrap 'sleep 0.5; exit 0' TERM\n: >${ready}\nwhile :; do sleep 0.05; done\n`,
    );
    Deno.chmodSync(program, 0o755);
    site.write("a.cf", {
      "server-command": program,
      "server-service": `127.0.0.1:${site.port()}`,
      "server-protocol": "systemd",
    });
    // A configuration without a service would be a mistake.
    site.serve("b.cf", { mode: "coroutine", service: site.port() });
    const master = await site.start({ args: ["-master-stop-timeout", "3"] });
    await eventually(() => {
      try {
        return Deno.statSync(ready).isFile;
      } catch {
        return false;
      }
    }, { what: "the program" });
    using client = await ControlClient.connect(`${site.pidFile}.sock`);
    await client.request("stop", { services: ["a.cf"], wait: false });
    const outcome = await client.request(change, { services: ["a.cf"] });
    assertEquals(outcome?.outcome, "committed");
    await master.stop();
  });
}
