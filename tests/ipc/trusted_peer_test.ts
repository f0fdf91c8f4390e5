import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ProtocolError } from "../../src/ipc/protocol.ts";
import { requireTrustedPeer } from "../../src/ipc/trusted_peer.ts";
import { closeFd, openDescriptors } from "../../src/os/fd/descriptor.ts";
import { SysError } from "../../src/os/ffi/errors.ts";
import { encodeUnixAddress } from "../../src/os/ffi/layout.ts";
import { libc, unwrap } from "../../src/os/ffi/libc.ts";
import { peerUid } from "../../src/os/net/peer.ts";
import { acceptFd, pipe, socketPair } from "../../src/os/net/socket.ts";
import { openListener } from "../../src/os/net/open_listener.ts";
import { Poller } from "../../src/os/fd/poller.ts";
import { OldMaster } from "../../src/master/upgrade/old_master.ts";
import { MasterLink } from "../../src/server/runtime/master_link.ts";
import { leavesNothingOpen } from "../support/descriptors.ts";
import { startFunction } from "../support/processes.ts";
import { TempDir } from "../support/temp.ts";

/** Connects to a unix socket. */
function connect(path: string): number {
  const AF_UNIX = 1, SOCK_STREAM = 1, address = encodeUnixAddress(path);
  const fd = unwrap({ syscall: "socket" }, () => libc().socket(AF_UNIX, SOCK_STREAM, 0));
  unwrap({ syscall: "connect" }, () => libc().connect(fd, address, address.length));
  return fd;
}

/** A connection to a listener of an ordinary user's, who is another one where this is root. */
async function withOrdinaryPeer(use: (connect: () => number) => void | Promise<void>) {
  using dir = new TempDir();
  Deno.chmodSync(dir.path, 0o777);
  const path = dir.file("s");
  await using other = startFunction(import.meta, async (path) => {
    const { openListener } = await import("../../src/os/net/open_listener.ts");
    const { becomeOrdinaryUser } = await import("../support/privileges.ts");
    const { untilInputCloses } = await import("../support/processes.ts");
    becomeOrdinaryUser();
    openListener({ kind: "unix", path }, { mode: 0o777 });
    console.log(Deno.uid());
    await untilInputCloses();
  }, { arg: path });
  const uid = Number(await other.nextLine());
  assertEquals(uid, Deno.uid() === 0 ? 65_534 : Deno.uid());
  await use(() => connect(path));
}

Deno.test("peerUid() is this user for both ends of a pair, and of a connection of its own", () =>
  leavesNothingOpen(() => {
    using dir = new TempDir();
    const path = dir.file("s"), listener = openListener({ kind: "unix", path }).fd;
    const client = connect(path), server = acceptFd(listener);
    assert(server !== undefined);
    const ends = [...socketPair(), client, server];
    assertEquals(ends.map(peerUid), ends.map(() => Deno.uid()));
    ends.forEach(requireTrustedPeer);
    [...ends, listener].forEach(closeFd);
  }));

Deno.test("peerUid() refuses what is no socket", () =>
  leavesNothingOpen(() => {
    const ends = pipe();
    assertEquals(assertThrows(() => peerUid(ends[0]), SysError).code, "ENOTSOCK");
    ends.forEach(closeFd);
  }));

Deno.test("requireTrustedPeer() refuses another user's end, and closes the connection", async () => {
  await withOrdinaryPeer((connect) => {
    const fd = connect();
    if (Deno.uid() !== 0) {
      requireTrustedPeer(fd);
      return closeFd(fd);
    }
    assertEquals(peerUid(fd), 65_534);
    const { message } = assertThrows(() => requireTrustedPeer(fd), ProtocolError);
    assertEquals(
      message,
      `Cannot obey descriptor ${fd}: its other end is user 65534's, expected root`,
    );
    assert(!openDescriptors().has(fd));
  });
});

Deno.test("MasterLink and OldMaster obey nobody but their own user and root", async () => {
  await withOrdinaryPeer(async (connect) => {
    const poller = new Poller(() => {});
    const link = () => new MasterLink(connect(), { onSoftstop() {}, onGone() {} });
    const oldMaster = () =>
      new OldMaster(connect(), poller, { onReload() {}, onRecords() {}, onCounted() {}, log() {} });
    if (Deno.uid() === 0) {
      assertThrows(link, ProtocolError, "its other end is user 65534's");
      assertThrows(oldMaster, ProtocolError, "its other end is user 65534's");
    } else {
      const one = link(), other = oldMaster();
      one.close();
      other.close();
      await assertRejects(() => other.inherited, ProtocolError);
    }
  });
});

Deno.test("requireTrustedPeer() of an ordinary user obeys root, who starts servers of other users", async () => {
  using dir = new TempDir();
  Deno.chmodSync(dir.path, 0o755);
  const path = dir.file("s"), { fd } = openListener({ kind: "unix", path }, { mode: 0o777 });
  await using child = startFunction(import.meta, async (path) => {
    const { becomeOrdinaryUser } = await import("../support/privileges.ts");
    const { requireTrustedPeer } = await import("../../src/ipc/trusted_peer.ts");
    const { encodeUnixAddress } = await import("../../src/os/ffi/layout.ts");
    const { libc } = await import("../../src/os/ffi/libc.ts");
    becomeOrdinaryUser();
    const address = encodeUnixAddress(path), client = libc().socket(1, 1, 0);
    console.log(libc().connect(client, address, address.length));
    requireTrustedPeer(client);
    console.log("obeyed");
  }, { arg: path });
  assertEquals(await child.succeeds(), "0\nobeyed\n");
  closeFd(fd);
});
