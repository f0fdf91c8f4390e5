/** The launcher with real sockets and real processes, which speak the control protocol. */
import { SHIM_VARIABLE } from "../../../src/master/workers/exec_shim.ts";
import { assertEquals, assertGreater, assertLess, assertMatch, assertThrows } from "@std/assert";
import { ServerOutputs } from "../../../src/master/outputs/server_outputs.ts";
import { createLauncher } from "../../../src/master/workers/launcher.ts";
import type { RunningWorker } from "../../../src/master/workers/worker.ts";
import { systemClock } from "../../../src/os/clock/clock.ts";
import { Poller, type Watch } from "../../../src/os/fd/poller.ts";
import type { ChildProcess } from "../../../src/os/process/child_process.ts";
import { type Spawner, systemSpawner } from "../../../src/os/process/spawn.ts";
import type { ServiceConfig } from "../../../src/config/service.ts";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { mayGiveTo } from "../../../src/os/user/credentials.ts";
import { type OpenedListener, openListener } from "../../../src/os/net/open_listener.ts";
import { fakeLookup } from "../../fakes/fake_lookup.ts";
import { leavesNothingOpen, whyNoRefusal } from "../../support/descriptors.ts";
import { ReservedPort } from "../../support/ports.ts";
import { TempDir } from "../../support/temp.ts";
import { eventually, within } from "../../support/wait.ts";
import { configOf, resolved } from "../service_configs.ts";

const GENERATION = 7;
const WORKER = `${import.meta.dirname}/talking_worker.ts`;

const LOOKUP = fakeLookup({
  [WORKER]: "file",
  "/bin/true": { executable: "" },
  "/none": { executable: "" },
}, { denoPath: Deno.execPath() });

/** A spawner that remembers what it started. */
class WatchedSpawner implements Spawner {
  readonly children: ChildProcess[] = [];
  readonly spawn = systemSpawner.spawn;

  spawnPlaced(request: Parameters<Spawner["spawnPlaced"]>[0]): ChildProcess {
    const child = systemSpawner.spawnPlaced(request);
    this.children.push(child);
    return child;
  }
}

/** One launch, with all events of its worker. */
class Launch implements AsyncDisposable {
  readonly dir = new TempDir();
  readonly report = this.dir.file("report");
  readonly told: string[] = [];
  readonly log: string[] = [];
  readonly output: string[] = [];
  readonly spawner = new WatchedSpawner();
  poller = new Poller((error) => this.told.push(`${error}`));
  worker!: RunningWorker;
  readonly #opened: OpenedListener[] = [];
  #service?: ServiceConfig;

  /** Opens addresses for the service. */
  listensOn(addresses: string): this {
    const service = configOf("x.cf", { addresses, file: "etc/x.cf", command: this.#command([]) });
    for (const endpoint of service.endpoints) this.#opened.push(openListener(endpoint));
    this.#service = service;
    return this;
  }

  /** Starts a worker that sends some messages. */
  start(...words: string[]): this {
    const command = this.#command(words);
    const service = this.#service ?? configOf("x.cf", { command, file: "etc/x.cf" });
    return this.startService({ ...service, command: command.split(" ") });
  }

  startService(given: ServiceConfig, { isStandby = false } = {}): this {
    const launcher = createLauncher({
      spawner: this.spawner,
      poller: this.poller,
      lookup: LOOKUP,
      outputs: new ServerOutputs({
        poller: this.poller,
        clock: systemClock,
        mayGiveTo,
        now: Date.now,
        onRecords: (_service, records) => this.output.push(...records.map(({ text }) => text)),
        log: (text) => this.log.push(text),
      }),
      cwd: Deno.cwd(),
      log: (text) => this.log.push(text),
    });
    const fds = isStandby ? [] : this.#fds;
    const place = { lookup: LOOKUP, cwd: Deno.cwd(), configPath: "etc" };
    this.worker = launcher.launch({
      service: resolved(given, place),
      generation: GENERATION,
      fds,
      isStandby,
    }, {
      onLoaded: () => this.told.push("loaded"),
      onReady: () => this.told.push("ready"),
      onDraining: (seconds) => this.told.push(`draining ${seconds}`),
      onDetach: () => this.told.push("detach"),
      onHeartbeat: () => this.told.push("heartbeat"),
      onSpent: () => this.told.push("spent"),
      onUsed: (used) => this.told.push(`used ${used}`),
      onCounts: ({ open, accepted }) => this.told.push(`counts ${open} ${accepted}`),
      onLost: (error) => this.told.push(`lost ${error?.name ?? "quietly"}`),
      onExit: ({ code, signal }) => this.told.push(`exit ${signal ?? code}`),
    });
    assertEquals(this.told, [], "told something from within the call");
    return this;
  }

  /** Starts a standby that sends some messages once it is activated. */
  startStandby(...words: string[]): this {
    const command = this.#command(words);
    const service = this.#service ?? configOf("x.cf", { command, file: "etc/x.cf" });
    return this.startService({ ...service, command: command.split(" ") }, { isStandby: true });
  }

  /** Activates the standby. */
  activate(): void {
    this.worker.activate({ fds: this.#fds });
  }

  get #fds(): number[] {
    return this.#opened.map(({ fd }) => fd);
  }

  #command(words: readonly string[]): string {
    return [WORKER, this.report, ...words].join(" ");
  }

  /**
   * Waits until the worker has had this number of events; its exit may come at any time after that.
   */
  async tells(count: number): Promise<readonly string[]> {
    await eventually(() => this.told.length >= count, { what: `${count} news, not ${this.told}` });
    return this.told.filter((word, index) => index < count || !word.startsWith("exit"));
  }

  /** Waits for the worker's exit, which is its last event. */
  ends(): Promise<string> {
    const isEnd = (word?: string) => word?.startsWith("exit") && word;
    return eventually(() => isEnd(this.told.at(-1)), { what: `an end, not ${this.told}` });
  }

  async logs(count: number): Promise<readonly string[]> {
    await eventually(() => this.log.length >= count, { what: `${count} lines, not ${this.log}` });
    return this.log.map((line) => line.replace(/\d+/, "PID"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.spawner.children) {
      child.kill("SIGKILL");
      await within(child.exited, { what: "the end of a worker" });
    }
    for (const { fd } of this.#opened) closeFd(fd);
    this.dir[Symbol.dispose]();
  }
}

Deno.test("launch() gives a worker its services, its generation, and a listener for each", () =>
  leavesNothingOpen(async () => {
    await using launch = new Launch();
    using port = new ReservedPort();
    const [path, fifo] = [launch.dir.file("s"), launch.dir.file("f")];
    launch.listensOn(`127.0.0.1:${port.port}, mail://local:${path}, in://fifo:${fifo}`);
    launch.start("ready");
    assertEquals(await launch.tells(1), ["ready"]);
    const { message: { settings, ...message }, listeners, args } = JSON.parse(
      Deno.readTextFileSync(launch.report),
    );
    assertEquals(settings.shared, []);
    assertEquals(Object.fromEntries(settings.own)["server-proc-count"], "1");
    assertEquals(message, {
      type: "start",
      generation: GENERATION,
      services: [
        { name: "", type: "inet", address: `127.0.0.1:${port.port}` },
        { name: "mail", type: "unix", address: `local:${path}` },
        { name: "in", type: "fifo", address: `fifo:${fifo}` },
      ],
      capturesOutput: true,
    });
    const flags = { closeOnExec: true, nonblocking: true };
    assertEquals(listeners, [
      { kind: "inet", hostname: "127.0.0.1", port: port.port, ...flags },
      { kind: "unix", path, ...flags },
      { kind: "fifo", path: fifo, ...flags },
    ]);
    const list = ":i5,mail:u6,in:f7";
    assertEquals(
      args.slice(0, -1).join(" "),
      `MASTER -server-config-path etc -config etc/x.cf -server-service ${list} -server-control`,
    );
  }));

Deno.test("launch() makes a standby wait, and activate() gives it its assignment", () =>
  leavesNothingOpen(async () => {
    await using launch = new Launch();
    using port = new ReservedPort();
    launch.listensOn(`127.0.0.1:${port.port}`);
    launch.startStandby("ready");
    assertEquals(await launch.tells(1), ["loaded"]);
    assertThrows(() => Deno.statSync(launch.report), Deno.errors.NotFound);
    launch.activate();
    assertEquals(await launch.tells(2), ["loaded", "ready"]);
    const { message, listeners } = JSON.parse(Deno.readTextFileSync(launch.report));
    assertEquals(message.services, [{ name: "", type: "inet", address: `127.0.0.1:${port.port}` }]);
    assertEquals(listeners.map(({ port }: { port: number }) => port), [port.port]);
  }));

Deno.test("launch() requests heartbeats of a standby at once, and sends its limits at its activation", () =>
  leavesNothingOpen(async () => {
    await using launch = new Launch();
    const command = [WORKER, launch.report].join(" ");
    const settings = { "server-watchdog": "5", "server-idle-exit": "7" };
    const service = configOf("x.cf", { command, file: "etc/x.cf", settings });
    launch.startService({ ...service, command: command.split(" ") }, { isStandby: true });
    assertEquals(await launch.tells(2), ["loaded", "heartbeat"]);
    launch.activate();
    assertEquals((await launch.tells(4)).slice(2), ["spent", "used true"]);
  }));

Deno.test("launch() has no standby of a program that can't receive descriptors later", () => {
  for (const protocol of ["inherit", "libzc", "systemd"]) {
    const launch = new Launch();
    const settings = { "server-protocol": protocol };
    const service = configOf("x", { command: "/bin/true", settings });
    assertThrows(
      () => launch.startService(service, { isStandby: true }),
      TypeError,
      `Cannot keep a standby of "x": the ${protocol} protocol, expected`,
    );
    launch.dir[Symbol.dispose]();
  }
});

Deno.test("launch() requests heartbeats of a worker and sends its limits where the settings say so", () =>
  leavesNothingOpen(async () => {
    await using launch = new Launch();
    const command = [WORKER, launch.report].join(" ");
    const settings = { "server-watchdog": "5", "server-idle-exit": "7" };
    const service = configOf("x.cf", { command, file: "etc/x.cf", settings });
    launch.startService({ ...service, command: command.split(" ") });
    assertEquals(await launch.tells(3), ["heartbeat", "spent", "used true"]);
  }));

Deno.test("launch() reports the messages of the worker, and finally how it ended", () =>
  leavesNothingOpen(async () => {
    await using launch = new Launch();
    launch.start("ready", "draining", "detach");
    assertEquals(await launch.tells(3), ["ready", "draining 3", "detach"]);
    launch.worker.softstop([]);
    assertEquals((await launch.tells(4))[3], "draining 3");
    launch.worker.kill("SIGTERM");
    assertEquals(await launch.ends(), "exit SIGTERM");
    assertEquals(launch.log, []);
  }));

Deno.test("launch() reports a worker's exit, and no event after it", () =>
  leavesNothingOpen(async () => {
    await using launch = new Launch();
    launch.start("exit");
    assertEquals(await launch.ends(), "exit 7");
    launch.worker.softstop([]);
    launch.worker.kill("SIGKILL");
    assertEquals(launch.told.at(-1), "exit 7");
  }));

Deno.test("launch() closes the worker socket of an ended worker, even if another process holds it", async () => {
  await using launch = new Launch();
  await leavesNothingOpen(async () => {
    launch.start("leave-child");
    assertEquals(await launch.ends(), "exit 7");
    Deno.kill(Number(Deno.readTextFileSync(launch.report)), "SIGKILL");
  });
  assertEquals(launch.told, ["exit 7"]);
});

Deno.test("launch() drops messages of another process or generation, and logs it", () =>
  leavesNothingOpen(async () => {
    await using launch = new Launch();
    launch.start("stale-pid", "stale-generation", "wrong-way", "unknown", "ready");
    assertEquals(await launch.tells(1), ["ready"]);
    assertEquals(await launch.logs(2), [
      'x.cf: process PID: dropped a "ready" message that is not its own; further ones are not told',
      "x.cf: process PID: ignored a message of the unknown type 2; further ones are not told",
    ]);
  }));

Deno.test("launch() reports a worker as lost that sends descriptors, and keeps none", () =>
  leavesNothingOpen(async () => {
    await using launch = new Launch();
    launch.start("descriptors");
    // The kernel refuses the message at its sender, which ends its side; before Linux 6.16 the message comes.
    const loss = whyNoRefusal() === undefined ? "lost quietly" : "lost RangeError";
    assertEquals(await launch.tells(1), [loss]);
    assertEquals(await launch.ends(), "exit 9");
  }));

Deno.test("RunningWorker.askCounts() asks no more of a worker that does not read", () =>
  leavesNothingOpen(async () => {
    await using launch = new Launch();
    const { worker } = launch.start("ready");
    await launch.tells(1);
    Deno.kill(worker.pid, "SIGSTOP");
    let asked = 0;
    while (worker.askCounts()) assertLess(asked++, 100_000);
    assertGreater(asked, 0);
    worker.kill("SIGKILL");
    assertEquals(await launch.ends(), "exit SIGKILL");
  }));

Deno.test("launch() reports a worker as lost that closes its worker socket and continues to run", () =>
  leavesNothingOpen(async () => {
    await using launch = new Launch();
    launch.start("ready", "close");
    assertEquals(await launch.tells(2), ["ready", "lost quietly"]);
    launch.worker.softstop([]);
    launch.worker.kill("SIGTERM");
    assertEquals(await launch.ends(), "exit SIGTERM");
  }));

Deno.test("launch() reports a worker as lost that breaks the protocol", () =>
  leavesNothingOpen(async () => {
    await using launch = new Launch();
    launch.start("garbage");
    assertEquals((await launch.tells(1))[0], "lost ProtocolError");
    // The master's end is closed, so the worker notices it too.
    assertEquals(await launch.ends(), "exit 9");
  }));

Deno.test("launch() leaves nothing behind when the program can't be started", () =>
  leavesNothingOpen(async () => {
    await using launch = new Launch();
    const service = configOf("x", {
      command: "/none",
      settings: { "server-protocol": "control" },
    });
    const error = assertThrows(() => launch.startService(service), Error);
    assertMatch(error.message, /\/none/);
    assertEquals(launch.spawner.children, []);
  }));

Deno.test("launch() leaves nothing behind when the worker socket can't be watched", () =>
  leavesNothingOpen(async () => {
    class BrokenPoller extends Poller {
      override watch(): Watch {
        throw new RangeError("no more descriptors");
      }
    }
    await using launch = new Launch();
    launch.poller = new BrokenPoller(() => {});
    assertThrows(() => launch.start(), RangeError, "no more descriptors");
    const { exited } = launch.spawner.children[0];
    assertEquals((await within(exited, { what: "the end of the worker" })).signal, "SIGKILL");
  }));

Deno.test("RunningWorker.kill() is harmless at every moment around the end of the process", async () => {
  await using launch = new Launch();
  const settings = { "server-protocol": "control" };
  for (let round = 0; round < 100; round++) {
    launch.startService(configOf("x", { command: "/bin/true", settings }));
    while (!launch.told.some((word) => word.startsWith("exit"))) {
      launch.worker.kill("SIGTERM");
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    launch.told.length = 0;
  }
  assertEquals(launch.spawner.children.length, 100);
});

Deno.test("launch() starts a restricted program of systemd's protocol without caches", () =>
  leavesNothingOpen(async () => {
    await using launch = new Launch();
    let variables = "";
    launch.spawner.spawnPlaced = ({ env }) => {
      variables = env?.[SHIM_VARIABLE] ?? "";
      throw new RangeError("not started");
    };
    const service = configOf("x", {
      command: "deno run --allow-read /bin/true.ts",
      settings: { "server-protocol": "systemd" },
    });
    assertThrows(() => launch.startService(service), RangeError, "not started");
    const { DENO_DIR, LISTEN_PID } = JSON.parse(variables);
    assertEquals([DENO_DIR, LISTEN_PID], ["/var/cache/deno/none", "{pid}"]);
  }));
