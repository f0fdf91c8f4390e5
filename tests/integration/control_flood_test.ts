/** Clients of the control socket that ask for more than a master can do. */
import { assertEquals, assertRejects } from "@std/assert";
import { ControlClient, ControlRequestError } from "../../src/control/client.ts";
import { Site } from "../support/master.ts";
import { serveSmall } from "../support/peers.ts";
import { eventually } from "../support/wait.ts";

Deno.test("a client makes the master keep 32 changes that wait, and a client that is gone none", async () => {
  await using site = new Site();
  // A reload takes as long as its soak.
  site.serve("a.cf", { mode: "coroutine", service: site.port(), "server-soak": 100 });
  const others = Array.from({ length: 7 }, (_, index) => `b${index}.cf`);
  for (const file of others) serveSmall(site, file, site.port());
  const master = await site.start();
  await master.serving("a.cf", 1);
  const path = `${site.pidFile}.sock`;
  using first = await ControlClient.connect(path);
  // The stop ends it.
  const reload = first.request("reload").catch(() => {});
  await master.logs(/new process \d+ of generation 2/);

  /** Other services for each number from 0 to 126: each is another change. */
  const services = (number: number) => others.filter((_, index) => (number + 1 >> index) % 2 === 1);
  const line = (index: number) =>
    new TextEncoder().encode(
      `${JSON.stringify({ v: 1, id: 1, do: "reload", services: services(63 + index) })}\n`,
    );
  for (let index = 0; index < 40; index++) {
    using client = await Deno.connect({ transport: "unix", path });
    await client.write(line(index));
  }
  using client = await ControlClient.connect(path);
  let accepted = 0;
  const ask = async () => {
    await client.request("reload", { services: services(accepted), wait: false });
    accepted++;
  };
  await eventually(async () => {
    try {
      await ask();
    } catch (error) {
      if (!(error instanceof ControlRequestError && error.failure.code === "busy")) throw error;
    }
    return accepted === 32;
  }, { what: "room for 32 changes" });
  const { failure: { code } } = await assertRejects(
    ask,
    ControlRequestError,
    "32 changes wait already",
  );
  assertEquals(code, "busy");
  // The same once more is one change.
  accepted = 31;
  await ask();
  master.signal("SIGTERM");
  await reload;
  await site.isGone(10_000);
});
