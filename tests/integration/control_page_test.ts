/** The answers of a master, compared with what docs/control.md says of each command. */
import { assertEquals } from "@std/assert";
import { ControlClient } from "../../src/control/client.ts";
import type { CommandName, Commands } from "../../src/control/messages.ts";
import { controlTypes } from "../../tools/control_tables.ts";
import { greeted } from "../support/client.ts";
import { Site } from "../support/master.ts";
import { eventually } from "../support/wait.ts";

Deno.test("a master answers each command with the fields that docs/control.md has, and no others", async () => {
  await using site = new Site();
  const types = controlTypes(), port = site.port();
  const results = new Map(
    types.propertiesOf(types.get("Commands").type).map(({ name, tsType }) => {
      const result = types.propertiesOf(tsType).find((part) => part.name === "result")!;
      return [name, result.tsType];
    }),
  );
  site.serve("a.cf", { mode: "coroutine", service: port, "server-standby-count": 1 });
  site.serve("b.cf", { mode: "coroutine", service: site.socket("b") });
  const master = await site.start();
  await master.logs(/all services are ready/);
  using client = await ControlClient.connect(`${site.pidFile}.sock`);
  const told = new Set<string>();
  const ask = async <Name extends CommandName>(
    command: Name,
    args?: Commands[Name]["args"],
  ): Promise<Commands[Name]["result"]> => {
    const answer = await client.request(command, args);
    assertEquals(types.differences(answer, results.get(command)!, command), []);
    told.add(command);
    return answer;
  };
  await ask("hello");
  await ask("wait");
  // Something to tell: an end, a connection, a slip in a file, and a change.
  const { services: [{ processes }] } = await ask("status");
  Deno.kill(processes.find(({ state }) => state === "ready")!.pid, "SIGKILL");
  await eventually(async () => (await ask("status")).services[0].lastExit !== null, {
    what: "the end of the process",
  });
  const connection = await greeted(port);
  site.serve("a.cf", { mode: "coroutine", service: port, "sever-proc-count": 1 });
  await ask("plan");
  await ask("reload");
  await ask("restart", { services: ["a.cf"] });
  await ask("scale", { service: "a.cf", count: 2 });
  await ask("stop", { services: ["b.cf"] });
  await ask("start", { services: ["b.cf"] });
  await ask("logs");
  await ask("status");
  await ask("events");
  connection.close();
  const { pid } = await ask("upgrade");
  Deno.kill(pid, "SIGTERM");
  await site.isGone();
  assertEquals([...results.keys()].filter((name) => !told.has(name)), []);
});
