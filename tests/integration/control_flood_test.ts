/** Clients of the control socket that ask for more than a master can do. */
import { assertEquals, assertRejects } from "@std/assert";
import { ControlClient, ControlRequestError } from "../../src/control/client.ts";
import { Site } from "../support/master.ts";
import { eventually } from "../support/wait.ts";

Deno.test("a client makes the master keep 32 changes that wait, and a client that is gone none", async () => {
  await using site = new Site();
  // A reload takes as long as its soak.
  site.serve("a.cf", { mode: "coroutine", service: site.port(), "server-soak": 100 });
  const master = await site.start();
  await master.serving("a.cf", 1);
  const path = `${site.pidFile}.sock`;
  using first = await ControlClient.connect(path);
  // The stop ends it.
  const reload = first.request("reload").catch(() => {});
  await master.logs(/new process \d+ of generation 2/);

  const line = (index: number) =>
    new TextEncoder().encode(
      `${JSON.stringify({ v: 1, id: 1, do: "reload", services: ["a.cf", `gone${index}`] })}\n`,
    );
  for (let index = 0; index < 40; index++) {
    using client = await Deno.connect({ transport: "unix", path });
    await client.write(line(index));
  }
  using client = await ControlClient.connect(path);
  let accepted = 0;
  const ask = async () => {
    const services = ["a.cf", `kept${accepted}`];
    await client.request("reload", { services, wait: false });
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
