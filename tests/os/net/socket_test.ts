import { assert, assertEquals, assertThrows } from "@std/assert";
import { closeFd, openDescriptors } from "../../../src/os/fd/descriptor.ts";
import { SysError } from "../../../src/os/ffi/errors.ts";
import { receiveWithFds, sendWithFds } from "../../../src/os/net/fd_passing.ts";
import { libc, unwrap, unwrapOrBlock } from "../../../src/os/ffi/libc.ts";
import { describeListener, shutdownSocket, socketPair } from "../../../src/os/net/socket.ts";
import { openListener, tryAddress } from "../../../src/os/net/open_listener.ts";
import { flagsOf, leavesNothingOpen } from "../../support/descriptors.ts";
import { startFunction, TestProcess, withOpenFileLimit } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";
import { eventually } from "../../support/wait.ts";

function openFifo(path: string): number {
  const { fd, socketFile } = openListener({ kind: "fifo", path });
  assertEquals(socketFile, undefined);
  return fd;
}

function readAvailable(fd: number): string | undefined {
  const bytes = new Uint8Array(100);
  const context = { syscall: "read", subject: fd };
  const length = unwrapOrBlock(context, () => libc().read(fd, bytes, BigInt(bytes.length)));
  return length === undefined ? undefined : new TextDecoder().decode(bytes.subarray(0, length));
}

Deno.test("openListener() makes a named pipe that outlives its writers", async () => {
  using temp = new TempDir();
  const path = temp.file("pipe");
  await leavesNothingOpen(() => {
    const fd = openFifo(path);
    assert(Deno.lstatSync(path).isFifo);
    assertEquals(Deno.lstatSync(path).mode! & 0o777, 0o666 & ~Deno.umask());
    assertEquals(flagsOf(fd), { closeOnExec: true, nonblocking: true });
    assertEquals(describeListener(fd), { kind: "fifo", path });
    for (const text of ["first", "second"]) {
      assertEquals(readAvailable(fd), undefined);
      Deno.writeTextFileSync(path, text);
      assertEquals(readAvailable(fd), text);
    }
    closeFd(fd);
  });
});

Deno.test("openListener() opens a named pipe that is there already", async () => {
  using temp = new TempDir();
  const path = temp.file("pipe");
  await leavesNothingOpen(() => {
    const first = openFifo(path);
    const inode = Deno.lstatSync(path).ino;
    const second = openFifo(path);
    assertEquals(Deno.lstatSync(path).ino, inode);
    closeFd(first);
    closeFd(second);
  });
});

Deno.test("openListener() refuses a pipe's path with a file of another kind, and leaves it", async () => {
  using temp = new TempDir();
  const path = temp.write("file", "precious");
  const socketPath = temp.file("socket");
  await leavesNothingOpen(() => {
    const { fd } = openListener({ kind: "unix", path: socketPath });
    for (const taken of [path, socketPath, temp.path]) {
      assertThrows(
        () => openFifo(taken),
        Error,
        `Cannot open "${taken}": found a file of another kind, expected a named pipe`,
      );
    }
    closeFd(fd);
    const missing = temp.file("missing/pipe");
    const error = assertThrows(() => openFifo(missing), SysError);
    assertEquals(error.message, `open "${missing}": no such file or directory (ENOENT)`);
  });
  assertEquals(Deno.readTextFileSync(path), "precious");
});

Deno.test("tryAddress() refuses a path for a pipe as openListener() does, and opens no pipe that is there", async () => {
  using temp = new TempDir();
  const path = temp.file("pipe"), file = temp.write("file", "");
  Deno.symlinkSync("pipe", temp.file("link"));
  closeFd(openFifo(path));
  await using writer = new TestProcess(["sh", "-c", 'echo ready; echo sent >"$0"', path]);
  await writer.prints(/ready/);
  const state = () => Deno.readTextFileSync(`/proc/${writer.pid}/stat`).split(") ")[1][0];
  await eventually(() => state() === "S", { what: "the writer that waits for a reader" });
  await leavesNothingOpen(() => {
    tryAddress({ kind: "fifo", path });
    tryAddress({ kind: "fifo", path: temp.file("missing") });
    for (const taken of [file, temp.file("link"), temp.path]) {
      const found = `Cannot open "${taken}": found a file of another kind, expected a named pipe`;
      assertThrows(() => tryAddress({ kind: "fifo", path: taken }), Error, found);
    }
  });
  // A writer that had gone on would have no reader now, and end by SIGPIPE.
  await new Promise((resolve) => setTimeout(resolve, 100));
  const fd = openFifo(path);
  assertEquals((await writer.ended()).code, 0);
  assertEquals(readAvailable(fd), "sent\n");
  closeFd(fd);
});

Deno.test("openListener() leaves nothing open at the limit of open files", async () => {
  using temp = new TempDir();
  await using child = startFunction(import.meta, async (directory) => {
    const { duplicateFd, closeFd } = await import("../../../src/os/fd/descriptor.ts");
    const { countedDescriptors } = await import("../../support/descriptors.ts");
    const { openListener } = await import("../../../src/os/net/open_listener.ts");
    const path = `${directory}/s`;
    closeFd(openListener({ kind: "unix", path }).fd); // A stale one: it is tried first.
    const before = countedDescriptors().size;
    const fill: number[] = [];
    const codes: string[] = [];
    const attempt = (address: Parameters<typeof openListener>[0]) => {
      try {
        closeFd(openListener(address).fd);
        codes.push("opened");
      } catch (error) {
        codes.push((error as { code: string }).code);
      }
    };
    try {
      for (;;) fill.push(duplicateFd(0));
    } catch {
      attempt({ kind: "inet", hostname: "127.0.0.1", port: 0 });
      attempt({ kind: "unix", path });
      attempt({ kind: "unix", path: `${directory}/new` });
      attempt({ kind: "fifo", path: `${directory}/pipe` });
      // For the directory, the file and the socket.
      fill.splice(-3).forEach(closeFd);
      attempt({ kind: "unix", path });
      attempt({ kind: "fifo", path: `${directory}/pipe` });
    }
    fill.forEach(closeFd);
    console.log(codes.join(), countedDescriptors().size - before);
  }, { arg: temp.path, prefix: withOpenFileLimit(100) });
  assertEquals(await child.succeeds(), "EMFILE,EMFILE,EMFILE,EMFILE,opened,opened 0\n");
});

Deno.test("socketPair() connects two descriptors that are close-on-exec", async () => {
  await leavesNothingOpen(() => {
    const [one, two] = socketPair();
    assert(flagsOf(one).closeOnExec && flagsOf(two).closeOnExec);
    sendWithFds(one, new Uint8Array([1]));
    sendWithFds(two, new Uint8Array([2]));
    const room = new Uint8Array(10);
    assertEquals([receiveWithFds(one, room)?.length, room[0]], [1, 2]);
    assertEquals([receiveWithFds(two, room)?.length, room[0]], [1, 1]);
    closeFd(one);
    closeFd(two);
  });
});

Deno.test("shutdownSocket() ends both directions after the sent data", () => {
  const [one, two] = socketPair();
  const room = new Uint8Array(10);
  sendWithFds(two, new Uint8Array(3));
  shutdownSocket(one);
  assertEquals(receiveWithFds(one, room)?.length, 3);
  assertEquals(receiveWithFds(one, room)?.length, 0);
  assertEquals(receiveWithFds(two, room)?.length, 0);
  const error = assertThrows(() => sendWithFds(two, new Uint8Array(1)), SysError);
  assertEquals(error.code, "EPIPE");
  closeFd(one);
  closeFd(two);
  assertThrows(() => shutdownSocket(1_000_000), SysError, "EBADF");
});

Deno.test("describeListener() reads an abstract unix address", async () => {
  await leavesNothingOpen(() => {
    const path = `\0${crypto.randomUUID()}`;
    const before = openDescriptors();
    const listener = Deno.listen({ transport: "unix", path });
    const [fd] = [...openDescriptors()].find(([fd]) => !before.has(fd)) as [number, string];
    assertEquals(describeListener(fd), { kind: "unix", path });
    listener.close();
  });
});

Deno.test("describeListener() refuses a descriptor that is no listening stream socket", async () => {
  using temp = new TempDir();
  await leavesNothingOpen(() => {
    const newSocket = (family: number, type: number) =>
      unwrap({ syscall: "socket" }, () => libc().socket(family, type, 0));
    const [connected, other] = socketPair();
    const stream = newSocket(2, 1), datagram = newSocket(2, 2);
    using file = Deno.openSync(temp.write("file", ""));
    const [fileFd] = [...openDescriptors()].find(([, path]) => path === temp.file("file"))!;
    for (const fd of [connected, stream, datagram, fileFd]) {
      assertThrows(
        () => describeListener(fd),
        TypeError,
        "expected a listening stream socket or a named pipe",
      );
    }
    assert(file.statSync().isFile);
    [connected, other, stream, datagram].forEach(closeFd);
  });
});

Deno.test("describeListener() refuses a pipe without a name", async () => {
  const before = openDescriptors();
  await using _cat = new TestProcess(["cat"]);
  const pipe = [...openDescriptors()].find(([fd, target]) =>
    before.get(fd) !== target && target.startsWith("pipe:")
  );
  assert(pipe !== undefined);
  assertThrows(() => describeListener(pipe[0]), TypeError, "or a named pipe");
});

Deno.test("describeListener() throws for a descriptor that is not open", () => {
  for (const fd of [1_000_000, -1, NaN]) {
    assertThrows(() => describeListener(fd), Deno.errors.NotFound);
  }
});
