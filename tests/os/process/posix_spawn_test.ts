import { assert, assertEquals, assertThrows } from "@std/assert";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { SysError } from "../../../src/os/ffi/errors.ts";
import { spawnPlaced } from "../../../src/os/process/posix_spawn.ts";
import { pipe } from "../../../src/os/net/socket.ts";
import { flagsOf, leavesNothingOpen } from "../../support/descriptors.ts";
import { startFunction } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";
import { within } from "../../support/wait.ts";

/** Runs a program, and gives what it prints. */
async function outputOf(path: string, argv: readonly string[]): Promise<string> {
  const [read, write] = pipe();
  const { exited } = spawnPlaced({ path, argv, fds: [{ from: write, to: 1 }] });
  closeFd(write);
  await within(exited, { what: "the end of the program" });
  try {
    return Deno.readTextFileSync(`/proc/self/fd/${read}`);
  } finally {
    closeFd(read);
  }
}

Deno.test("spawnPlaced() tells how a process ended", async () => {
  await leavesNothingOpen(async () => {
    for (
      const [script, status] of [
        ["exit 0", { code: 0, signal: null }],
        ["exit 3", { code: 3, signal: null }],
        ["kill -TERM $$", { code: 143, signal: "SIGTERM" }],
        ["kill -KILL $$", { code: 137, signal: "SIGKILL" }],
      ] as const
    ) {
      const { exited } = spawnPlaced({ path: "/bin/sh", argv: ["sh", "-c", script], fds: [] });
      assertEquals(await within(exited, { what: "the end" }), status);
    }
  });
});

Deno.test("spawnPlaced() gives a process its argv[0] and an empty input", async () => {
  await leavesNothingOpen(async () => {
    assertEquals(await outputOf("/bin/sh", ["a name", "-c", "echo $0"]), "a name\n");
    assertEquals(await outputOf("/bin/cat", ["cat"]), "");
  });
});

Deno.test("spawnPlaced() gives a process 0, 1, 2 and the named descriptors, no others", async () => {
  await using parent = startFunction(import.meta, async () => {
    const { keepDescriptorsFromChildren } = await import("../../../src/os/fd/descriptor.ts");
    const { spawnPlaced } = await import("../../../src/os/process/posix_spawn.ts");
    keepDescriptorsFromChildren();
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const fds = [{ from: 2, to: 9 }];
    const { exited } = spawnPlaced({ path: "/bin/ls", argv: ["ls", "/proc/self/fd"], fds });
    const alive = setInterval(() => {}, 1000);
    await exited;
    clearInterval(alive);
    listener.close();
  });
  // 3 is the directory that is being listed.
  assertEquals((await parent.succeeds()).trim().split("\n"), ["0", "1", "2", "3", "9"]);
});

Deno.test("spawnPlaced() puts descriptors at numbers that other descriptors have", async () => {
  await leavesNothingOpen(async () => {
    const [read, write] = pipe();
    const [other, otherEnd] = pipe();
    const target = (fd: number) => Deno.readLinkSync(`/proc/self/fd/${fd}`);
    const expected = `${target(other)}\n${target(read)}\n${target(otherEnd)}\n`;
    const links = [read, other, write].map((fd) => `/proc/self/fd/${fd}`);
    const { exited } = spawnPlaced({
      path: "/bin/readlink",
      argv: ["readlink", ...links],
      fds: [
        ...[{ from: write, to: 1 }, { from: other, to: read }, { from: read, to: other }],
        { from: otherEnd, to: write },
      ],
    });
    closeFd(write);
    await within(exited, { what: "the end of readlink" });
    assertEquals(Deno.readTextFileSync(`/proc/self/fd/${read}`), expected);
    for (const fd of [read, other, otherEnd]) closeFd(fd);
  });
});

Deno.test("spawnPlaced() leaves the flags of the descriptors as they are", async () => {
  await leavesNothingOpen(async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const [{ name }] = [...Deno.readDirSync("/proc/self/fd")].filter(({ name }) => {
      try {
        return Deno.readLinkSync(`/proc/self/fd/${name}`).startsWith("socket:");
      } catch {
        return false;
      }
    });
    const before = flagsOf(Number(name));
    assertEquals(before, { closeOnExec: true, nonblocking: true });
    const fds = [{ from: Number(name), to: 5 }];
    const { exited } = spawnPlaced({ path: "/bin/true", argv: ["true"], fds });
    assertEquals(flagsOf(Number(name)), before);
    await within(exited, { what: "the end of true" });
    assertEquals(flagsOf(Number(name)), before);
    listener.close();
  });
});

Deno.test("spawnPlaced() hands on the environment, and no ignored signal of the runtime", async () => {
  Deno.env.set("ZC_PLACED", "a=b");
  try {
    assertEquals(await outputOf("/bin/sh", ["sh", "-c", 'echo "$ZC_PLACED"']), "a=b\n");
  } finally {
    Deno.env.delete("ZC_PLACED");
  }
  const status = await outputOf("/bin/cat", ["cat", "/proc/self/status"]);
  const [, ignored] = /SigIgn:\s*([0-9a-f]+)/.exec(status) ?? [];
  const SIGPIPE = 13n;
  assertEquals(BigInt(`0x${ignored}`) >> SIGPIPE - 1n & 1n, 0n);
});

Deno.test("spawnPlaced() runs a script without an interpreter line by the shell", async () => {
  using dir = new TempDir();
  const path = dir.write("script", "exit $#\n");
  Deno.chmodSync(path, 0o755);
  const { exited } = spawnPlaced({ path, argv: ["script", "one", "two"], fds: [] });
  assertEquals((await within(exited, { what: "the end of the script" })).code, 2);
});

for (
  const [what, path, code] of [
    ["is not there", "/nonexistent/program", "ENOENT"],
    ["may not be executed", "/etc/passwd", "EACCES"],
  ] as const
) {
  Deno.test(`spawnPlaced() throws for a program that ${what}, and leaves nothing open`, async () => {
    await leavesNothingOpen(() => {
      const [read, write] = pipe();
      const fds = [{ from: read, to: 5 }, { from: write, to: 6 }];
      const error = assertThrows(() => spawnPlaced({ path, argv: ["x"], fds }), SysError);
      assertEquals([error.syscall, error.code], ["posix_spawn", code]);
      closeFd(read);
      closeFd(write);
    });
  });
}

Deno.test("spawnPlaced() names a directory that is not there, or else the program", () => {
  const start = (path: string, directory: string) => () =>
    spawnPlaced({ path, argv: ["x"], fds: [], directory });
  assertThrows(start("/bin/true", "/nonexistent"), SysError, 'chdir "/nonexistent": no such');
  assertThrows(start("/nonexistent", "/usr"), SysError, 'posix_spawn "/nonexistent": no such');
});

Deno.test("spawnPlaced() tells the end of each of many processes, and of none of the runtime's", async () => {
  await leavesNothingOpen(async () => {
    const run = (code: number) =>
      spawnPlaced({ path: "/bin/sh", argv: ["sh", "-c", `exit ${code}`], fds: [] }).exited;
    const commands = Array.from(
      { length: 10 },
      () => new Deno.Command("sh", { args: ["-c", "exit 77"] }).output(),
    );
    const placed = Array.from({ length: 50 }, (_, index) => run(index));
    const ends = await within(Promise.all(placed), { what: "all ends" });
    assertEquals(ends.map(({ code }) => code), Array.from({ length: 50 }, (_, index) => index));
    assert((await Promise.all(commands)).every(({ code }) => code === 77));
  });
});

Deno.test("spawnPlaced() keeps no process from ending once its children have ended", async () => {
  await using process = startFunction(import.meta, async () => {
    const { spawnPlaced } = await import("../../../src/os/process/posix_spawn.ts");
    const child = spawnPlaced({ path: "/bin/true", argv: ["true"], fds: [] });
    setTimeout(() => {}, 100);
    console.log((await child.exited).code);
  });
  assertEquals(await process.succeeds(), "0\n");
});

Deno.test("ChildProcess.kill() of spawnPlaced() throws at no moment around the end of a process", async () => {
  for (let round = 0; round < 30; round++) {
    const child = spawnPlaced({ path: "/bin/sleep", argv: ["sleep", "60"], fds: [] });
    let ended = false;
    child.exited.then(() => ended = true);
    while (!ended) {
      child.kill("SIGTERM");
      await (round % 2 ? undefined : new Promise((resolve) => setTimeout(resolve, 0)));
      child.kill("SIGTERM");
      await new Promise((resolve) => setImmediate(resolve));
    }
    child.kill("SIGKILL");
    assertEquals(await child.exited, { code: 143, signal: "SIGTERM" });
  }
});
