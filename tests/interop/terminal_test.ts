/**
 * What servers can do with the terminal in which their master runs, and with the keys of its user.
 */
import { assertEquals } from "@std/assert";
import { mayChangeRoot } from "../../src/os/user/credentials.ts";
import { greeted } from "../support/client.ts";
import { id } from "../support/credentials.ts";
import { installationFor } from "../support/installation.ts";
import { leaveOut } from "../support/left_out.ts";
import { MASTER_PROGRAM, pidIn, Site } from "../support/master.ts";
import { descriptorsOf } from "../support/proc.ts";
import type { TestProcess } from "../support/processes.ts";
import { plainPython } from "../support/python.ts";
import { eventually } from "../support/wait.ts";

/** Whoever may change the root is taken to be root. */
const IS_ROOT = mayChangeRoot();

/** Another user than the one who runs the tests. */
const USER = id("-un") === "nobody" ? "daemon" : "nobody";

const support = (path: string) => new URL(`../support/${path}`, import.meta.url).pathname;
const OUTLET = support("outlet.py"), KEYRING = support("keyring.py");

/** Servers of another user, one for each way in which they are started. */
const OTHERS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  control: { "server-protocol": "control" },
  inherit: { "server-protocol": "inherit" },
  libzc: { "server-protocol": "libzc" },
  systemd: { "server-protocol": "systemd" },
  // It starts as root: the terminal must not be left to it when it drops the privileges.
  late: { "server-protocol": "control", "server-start-user": "master" },
};

/** What happens with the outputs of the servers. */
const OUTPUTS = ["capture", "inherit"] as const;

/** What such a server prints at last. A control sequence, which a terminal may answer, becomes text. */
const CONFINED = "no-terminal/no-terminal ENOTTY/ENOTTY/ENOTTY no-key pipe/pipe [6n";

/** A server, where another user can read it. */
function readableIn(site: Site, name: string): string {
  const path = site.dir.file(name);
  Deno.copyFileSync(support(`servers/${name}`), path);
  Deno.chmodSync(path, 0o644);
  return path;
}

/** A server that attacks. */
const thiefIn = (site: Site) => readableIn(site, "terminal_thief.py");

/** Waits for something in a terminal, wherever it comes. */
function printed(process: TestProcess, pattern: RegExp): Promise<RegExpExecArray> {
  const what = `${pattern} in the terminal`;
  return eventually(() => pattern.exec(process.stdout) ?? undefined, { what });
}

/** Waits for a line of a server, with or without its service in front; returns what is behind its beginning. */
async function lineOf(process: TestProcess, beginning: string): Promise<string> {
  const line = new RegExp(`^(?:.*\\[\\d+\\] )?${beginning}(.*)\r$`, "m");
  return (await printed(process, line))[1];
}

/** The session of a process, and whether a terminal controls it (proc_pid_stat(5)). */
function sessionOf(pid: number): { session: number; hasTerminal: boolean } {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { session: Number(fields[3]), hasTerminal: fields[4] !== "0" };
}

for (const output of OUTPUTS) {
  Deno.test(`a server of another user can't use its master's terminal, nor the keys of root: ${output}`, async (t) => {
    // Another user's master has no such servers.
    if (!IS_ROOT) return leaveOut(t);
    await using site = new Site(installationFor(USER));
    const thief = thiefIn(site);
    for (const [name, settings] of Object.entries(OTHERS)) {
      site.write(`${name}.cf`, {
        "server-command": `/usr/bin/python3 ${thief} ${name}`,
        "server-service": `127.0.0.1:${site.port()}`,
        "server-user": USER,
        "server-output": output,
        ...settings,
      });
    }
    const prefix = [
      ...plainPython(),
      OUTLET,
      "terminal",
      ...plainPython(),
      KEYRING,
      "a-key-of-root",
    ];
    const process = site.run(["-C", site.conf, "-pid-file", site.pidFile, "--DEBUG"], { prefix });
    for (const name of Object.keys(OTHERS)) {
      assertEquals(await lineOf(process, `${name} `), CONFINED);
    }
  });
}

for (const output of OUTPUTS) {
  Deno.test(`a server of another user can't spoil its master's terminal, nor another server's output there: ${output}`, async (t) => {
    if (!IS_ROOT) return leaveOut(t);
    await using site = new Site(installationFor(USER));
    Deno.chmodSync(site.dir.path, 0o777);
    // Two processes of the victim's service: the second one comes to a pipe that is there.
    for (const [name, count] of [["spoiler", 1], ["victim", 2]] as const) {
      const program = readableIn(site, `terminal_${name}.py`);
      site.write(`${name}.cf`, {
        "server-command": `/usr/bin/python3 ${program} ${site.dir.file("done")}`,
        "server-protocol": "libzc",
        "server-service": `127.0.0.1:${site.port()}`,
        "server-user": USER,
        "server-proc-count": count,
        "server-output": output,
      });
    }
    const process = site.run(["-C", site.conf, "-pid-file", site.pidFile], {
      prefix: [...plainPython(), OUTLET, "terminal"],
    });
    await printed(process, /victim blocks 0\r$[^]*victim blocks 0\r$/m);
    await printed(process, /spoiler does not block\r$/m);
    // The control sequence introducer.
    assertEquals(process.stdout.includes("\u009b"), false);
  });
}

for (const output of OUTPUTS) {
  Deno.test(`a server of root's master with run-user can't use its master's terminal either: ${output}`, async (t) => {
    if (!IS_ROOT) return leaveOut(t);
    await using site = new Site(installationFor(USER));
    Deno.chmodSync(site.dir.path, 0o777);
    site.write("a.cf", {
      "server-command": `/usr/bin/python3 ${thiefIn(site)} systemd`,
      "server-protocol": "systemd",
      "server-service": `127.0.0.1:${site.port()}`,
      "server-output": output,
    });
    const prefix = [
      ...plainPython(),
      OUTLET,
      "terminal",
      ...plainPython(),
      KEYRING,
      "a-key-of-root",
    ];
    const args = ["-C", site.conf, "-pid-file", site.pidFile, "-run-user", USER];
    const process = site.run(args, { prefix });
    assertEquals(await lineOf(process, "systemd "), CONFINED);
  });
}

for (const output of OUTPUTS) {
  Deno.test(`no server has its master's terminal as the one that controls it, and only an inherited output is there: ${output}`, async () => {
    await using site = new Site();
    const ports = [site.port(), site.port()];
    const common = { "server-output": output };
    site.serve("a.cf", { mode: "coroutine", service: ports[0], ...common });
    site.serve("b.cf", { mode: "aio", service: ports[1], "server-permissions": "none", ...common });
    const argv = [Deno.execPath(), "run", "-A", MASTER_PROGRAM];
    const process = site.execute([...argv, "-C", site.conf, "-pid-file", site.pidFile], {
      prefix: [...plainPython(), OUTLET, "terminal"],
    });
    await printed(process, /serviceRegister[^]*serviceRegister/);
    const terminal = await eventually(() => descriptorsOf(masterOf(site)).get(2), {
      what: "master",
    });
    for (const [index, port] of ports.entries()) {
      using client = await greeted(port);
      const pid = pidIn(client);
      assertEquals(sessionOf(pid), { session: pid, hasTerminal: false });
      assertEquals(descriptorsOf(pid).get(2) === terminal, output === "inherit" && index === 0);
    }
    for (const { pid } of site.guardians()) assertEquals(sessionOf(pid).hasTerminal, false);
    assertEquals(sessionOf(masterOf(site)).hasTerminal, true);
    // Ctrl-C reaches the master alone.
    await process.write("\x03");
    assertEquals((await process.ended()).code, 0);
    await site.isGone();
  });
}

const masterOf = (site: Site) => Number(Deno.readTextFileSync(site.pidFile));
