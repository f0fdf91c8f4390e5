import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { createServer } from "node:net";
import { closeFd } from "../../src/os/fd/descriptor.ts";
import { SysError } from "../../src/os/ffi/errors.ts";
import { encodeUnixAddress } from "../../src/os/ffi/layout.ts";
import { libc, unwrap } from "../../src/os/ffi/libc.ts";
import { describeListener } from "../../src/os/net/socket.ts";
import { openListener } from "../../src/os/net/open_listener.ts";
import { removeSocketFile, type SocketFile } from "../../src/os/net/socket_file.ts";
import { flagsOf, leavesNothingOpen } from "../support/descriptors.ts";
import { startFunction } from "../support/processes.ts";
import { TempDir } from "../support/temp.ts";

function openUnix(path: string): { fd: number; socketFile: SocketFile } {
  const { fd, socketFile } = openListener({ kind: "unix", path });
  assert(socketFile !== undefined);
  return { fd, socketFile };
}

async function canConnect(path: string): Promise<void> {
  (await Deno.connect({ transport: "unix", path })).close();
}

/** Leaves a socket behind as a killed process does. */
function makeStale(path: string): void {
  closeFd(openUnix(path).fd);
}

Deno.test("openListener() makes a unix socket, close-on-exec and non-blocking", async () => {
  using temp = new TempDir();
  await leavesNothingOpen(async () => {
    const path = temp.file("s");
    const { fd, socketFile } = openUnix(path);
    assertEquals(flagsOf(fd), { closeOnExec: true, nonblocking: true });
    assertEquals(describeListener(fd), { kind: "unix", path });
    const { dev, ino } = Deno.lstatSync(path);
    assertEquals(socketFile, { path, dev, ino: ino as number });
    await canConnect(path);
    closeFd(fd);
  });
});

Deno.test("openListener() replaces a socket file without a listener", async () => {
  using temp = new TempDir();
  await leavesNothingOpen(async () => {
    const path = temp.file("s");
    makeStale(path);
    const { fd } = openUnix(path);
    await canConnect(path);
    closeFd(fd);
  });
});

Deno.test("openListener() takes the place of the socket of a killed process", async () => {
  using temp = new TempDir();
  const path = temp.file("s");
  await using other = startFunction(import.meta, async (path) => {
    const { openListener } = await import("../../src/os/net/open_listener.ts");
    const { untilInputCloses } = await import("../support/processes.ts");
    openListener({ kind: "unix", path });
    console.log("listening");
    await untilInputCloses();
  }, { arg: path });
  assertEquals(await other.nextLine(), "listening");
  assertThrows(() => openUnix(path), SysError, "address in use (EADDRINUSE)");
  await canConnect(path);

  other.signal("SIGKILL");
  await other.ended();
  const { fd } = openUnix(path);
  await canConnect(path);
  closeFd(fd);
});

Deno.test("openListener() refuses a socket that is served, and leaves it", async () => {
  using temp = new TempDir();
  await leavesNothingOpen(async () => {
    const path = temp.file("s");
    const { fd } = openUnix(path);
    const before = Deno.lstatSync(path).ino;
    const error = assertThrows(() => openUnix(path), SysError);
    assertEquals(error.message, `connect "${path}": address in use (EADDRINUSE)`);
    assertEquals(Deno.lstatSync(path).ino, before);
    await canConnect(path);
    closeFd(fd);
  });
});

Deno.test("openListener() tells an old socket from a served one in a root directory without /proc", async () => {
  using temp = new TempDir();
  await using child = startFunction(import.meta, async (directory) => {
    const { closeFd } = await import("../../src/os/fd/descriptor.ts");
    const { cString, libc } = await import("../../src/os/ffi/libc.ts");
    const { keepProcSelf } = await import("../../src/os/ffi/proc_self.ts");
    const { openListener } = await import("../../src/os/net/open_listener.ts");
    keepProcSelf();
    // An ordinary user can't change the root, and sees the same with /proc.
    const isMoved = libc().chroot(cString(directory)) === 0;
    const open = () =>
      openListener({ kind: "unix", path: `${isMoved ? "" : directory}/s` }, { mode: 0o600 }).fd;
    closeFd(open());
    open();
    try {
      open();
    } catch (error) {
      console.log((error as Error).message.replace(directory, ""));
    }
    Deno.exit(0);
  }, { arg: temp.path });
  assertEquals(await child.succeeds(), 'connect "/s": address in use (EADDRINUSE)\n');
});

Deno.test("openListener() takes a full queue for an answer", async () => {
  using temp = new TempDir();
  await leavesNothingOpen(async () => {
    const path = temp.file("s");
    const server = createServer();
    const closed = new Promise((resolve) => server.once("close", resolve));
    await new Promise<void>((resolve) => server.listen({ path, backlog: 1 }, resolve));
    // Each attempt leaves a connection in the queue, which is not emptied before the next await.
    for (let attempt = 0; attempt < 5; attempt++) {
      assertThrows(() => openUnix(path), SysError, "address in use (EADDRINUSE)");
    }
    server.close();
    await closed;
  });
});

Deno.test("openListener() refuses a socket of another type that is served, and leaves it", async () => {
  using temp = new TempDir();
  await leavesNothingOpen(() => {
    const path = temp.file("s");
    const AF_UNIX = 1, SOCK_DGRAM = 2;
    const socket = unwrap({ syscall: "socket" }, () => libc().socket(AF_UNIX, SOCK_DGRAM, 0));
    const address = encodeUnixAddress(path);
    unwrap({ syscall: "bind" }, () => libc().bind(socket, address, address.length));
    const error = assertThrows(() => openUnix(path), SysError, path);
    assertEquals(error.code, "EPROTOTYPE");
    assert(Deno.lstatSync(path).isSocket);
    closeFd(socket);
  });
});

Deno.test("openListener() refuses a path that is no socket, and leaves the file in place", async () => {
  using temp = new TempDir();
  const file = temp.write("file", "precious");
  const link = temp.file("link");
  Deno.symlinkSync(file, link);
  Deno.mkdirSync(temp.file("directory"));
  await leavesNothingOpen(() => {
    for (const path of [file, link, temp.file("directory")]) {
      const error = assertThrows(() => openUnix(path), Error);
      assertEquals(
        error.message,
        `Cannot listen on "${path}": found a file of another kind, expected a free path or an old socket`,
      );
    }
  });
  assertEquals(Deno.readTextFileSync(file), "precious");
  assert(Deno.lstatSync(link).isSymlink);
  assert(Deno.lstatSync(temp.file("directory")).isDirectory);
});

Deno.test("openListener() takes a path of 107 bytes and refuses one of 108", async () => {
  using temp = new TempDir();
  const path = temp.file("x".repeat(107 - temp.path.length - 1));
  assertEquals(path.length, 107);
  await leavesNothingOpen(async () => {
    const { fd } = openUnix(path);
    assertEquals(describeListener(fd), { kind: "unix", path });
    await canConnect(path);
    closeFd(fd);
    assertThrows(() => openUnix(`${path}x`), RangeError, "108 bytes, expected at most 107");
  });
});

Deno.test("openListener() tells ENOENT for a missing directory", async () => {
  using temp = new TempDir();
  const path = temp.file("missing/s");
  await leavesNothingOpen(() => {
    const error = assertThrows(() => openUnix(path), SysError);
    assertEquals(error.message, `open "${path}": no such file or directory (ENOENT)`);
  });
});

Deno.test("openListener() tells an ordinary user that a directory is closed to them", async () => {
  using temp = new TempDir();
  const attempt = (path: string) =>
    startFunction(import.meta, async (path) => {
      const { openListener } = await import("../../src/os/net/open_listener.ts");
      const { becomeOrdinaryUser } = await import("../support/privileges.ts");
      becomeOrdinaryUser();
      try {
        openListener({ kind: "unix", path });
      } catch (error) {
        console.log((error as Error).message);
      }
    }, { arg: path });

  const path = temp.file("s");
  Deno.chmodSync(temp.path, 0o555);
  await using readOnly = attempt(path);
  assertEquals(await readOnly.succeeds(), `bind "${path}": permission denied (EACCES)\n`);

  Deno.chmodSync(temp.path, 0o000);
  await using closed = attempt(path);
  assertEquals(await closed.succeeds(), `open "${path}": permission denied (EACCES)\n`);
  Deno.chmodSync(temp.path, 0o700);
});

Deno.test("removeSocketFile() removes the file that the listener made", async () => {
  using temp = new TempDir();
  const path = temp.file("s");
  const { fd, socketFile } = openUnix(path);
  removeSocketFile(socketFile);
  assertThrows(() => Deno.lstatSync(path), Deno.errors.NotFound);
  await assertRejects(() => canConnect(path));
  closeFd(fd);
});

Deno.test("removeSocketFile() does nothing when the file is gone", () => {
  using temp = new TempDir();
  const { fd, socketFile } = openUnix(temp.file("s"));
  removeSocketFile(socketFile);
  removeSocketFile(socketFile);
  closeFd(fd);
});

Deno.test("removeSocketFile() leaves a file that another process has put in the same place", async () => {
  using temp = new TempDir();
  const path = temp.file("s");
  const old = openUnix(path);
  Deno.removeSync(path);
  const next = openUnix(path);
  removeSocketFile(old.socketFile);
  await canConnect(path);

  removeSocketFile(next.socketFile);
  Deno.writeTextFileSync(path, "precious");
  removeSocketFile(old.socketFile);
  assertEquals(Deno.readTextFileSync(path), "precious");
  closeFd(old.fd);
  closeFd(next.fd);
});
