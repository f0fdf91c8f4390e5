/** Settings of the master that only its start takes, and a reload that changes them. */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { ControlClient, ControlRequestError } from "../../src/control/client.ts";
import { Site } from "../support/master.ts";
import { serveSmall } from "../support/peers.ts";

Deno.test("a reload refuses another pid file, and warns of another log service", async () => {
  await using site = new Site();
  serveSmall(site, "a.cf", site.port());
  const path = site.dir.file("control"), { pidFile } = site;
  const settings = { "pid-file": pidFile, "master-control": path };
  site.write("all.gcf", settings);
  await site.run(["-C", site.conf]).complains(/all services are ready/);
  using client = await ControlClient.connect(path);
  const file = site.write("all.gcf", { ...settings, "pid-file": `${pidFile}.other` });
  for (const command of ["reload", "plan"] as const) {
    const { failure } = await assertRejects(() => client.request(command), ControlRequestError);
    assertEquals(failure.code, "refused");
    assertMatch(failure.message, /all\.gcf:\d+: pid-file: Cannot move the pid file to "/);
    assertEquals(failure.problems?.map((one) => one.file), [file]);
  }
  const log = `${site.dir.file("log")},${site.dir.file("lines.")},day`;
  site.write("all.gcf", { ...settings, "log-service": log });
  const outcome = await client.request("reload");
  assertEquals(outcome?.warnings.map(({ key }) => key), ["log-service"]);
  await client.request("stop");
  await site.isGone();
});
