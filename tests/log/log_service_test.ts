import { assert, assertEquals, assertGreater, assertMatch, assertThrows } from "@std/assert";
import { parseLogService } from "../../src/config/log_target.ts";
import { closeLog, configureLog, flushLog, logLine } from "../../src/log/log.ts";
import { LogService } from "../../src/log/log_service.ts";
import { bindDatagram } from "../../src/os/net/bound_datagram.ts";
import { DatagramSender } from "../../src/os/net/datagram.ts";
import { closeFd, openDescriptors } from "../../src/os/fd/descriptor.ts";
import { SysError } from "../../src/os/ffi/errors.ts";
import { sendWithFds } from "../../src/os/net/fd_passing.ts";
import { FakeClock } from "../fakes/fake_clock.ts";
import {
  countedDescriptors,
  flagsOf,
  leavesNothingOpen,
  whyNoRefusal,
} from "../support/descriptors.ts";
import { startFunction, TestProcess } from "../support/processes.ts";
import { plainPython } from "../support/python.ts";
import { TempDir } from "../support/temp.ts";
import { eventually } from "../support/wait.ts";

const encoder = new TextEncoder();

/** A service in a temporary directory. */
function open(dir: TempDir, options: { readonly onError?: (message: string) => void } = {}) {
  const config = parseLogService(`${dir.file("socket")},${dir.file("log.")},day`);
  return LogService.open({
    ...config,
    onError: (message) => {
      throw new Error(message);
    },
    ...options,
  });
}

/** The lines of all files of the service, without their time. */
function lines(dir: TempDir): string[] {
  const found: string[] = [];
  for (const { name } of Deno.readDirSync(dir.path)) {
    if (!name.startsWith("log.")) continue;
    for (const line of Deno.readTextFileSync(dir.file(name)).split("\n").slice(0, -1)) {
      assertMatch(line, /^([01]\d|2[0-3]):[0-5]\d:[0-5]\d /);
      found.push(line.slice("HH:MM:SS ".length));
    }
  }
  return found;
}

/** Sends as many as the kernel takes and returns how many that were. */
function send(dir: TempDir, ...records: string[]): number {
  const sender = DatagramSender.connect(dir.file("socket"));
  let sent = 0;
  for (const record of records) {
    if (sender.send(encoder.encode(record)) !== undefined) sent++;
  }
  sender.close();
  return sent;
}

Deno.test("LogService writes what it received about a second later", async () => {
  await leavesNothingOpen(async () => {
    using dir = new TempDir();
    const service = open(dir);
    send(dir, "imapd,77,hello [x.ts:1]", "nonsense", "popd,78,world");
    await eventually(() => lines(dir).length > 0, { what: "the lines" });
    assertEquals(lines(dir), ["imapd[77] hello [x.ts:1]", "popd[78] world"]);
    assertEquals(service.malformed, 1);
    await service.close();
    assertEquals([...Deno.readDirSync(dir.path)].length, 1);
  });
});

Deno.test("LogService.close() writes all that the kernel has accepted, read or not", async () => {
  await leavesNothingOpen(async () => {
    using dir = new TempDir();
    const service = open(dir);
    // No turn of the event loop until close(): all this is still in the socket.
    const records = Array.from({ length: 2_000 }, (_, index) => `a,1,${index}`);
    const sent = send(dir, ...records);
    assertGreater(sent, 1);
    await service.close();
    assertEquals(lines(dir), Array.from({ length: sent }, (_, index) => `a[1] ${index}`));
    assertEquals(service.close(), service.close());
  });
});

Deno.test("LogService ends all the same where its socket file can't be removed, and says so", async () => {
  await leavesNothingOpen(async () => {
    using dir = new TempDir();
    const directory = dir.file("run"), told: string[] = [];
    Deno.mkdirSync(directory);
    const config = parseLogService(`${directory}/socket,${dir.file("log.")},day`);
    const service = LogService.open({ ...config, onError: (message) => told.push(message) });
    Deno.renameSync(directory, dir.file("moved"));
    // A link to itself.
    Deno.symlinkSync(directory, directory);
    service.withdraw();
    await service.close();
    assertEquals(told.length, 2);
    for (const message of told) {
      assertMatch(message, /^the socket of the log service is left: .*ELOOP/);
    }
  });
});

Deno.test("LogService.close() refuses what comes later, so that senders know", async () => {
  using dir = new TempDir();
  const service = open(dir);
  const sender = DatagramSender.connect(dir.file("socket"));
  sender.send(encoder.encode("a,1,in time"));
  const closed = service.close();
  const error = assertThrows(() => sender.send(encoder.encode("a,1,late")), SysError);
  assertMatch(error.code, /^(EPIPE|ECONNREFUSED)$/);
  sender.close();
  await closed;
  assertEquals(lines(dir), ["a[1] in time"]);
});

Deno.test("LogService.open() takes the place of an old socket", async () => {
  using dir = new TempDir();
  // As a master leaves it that was killed.
  closeFd(bindDatagram(dir.file("socket")).fd);
  const service = open(dir);
  assertEquals(send(dir, "a,1,new"), 1);
  await service.close();
  assertEquals(lines(dir), ["a[1] new"]);
  assertThrows(() => Deno.lstatSync(dir.file("socket")), Deno.errors.NotFound);
});

Deno.test("LogService.open() takes nothing from another one that receives", async () => {
  await leavesNothingOpen(async () => {
    using dir = new TempDir();
    const service = open(dir);
    const error = assertThrows(() => open(dir), SysError);
    assertEquals(error.code, "EADDRINUSE");
    assertEquals(send(dir, "a,1,still here"), 1);
    await service.close();
    assertEquals(lines(dir), ["a[1] still here"]);
  });
});

Deno.test("LogService.open() leaves a file of another kind alone", async () => {
  await leavesNothingOpen(() => {
    using dir = new TempDir();
    dir.write("socket", "precious");
    const error = assertThrows(() => open(dir), TypeError);
    assertMatch(error.message, /^Cannot bind ".*socket": found a file of another kind, expected /);
    assertEquals(Deno.readTextFileSync(dir.file("socket")), "precious");
  });
});

Deno.test("LogService.open() names the directory that isn't there", async () => {
  await leavesNothingOpen(() => {
    using dir = new TempDir();
    const socket = dir.file("nowhere/socket");
    const config = { socket, prefix: dir.file("log."), period: "day" } as const;
    const error = assertThrows(() => LogService.open(config), SysError);
    assertEquals(error.message, `open "${socket}": no such file or directory (ENOENT)`);
  });
});

Deno.test("LogService keeps socket and files from the programs that are started", async () => {
  using dir = new TempDir();
  const before = openDescriptors();
  const service = open(dir);
  const opened = [...openDescriptors().keys()].filter((fd) => !before.has(fd));
  assertGreater(opened.length, 0);
  for (const fd of opened) assert(flagsOf(fd).closeOnExec, `descriptor ${fd}`);
  await service.close();
});

Deno.test("LogService lets every user log, and gives its files the mode that the umask leaves", async () => {
  using dir = new TempDir();
  const before = Deno.umask(0o027);
  try {
    const service = open(dir);
    assertEquals(Deno.statSync(dir.file("socket")).mode! & 0o777, 0o666);
    send(dir, "a,1,x");
    await service.close();
  } finally {
    Deno.umask(before);
  }
  const [file] = [...Deno.readDirSync(dir.path)];
  assertEquals(Deno.statSync(dir.file(file.name)).mode! & 0o777, 0o640);
});

Deno.test("LogService cuts a datagram after 10,240 bytes, as C does", async () => {
  using dir = new TempDir();
  const service = open(dir);
  send(dir, `a,1,${"x".repeat(20_000)}`, "a,1,next");
  await service.close();
  assertEquals(lines(dir), [`a[1] ${"x".repeat(10_236)}`, "a[1] next"]);
});

/** Sends as LIB-ZC's C code does: an unconnected socket, blocking, one sendto(2) a line. */
const C_WRITER = `
import os, socket, sys
path, count = sys.argv[1], int(sys.argv[2])
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for i in range(count):
    s.sendto(b"cprog,%d,line %d [main.c:12]" % (os.getpid(), i), path)
print(os.getpid())
`;

/** Each writer's numbers, in the order of the files. */
function numbersOf(dir: TempDir, ident: string): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (const line of lines(dir)) {
    const match = /^(\w+)\[(\d+)\] line (\d+) \[\S+:\d+\]$/.exec(line);
    assert(match, line);
    if (match[1] !== ident) continue;
    const numbers = found.get(match[2]) ?? [];
    numbers.push(Number(match[3]));
    found.set(match[2], numbers);
  }
  return found;
}

Deno.test("LogService keeps no descriptor that comes with a datagram", async () => {
  await leavesNothingOpen(async () => {
    using dir = new TempDir();
    const service = open(dir);
    const sender = DatagramSender.connect(dir.file("socket"));
    const before = countedDescriptors().size;
    for (let count = 0; count < 5; count++) {
      const record = encoder.encode(`a,${count},line`), fds = Array(250).fill(0);
      if (whyNoRefusal() === undefined) {
        assertThrows(() => sendWithFds(sender.fd, record, fds), SysError, "EPERM");
        sendWithFds(sender.fd, record);
      } else assertEquals(sendWithFds(sender.fd, record, fds), record.length);
    }
    await eventually(() => lines(dir).length === 5, { what: "the lines" });
    assertEquals(countedDescriptors().size, before);
    sender.close();
    await service.close();
  });
});

Deno.test("LogService loses nothing of what ten writers log at full speed, C programs among them", async () => {
  const count = 5_000;
  await leavesNothingOpen(async () => {
    using dir = new TempDir();
    const service = open(dir);
    const ours = Array.from(
      { length: 5 },
      () =>
        startFunction(import.meta, async ({ socket, count }) => {
          const { closeLog, configureLog, flushLog, zinfo } = await import("../../src/log/log.ts");
          configureLog({ program: "ours", level: "debug", target: { kind: "masterlog", socket } });
          for (let i = 0; i < count; i++) {
            zinfo(`line ${i}`);
            if (i % 1_000 === 999) await flushLog(60_000);
          }
          closeLog();
          console.log(Deno.pid);
        }, { arg: { socket: dir.file("socket"), count } }),
    );
    const theirs = Array.from(
      { length: 5 },
      () => new TestProcess([...plainPython(), "-c", C_WRITER, dir.file("socket"), String(count)]),
    );
    const pids = await Promise.all([...ours, ...theirs].map((writer) => writer.succeeds(60_000)));
    await service.close();

    const all = Array.from({ length: count }, (_, index) => index);
    const found = [...numbersOf(dir, "ours"), ...numbersOf(dir, "cprog")];
    assertEquals(found.map(([pid]) => pid).sort(), pids.map((pid) => pid.trim()).sort());
    for (const [pid, numbers] of found) assertEquals(numbers, all, `process ${pid}`);
    assertEquals(service.malformed, 0);
    for (const writer of [...ours, ...theirs]) await writer[Symbol.asyncDispose]();
  });
});

Deno.test("LogService accounts for every line of writers that overrun it", async () => {
  const count = 40_000;
  using dir = new TempDir();
  const service = open(dir);
  const writers = Array.from(
    { length: 3 },
    () =>
      startFunction(import.meta, async ({ socket, count }) => {
        const { closeLog, configureLog, flushLog, logLine } = await import(
          "../../src/log/log.ts"
        );
        configureLog({ program: "w", target: { kind: "masterlog", socket } });
        // Without a pause there are more than are taken, and more than are kept.
        for (let i = 0; i < count; i++) logLine("info", `line ${i} [x:1]`);
        await flushLog(60_000);
        closeLog();
      }, { arg: { socket: dir.file("socket"), count } }),
  );
  for (const writer of writers) await writer.succeeds(60_000);
  await service.close();
  let accounted = 0;
  for (const line of lines(dir)) {
    accounted += Number(/\] (?:warning: )?(\d+) log lines? dropped$/.exec(line)?.[1] ?? 1);
  }
  assertEquals(accounted, writers.length * count);
  for (const writer of writers) await writer[Symbol.asyncDispose]();
});

Deno.test("LogService and its writers survive each other's restarts", async () => {
  using dir = new TempDir();
  const told: string[] = [];
  const clock = new FakeClock();
  configureLog({
    program: "w",
    pid: 1,
    target: { kind: "masterlog", socket: dir.file("socket") },
    clock,
    tell: (text) => told.push(text),
  });
  try {
    for (let round = 0; round < 3; round++) {
      const service = open(dir);
      for (let i = 0; i < 100; i++) logLine("info", `${round}.${i}`);
      await flushLog();
      await service.close();
      // The next line may look for a service again a second after the last look.
      clock.advance(1_000);
    }
  } finally {
    closeLog();
  }
  const wanted = [0, 1, 2].flatMap((round) =>
    Array.from({ length: 100 }, (_, index) => `w[1] ${round}.${index}`)
  );
  assertEquals(lines(dir), wanted);
  assertEquals(told, []);
});
