import { assertEquals } from "@std/assert";
import { type DoctorFacts, examine } from "../../src/commands/doctor_checks.ts";
import type { LastExit } from "../../src/control/status.ts";
import { isClockSynchronized } from "../../src/os/clock/synchronized.ts";
import { type ProcessFacts, processFacts } from "../../src/os/process/process_facts.ts";

const NO_LIMIT = { soft: Infinity, hard: Infinity };

const PROCESS: ProcessFacts = {
  pid: 11,
  uids: [7, 7, 7, 7],
  gids: [8, 8, 8, 8],
  groups: [8, 9],
  gainsNothing: true,
  openFiles: { soft: 9000, hard: 9000 },
  coreFile: { soft: 100, hard: 100 },
  data: { soft: 5000, hard: 5000 },
  inodes: [1, 2, 3, 21],
  root: "/srv",
  args: ["deno", "run", "--cached-only", "--no-prompt", "--allow-net", "a.ts", "--more"],
};

/** A master whose processes have all that they were given. */
const WELL: DoctorFacts = {
  master: { ...PROCESS, pid: 10, args: [] },
  processes: [{ service: "a.cf", facts: PROCESS }],
  failing: [],
  restarted: [],
  nowMs: 1_000_000,
  services: [{
    id: "a.cf",
    runsAs: { uid: 7, gid: 8, groups: [9] },
    root: "/srv",
    gainsNothing: true,
    permissions: ["--no-prompt", "--allow-net"],
    coreFile: 100,
    data: 4000,
  }],
  listeners: [
    {
      kind: "inet",
      address: "0.0.0.0:80",
      services: ["a.cf"],
      sockets: 2,
      inodes: [20, 21],
      queue: 1,
      queueLimit: 10,
    },
    {
      kind: "unix",
      address: "/b",
      services: ["b.cf"],
      sockets: 1,
      inodes: [30],
      queue: null,
      queueLimit: null,
    },
  ],
  changedFiles: [],
  problems: 0,
  certificates: [],
  syslogUsers: ["master"],
  machine: {
    queueLimit: 4096,
    resetsOnOverflow: false,
    openFiles: { used: 10, most: 100 },
    hasSyslog: true,
    isClockSynchronized: true,
  },
};

const withProcess = (change: Partial<ProcessFacts>): DoctorFacts => ({
  ...WELL,
  processes: [{ service: "a.cf", facts: { ...PROCESS, ...change } }],
});

const withMachine = (change: Partial<DoctorFacts["machine"]>): DoctorFacts => ({
  ...WELL,
  machine: { ...WELL.machine, ...change },
});

const withRestarts = (restarts: number, exit: Partial<LastExit> = {}): DoctorFacts => ({
  ...WELL,
  restarted: [{
    id: "b.cf",
    restarts,
    lastExit: { pid: 9, reason: "exit code 3", atMs: 999_800, ranMs: 1_200, ...exit },
  }],
});

const OF_PROCESS = "process 11 of a.cf:";

/** Each fault, and the finding about it. */
const FAULTS: readonly (readonly [facts: DoctorFacts, subject: string, found: string])[] = [
  [withProcess({ uids: [0, 7, 7, 7] }), `${OF_PROCESS} user`, "0 7"],
  [withProcess({ gids: [1, 1, 1, 1] }), `${OF_PROCESS} group`, "1"],
  [withProcess({ groups: [] }), `${OF_PROCESS} supplementary groups`, "none"],
  [withProcess({ root: "/" }), `${OF_PROCESS} root directory`, "/"],
  [withProcess({ gainsNothing: false }), `${OF_PROCESS} no_new_privs`, "not set"],
  [withProcess({ args: ["deno", "run", "-A", "a.ts"] }), `${OF_PROCESS} permissions`, "-A"],
  [withProcess({ coreFile: NO_LIMIT }), `${OF_PROCESS} limit of a core file`, "none"],
  [withProcess({ data: NO_LIMIT }), `${OF_PROCESS} limit of memory`, "none"],
  [withProcess({ inodes: undefined }), `${OF_PROCESS} descriptors`, "not readable"],
  [withProcess({ inodes: [1] }), `${OF_PROCESS} descriptors`, "no 0.0.0.0:80"],
  [
    withProcess({ inodes: [20, 30] }),
    `${OF_PROCESS} descriptors`,
    "/b, an address of b.cf",
  ],
  [
    withProcess({ openFiles: { soft: 5, hard: 9000 } }),
    `${OF_PROCESS} open files`,
    "4 of 5",
  ],
  [
    withProcess({ openFiles: { soft: 500, hard: 500 } }),
    `${OF_PROCESS} limit of open files`,
    "500, lowered by its program",
  ],
  [
    { ...WELL, master: { ...WELL.master, openFiles: { soft: 1024, hard: 1024 } } },
    "master: limit of open files",
    "1024, which bounds the connections of each process",
  ],
  [{ ...WELL, changedFiles: ["conf/a.cf"] }, "conf/a.cf", "changed since the master has read it"],
  [
    { ...WELL, failing: [{ id: "b.cf", ready: 0, wanted: 2, problem: "process 9 ended" }] },
    "service b.cf",
    "0 of 2 processes ready: process 9 ended",
  ],
  [
    { ...WELL, failing: [{ id: "b.cf", ready: 1, wanted: 2, problem: null }] },
    "service b.cf",
    "1 of 2 processes ready",
  ],
  [
    withRestarts(3),
    "service b.cf",
    "3 unexpected ends of processes, the last one 0.2 s ago, after 1.2 s: exit code 3",
  ],
  [{ ...WELL, services: [], problems: 1 }, "settings files", "1 problem"],
  [
    {
      ...WELL,
      certificates: [{
        path: "/etc/a.pem",
        found: "it has expired on 2026-01-01 00:00 UTC",
        expected: "a renewed certificate, and a reload",
      }],
    },
    "certificate /etc/a.pem",
    "it has expired on 2026-01-01 00:00 UTC",
  ],
  [
    { ...WELL, listeners: WELL.listeners.with(0, { ...WELL.listeners[0], queue: 8 }) },
    "listener 0.0.0.0:80: accept queue",
    "8 connections wait, of 10",
  ],
  [
    withMachine({ queueLimit: 128 }),
    "net.core.somaxconn",
    "128 connections can wait at an address",
  ],
  [
    withMachine({ resetsOnOverflow: true }),
    "net.ipv4.tcp_abort_on_overflow",
    "1: a client is reset when an accept queue is full",
  ],
  [
    withMachine({ openFiles: { used: 80, most: 100 } }),
    "fs.file-max",
    "80 files are open, of 100",
  ],
  [withMachine({ hasSyslog: false }), "/dev/log", "no socket, but these log to syslog: master"],
  [withMachine({ isClockSynchronized: false }), "clock", "no time service keeps it right"],
];

Deno.test("each fault is one finding, and a master without faults has none", () => {
  assertEquals(examine(WELL), []);
  // What can't be read is no fault.
  assertEquals(examine({ ...WELL, machine: { hasSyslog: true } }), []);
  assertEquals(examine({ ...withMachine({ hasSyslog: false }), syslogUsers: [] }), []);
  // Few ends, long ones, and those of the past.
  assertEquals(examine(withRestarts(2)), []);
  assertEquals(examine(withRestarts(3, { ranMs: 60_001 })), []);
  assertEquals(examine(withRestarts(3, { atMs: 399_999 })), []);
  for (const [facts, subject, found] of FAULTS) {
    assertEquals(examine(facts).map((one) => [one.subject, one.found]), [[subject, found]]);
  }
});

Deno.test("the facts of a process are those of the kernel", () => {
  const own = processFacts(Deno.pid)!;
  assertEquals([own.uids[0], own.gids[0]], [Deno.uid(), Deno.gid()]);
  assertEquals(own.root, Deno.readLinkSync("/proc/self/root"));
  using file = Deno.openSync("/dev/null");
  const { ino } = file.statSync();
  assertEquals(processFacts(Deno.pid)!.inodes!.includes(ino!), true);
  // No process has this number.
  assertEquals(processFacts(2 ** 30), undefined);
});

/** Prints what adjtimex(2) returns: 5, TIME_ERROR, without a synchronized clock. */
const CLOCK = `import ctypes
print(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(208)))`;

Deno.test("the clock is synchronized exactly if adjtimex(2) tells no error", async () => {
  const { stdout } = await new Deno.Command("python3", { args: ["-c", CLOCK] }).output();
  const state = Number(new TextDecoder().decode(stdout));
  assertEquals(isClockSynchronized(), state < 0 ? undefined : state !== 5);
});
