/** The log lines of a server whose master says, or does not say, that it reads the server's outputs. */
import { assertEquals } from "@std/assert";
import { startFunction } from "../../support/processes.ts";

type First = "start" | "standby";

/** What the first message says. */
type Told = { readonly first: First; readonly flags: { readonly capturesOutput?: boolean } };

/** Logs in a process that gets a first message from a master, and returns what it has printed. */
async function logged(first: First, capturesOutput?: boolean): Promise<string> {
  await using child = startFunction(import.meta, async ({ first, flags }: Told) => {
    const { Recorder } = await import("../../ipc/channel_support.ts");
    const { closeLog, configureLog, zerror, zinfo } = await import("../../../src/log/log.ts");
    const { socketPair } = await import("../../../src/os/net/socket.ts");
    const { MasterLink } = await import("../../../src/server/runtime/master_link.ts");
    const { chooseBackend } = await import("../../../src/server/backend/chosen.ts");
    await chooseBackend();
    const [fd, other] = socketPair();
    const master = new Recorder(other);
    const link = new MasterLink(fd, { onSoftstop: () => {}, onGone: () => {} });
    const settings = { shared: [] };
    master.channel.send(
      first === "start"
        ? { type: first, generation: 1, services: [], settings, ...flags }
        : { type: first, generation: 1, settings, ...flags },
    );
    await link.settings;
    zinfo("before the settings\nare read");
    configureLog({ program: "imapd", pid: 7, format: "json" });
    zerror("behind them");
    closeLog();
    Deno.exit();
  }, { arg: { first, flags: capturesOutput === undefined ? {} : { capturesOutput } } });
  const { code, stderr } = await child.ended();
  assertEquals(code, 0, stderr);
  return stderr;
}

for (const first of ["start", "standby"] as const) {
  Deno.test(`a ${first} with capturesOutput leaves time, ident and pid to the master`, async () => {
    assertEquals(
      await logged(first, true),
      "<6>before the settings\n    are read\n<3>behind them\n",
    );
  });
}

for (const capturesOutput of [undefined, false]) {
  Deno.test(`a start with capturesOutput = ${capturesOutput} leaves the form to the settings`, async () => {
    const [before, rest, behind] = (await logged("start", capturesOutput)).split("\n");
    assertEquals([before, rest], ["before the settings", "    are read"]);
    assertEquals(JSON.parse(behind).Body, "behind them");
  });
}
