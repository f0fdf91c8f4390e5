/** The units in deploy/systemd: by the checks of systemd, and with a systemd of the test's own. */
import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { HttpClient } from "../server/http_client.ts";
import { statusLine } from "../support/credentials.ts";
import { leaveOut } from "../support/left_out.ts";
import { ReservedPort } from "../support/ports.ts";
import { startDeno } from "../support/processes.ts";
import { TempDir } from "../support/temp.ts";
import { eventually } from "../support/wait.ts";
import { DEPLOY } from "./deploy_files.ts";
import { fetchPackages, inMidRequest, makeProject, setService } from "./project.ts";
import { noSystemd, Systemd } from "./systemd_namespace.ts";

const ANALYZE = "systemd-analyze";
const UNITS = `${DEPLOY}systemd/`, SERVICE = "zc-master.service", SOCKET = "zc-master.socket";

/** What systemd-analyze(1) says of the service, at most; 10 is without any protection. */
const EXPOSURE = { ordinary: "1.5", "server-user.conf": "4.0" } as const;

/** Copies the units to where each program that they name is found. */
function copyUnits(dir: TempDir, { dropIn = false, deno = Deno.execPath() } = {}): void {
  Deno.mkdirSync(dir.file("units/zc-master.service.d"), { recursive: true });
  for (const name of [SERVICE, SOCKET]) {
    const text = Deno.readTextFileSync(UNITS + name);
    dir.write(`units/${name}`, text.replaceAll("/usr/local/bin/deno", deno));
  }
  if (!dropIn) return;
  Deno.copyFileSync(
    `${UNITS}server-user.conf`,
    dir.file("units/zc-master.service.d/server-user.conf"),
  );
}

for (const [name, threshold] of Object.entries(EXPOSURE)) {
  Deno.test(`the units have no mistake, and protect enough: ${name}`, async (t) => {
    if (!existsSync(`/usr/bin/${ANALYZE}`)) return leaveOut(t, `without ${ANALYZE}`);
    using dir = new TempDir();
    copyUnits(dir, { dropIn: name !== "ordinary" });
    const analyze = async (...args: string[]) => {
      const env = { SYSTEMD_UNIT_PATH: `${dir.file("units")}:` };
      const { code, stdout, stderr } = await new Deno.Command(ANALYZE, { args, env }).output();
      return { code, text: new TextDecoder().decode(new Uint8Array([...stdout, ...stderr])) };
    };
    const paths = [SERVICE, SOCKET].map((unit) => dir.file(`units/${unit}`));
    assertEquals(await analyze("verify", "--man=no", ...paths), { code: 0, text: "" });
    const tenfold = String(Number(threshold) * 10);
    const { code, text } = await analyze(
      "security",
      "--offline=yes",
      "--no-pager",
      `--threshold=${tenfold}`,
      paths[0],
    );
    assertEquals(code, 0, text);
  });
}

/** How a machine differs from what docs/deploy.md describes. */
interface MachineOptions {
  /** Whether server-user.conf is installed. */
  readonly dropIn?: boolean;
  /** More settings of the service unit. */
  readonly service?: string;
  /** More settings of the project's service. */
  readonly conf?: string;
}

/** A systemd with the units and a project, and clients of it. */
class Machine implements AsyncDisposable {
  readonly #dir: TempDir;
  readonly #reserved: ReservedPort;
  readonly systemd: Systemd;

  private constructor(dir: TempDir, reserved: ReservedPort, systemd: Systemd) {
    this.#dir = dir;
    this.#reserved = reserved;
    this.systemd = systemd;
  }

  /**
   * Starts it, with the sockets open.
   *
   * @param options How it differs.
   */
  static async start({ dropIn, service = "", conf = "" }: MachineOptions): Promise<Machine> {
    const dir = new TempDir(), reserved = new ReservedPort();
    try {
      copyUnits(dir, { dropIn, deno: "/usr/local/bin/deno" });
      const output = "StandardOutput=append:/run/zc.log\nStandardError=inherit\n";
      dir.write("units/zc-master.service.d/test.conf", `[Service]\n${output}${service}`);
      const socket = dir.file(`units/${SOCKET}`), address = `0.0.0.0:${reserved.port}`;
      const text = Deno.readTextFileSync(socket);
      Deno.writeTextFileSync(socket, text.replace("0.0.0.0:80", address));
      Deno.mkdirSync(dir.file("srv"));
      await makeProject(dir.file("srv/app"));
      setService(dir.file("srv/app"), `web://${address}`);
      const cf = dir.file("srv/app/conf/web.cf");
      Deno.writeTextFileSync(cf, conf, { append: true });
      fetchPackages(dir.file("srv/deno-dir"));
      const env = { DENO_DIR: dir.file("srv/deno-dir") };
      await using install = startDeno(["install", "--entrypoint", "master.ts", "web.ts"], {
        cwd: dir.file("srv/app"),
        env,
      });
      await install.succeeds();
      new Deno.Command("chmod", { args: ["-R", "a+rX", dir.file("srv")] }).outputSync();
      const systemd = await Systemd.start(dir);
      const machine = new Machine(dir, reserved, systemd);
      await machine.systemctl("start", SOCKET);
      return machine;
    } catch (error) {
      reserved[Symbol.dispose]();
      dir[Symbol.dispose]();
      throw error;
    }
  }

  /** The log of the master, and what systemd says. */
  get log(): string {
    const ofMaster = existsSync(`/proc/${this.systemd.pid}/root/run/zc.log`)
      ? this.systemd.read("/run/zc.log")
      : "";
    return `${this.systemd.log}\n${ofMaster}`;
  }

  /** Runs systemctl(1), and fails unless its exit code is 0. */
  async systemctl(...args: string[]): Promise<void> {
    const { code, stderr } = await this.systemctlEnds(...args);
    assertEquals(code, 0, stderr);
  }

  /** Runs systemctl(1) to its end. */
  async systemctlEnds(...args: string[]): Promise<{ code: number; stderr: string }> {
    await using systemctl = this.systemd.systemctl(...args);
    const { code, stderr } = await systemctl.ended(90_000);
    return { code, stderr };
  }

  /** The port of the service. */
  get port(): number {
    return this.#reserved.port;
  }

  connect(): Promise<HttpClient> {
    return HttpClient.connect(this.port);
  }

  /** Changes a settings file. */
  configure(text: string): void {
    this.#dir.write("srv/app/conf/web.cf", text);
  }

  get configuration(): string {
    return Deno.readTextFileSync(this.#dir.file("srv/app/conf/web.cf"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.systemd[Symbol.asyncDispose]();
    this.#reserved[Symbol.dispose]();
    this.#dir[Symbol.dispose]();
  }
}

function testOnMachine(
  name: string,
  options: MachineOptions,
  test: (machine: Machine) => Promise<void>,
): void {
  Deno.test(name, async (t) => {
    const problem = noSystemd();
    if (problem !== undefined) return leaveOut(t, problem);
    await using machine = await Machine.start(options);
    try {
      await test(machine);
    } catch (cause) {
      throw new Error(`${(cause as Error).message}\n${machine.log}`, { cause });
    }
  });
}

testOnMachine(
  "under systemd a client starts the service, which reloads, is upgraded, and stops in order",
  {},
  async (machine) => {
    const { systemd } = machine;
    assertEquals(await systemd.property(SERVICE, "ActiveState"), "inactive");
    using first = await machine.connect();
    assertEquals((await first.get("/")).body, "hello");
    await eventually(async () => await systemd.property(SERVICE, "ActiveState") === "active", {
      what: "the start of the service",
    });
    const pid = await systemd.mainPid(SERVICE);
    assertNotEquals(statusLine(pid, "Uid").split(" ")[0], "0");
    assertEquals(statusLine(pid, "CapBnd"), "0".repeat(16));
    assertEquals([statusLine(pid, "NoNewPrivs"), statusLine(pid, "Seccomp")], ["1", "2"]);

    // A reload tells whether the settings are in force.
    const configuration = machine.configuration;
    machine.configure(configuration.replace("proc-count = 2", "proc-count = 1"));
    await machine.systemctl("reload", SERVICE);
    machine.configure("server-command = nowhere.ts\n");
    assertNotEquals((await machine.systemctlEnds("reload", SERVICE)).code, 0);
    machine.configure(configuration);
    assertEquals(await systemd.property(SERVICE, "ActiveState"), "active");

    await machine.systemctl("kill", "--kill-whom=main", "-s", "USR2", SERVICE);
    const successor = await eventually(async () => {
      const now = await systemd.mainPid(SERVICE).catch(() => pid);
      return now !== pid && now;
    }, { what: "the new master" });
    assertEquals(statusLine(successor, "CapBnd"), "0".repeat(16));

    using busy = await inMidRequest(machine.port);
    const stopped = machine.systemctl("stop", SERVICE, SOCKET);
    await eventually(
      async () => await systemd.property(SERVICE, "ActiveState") === "deactivating",
      {
        what: "the stop",
      },
    );
    await busy.send("def");
    assertEquals((await busy.answer()).body, "abcdef");
    await stopped;
    assertEquals(await systemd.property(SERVICE, "Result"), "success", machine.log);
  },
);

testOnMachine(
  "systemd kills a service whose TimeoutStopSec= is over first, with what is under way",
  { service: "TimeoutStopSec=1\n" },
  async (machine) => {
    using lost = await inMidRequest(machine.port);
    await eventually(
      async () => await machine.systemd.property(SERVICE, "ActiveState") === "active",
      { what: "the start of the service" },
    );
    await machine.systemctl("stop", SERVICE, SOCKET);
    assertEquals(await machine.systemd.property(SERVICE, "Result"), "timeout");
    // After ExecStop= systemd sends SIGTERM, the second order to stop: the server cuts the request, if SIGKILL does not.
    const rest = Uint8Array.from(await lost.rest().catch(() => []));
    assertMatch(new TextDecoder().decode(rest), /^(?:HTTP\/1\.1 500 |$)/);
  },
);

testOnMachine(
  "with server-user.conf a service has a user of its own",
  { dropIn: true, conf: "server-user = nobody\n" },
  async (machine) => {
    using client = await machine.connect();
    assertEquals((await client.get("/")).body, "hello");
    const server = Number((await (await machine.connect()).get("/pid")).body);
    const pid = machine.systemd.outside(server);
    assertEquals(statusLine(pid, "Uid").split(" ")[0], "65534");
    await machine.systemctl("stop", SERVICE, SOCKET);
    assertEquals(await machine.systemd.property(SERVICE, "Result"), "success", machine.log);
  },
);
