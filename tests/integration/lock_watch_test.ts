/** Processes that make the master wait for a lock of the kernel: they are killed, and the master goes on. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { mayChangeUser } from "../../src/os/user/credentials.ts";
import { LOCK_WATCH_NAME } from "../../src/os/process/lock_watch.ts";
import { zcHere } from "../support/commands.ts";
import { leaveOut } from "../support/left_out.ts";
import { Site } from "../support/master.ts";
import { executable, isRunning, peer, serveSmall } from "../support/peers.ts";
import { processesWith } from "../../tools/test_processes.ts";
import { NOBODY } from "../support/privileges.ts";
import { TestProcess } from "../support/processes.ts";
import { eventually } from "../support/wait.ts";

/** Makes a device of userfaultfd(2) that everybody may open; undefined where the kernel has none. */
function userfaultDevice(path: string): string | undefined {
  const [, minor] = /^ *(\d+) userfaultfd$/m.exec(Deno.readTextFileSync("/proc/misc")) ?? [];
  if (minor === undefined) return undefined;
  const { success } = new Deno.Command("mknod", { args: ["-m", "666", path, "c", "10", minor] })
    .outputSync();
  return success ? path : undefined;
}

/** Whether a process is within write(2) of pages, setsockopt(2) or a ring, with memory that never comes. */
function isHolding(pid: string): boolean {
  const threads = `/proc/${pid}/task`;
  const callOf = (thread: string) => Deno.readTextFileSync(`${threads}/${thread}/syscall`);
  return [...Deno.readDirSync(threads)].some(({ name }) => {
    const call = callOf(name);
    // A thread of a ring shows the call that made it; the main thread ends when the memory is waited for.
    return /^(?:1 0x1 0x\w+ 0x\w*000|54 0x3) /.test(call) ||
      /^42[56] /.test(call) && callOf(pid).startsWith("-1 ");
  });
}

/** Whether the kernel sets options of sockets in rings of io_uring(7), as Linux does since 6.7. */
function hasRings(): boolean {
  const [major, minor] = Deno.osRelease().split(".").map(Number);
  return (major > 6 || major === 6 && minor >= 7) &&
    Deno.readTextFileSync("/proc/sys/kernel/io_uring_disabled").trim() === "0";
}

/** Starts a process of a third user, with an output of another process as one of its own descriptors. */
async function startBystander(output: string): Promise<TestProcess> {
  const own = `exec setpriv --reuid=${
    NOBODY - 1
  } --clear-groups sh -c "echo started; read -r line"`;
  const bystander = new TestProcess(["sh", "-c", `exec 5>"$1"; ${own}`, "sh", output]);
  await eventually(() => bystander.stdout.includes("started"), { what: "a bystander" });
  return bystander;
}

/**
 * Starts a process with an open file whose path, in a list of descriptors, looks as if another process had a
 * pipe or socket.
 */
async function startLiar(site: Site, pid: number, shared: string): Promise<TestProcess> {
  const directory = `${site.dir.path}/lie\n/proc/${pid}`, path = `${directory}/fd:\n1 -> ${shared}`;
  Deno.mkdirSync(directory, { recursive: true });
  Deno.writeTextFileSync(path, "");
  const script = 'exec 5<"$1"; echo open; read -r line';
  const liar = new TestProcess([
    ...["setpriv", `--reuid=${NOBODY}`, "--clear-groups", "sh", "-c", script, "sh", path],
  ]);
  await eventually(() => liar.stdout.includes("open"), { what: "the open file" });
  return liar;
}

/** Ends processes with a test that fails: while they hold a lock, not even SIGKILL ends their master. */
function endedWithTest(pids: readonly number[]): Disposable {
  return {
    [Symbol.dispose]() {
      // Their main threads may have ended.
      for (const pid of pids) if (existsSync(`/proc/${pid}`)) Deno.kill(pid, "SIGKILL");
    },
  };
}

/** The lock watches of a site. */
function lockWatches(site: Site) {
  const [[name, value]] = Object.entries(site.environment);
  return processesWith(`${name}=${value}`).filter(({ command }) =>
    command.includes(LOCK_WATCH_NAME)
  );
}

/** What is held, and how, in the words of the holder. */
const HELD = {
  "output": "output",
  "listener": "listener",
  "output, whose descriptor another thread closes meanwhile": "output closed",
  "listener, whose descriptor another thread closes meanwhile": "listener closed",
  "listener, which only a ring of io_uring(7) has": "ring closed",
  "listener, which only a ring with a thread of the kernel has": "ring polled",
  "output, which one of its many threads has among thousands of descriptors": "output many",
  "outputs in turn, as four other processes do, each for less than a second": "outputs",
};

for (const [name, held] of Object.entries(HELD)) {
  Deno.test(`a process of another user that holds the lock of its ${name} is killed, and no process of a third user, whatever it was given and the list of descriptors is made to tell`, async (t) => {
    if (!mayChangeUser()) return leaveOut(t);
    await using site = new Site();
    const device = userfaultDevice(site.dir.file("userfaultfd"));
    if (device === undefined) return leaveOut(t, "without userfaultfd");
    if (held.startsWith("ring") && !hasRings()) return leaveOut(t, "without io_uring");
    Deno.chmodSync(site.dir.path, 0o755);
    serveSmall(site, "a.cf", site.port());
    const master = await site.start();
    await master.logs(/all services are ready/);
    assertEquals(lockWatches(site), []);

    const count = held === "outputs" ? 5 : 1;
    site.write("b.cf", {
      "server-command": `${peer("lock_holder")} ${device} ${held}`,
      "server-service": `127.0.0.1:${site.port()}`,
      "server-protocol": "systemd",
      "server-user": "nobody",
      "server-proc-count": count,
    });
    await master.reload();
    const [, waiting] = await master.logs(/ b\[(\d+)\] waiting$/m, count);
    const all = [...master.log.matchAll(/ b\[(\d+)\] waiting$/gm)].map(([, pid]) => pid);
    using _end = endedWithTest(all.map(Number));
    const isListener = !held.startsWith("output");
    const shared = Deno.readLinkSync(`/proc/${waiting}/fd/${isListener ? 3 : 1}`);
    await using bystander = await startBystander(`/proc/${waiting}/fd/1`);
    await using _liar = await startLiar(site, bystander.pid, shared);
    // The master looks only when the lock is held. It listens again on each of its sockets at a reload.
    master.signal("SIGSTOP");
    for (const pid of all) Deno.kill(Number(pid), "SIGUSR1");
    await eventually(() => all.every(isHolding), { what: "the lock" });
    if (isListener) master.signal("SIGHUP");
    master.signal("SIGCONT");
    const holders = all.join("|");
    const [, pid] = await master.logs(
      new RegExp(` error .*killed process (${holders}): it held the lock`),
    );
    assert(isRunning(bystander.pid), "a process of a third user was killed");
    await master.logs(new RegExp(`process ${pid} .*SIGKILL`));
    assertMatch((await zcHere(site, "status", "a")).out, /\na\.cf +ready/);
    await eventually(() => lockWatches(site).length === 1, { what: "one lock watch" });
    await master.stop();
    await eventually(() => lockWatches(site).length === 0, { what: "the end of the lock watch" });
  });
}

Deno.test("a master that was killed ends, and another one can start, while a program that a server has left behind holds the lock of its output", async (t) => {
  if (!mayChangeUser()) return leaveOut(t);
  await using site = new Site();
  const device = userfaultDevice(site.dir.file("userfaultfd"));
  if (device === undefined) return leaveOut(t, "without userfaultfd");
  Deno.chmodSync(site.dir.path, 0o755);
  const leaving = executable(site, {
    name: "leaving",
    text: '#!/bin/sh\n"$@" &\nexec sleep 1000\n',
  });
  site.write("a.cf", {
    "server-command": `${leaving} ${peer("lock_holder")} ${device} output idle`,
    "server-service": `127.0.0.1:${site.port()}`,
    "server-protocol": "systemd",
    // All of its processes are killed, and those of "nobody" may be other tests'.
    "server-user": "daemon",
  });
  const master = await site.start();
  await master.logs(/ a\[\d+\] waiting$/m);
  const { pid } = site.processes().find(({ argv }) => argv[0] === peer("lock_holder"))!;
  using _end = endedWithTest([pid]);
  Deno.kill(pid, "SIGUSR1");
  await eventually(() => isHolding(`${pid}`), { what: "the lock" });
  master.signal("SIGKILL");
  await site.isGone();
});

Deno.test("a lock watch ends with its master, and another one takes the place of one that was killed", async (t) => {
  if (!mayChangeUser()) return leaveOut(t);
  await using site = new Site();
  Deno.chmodSync(site.dir.path, 0o755);
  serveSmall(site, "a.cf", site.port(), { "server-user": "nobody" });
  const master = await site.start();
  await master.serving("a.cf", 1);
  const [{ pid }] = await eventually(() => lockWatches(site).length === 1 && lockWatches(site), {
    what: "a lock watch",
  });
  Deno.kill(pid, "SIGKILL");
  await eventually(() => lockWatches(site).some((watch) => watch.pid !== pid), {
    what: "another one",
  });
  master.signal("SIGKILL");
  await eventually(() => lockWatches(site).length === 0, { what: "its end" });
  await site.isGone();
});
