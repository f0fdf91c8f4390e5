import { assertEquals, assertThrows } from "@std/assert";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { SysError } from "../../../src/os/ffi/errors.ts";
import { listenAddressOf, shutdownSocket, socketPair } from "../../../src/os/net/socket.ts";
import {
  closeStream,
  endOutput,
  NOT_NOW,
  receiveNow,
  sendNow,
  StreamAcceptor,
} from "../../../src/os/net/stream.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { connectTo, inetSocket, unixSocket } from "../../server/service_sockets.ts";
import { connectRaw } from "../../server/raw_client.ts";
import { TempDir } from "../../support/temp.ts";
import { eventually } from "../../support/wait.ts";

const ECONNRESET = 104, EPIPE = 32, EBADF = 9;

/** Accepts a connection: its client may know of it a moment before. */
function acceptedBy(acceptor: StreamAcceptor): Promise<number> {
  return eventually(() => acceptor.accept(), { what: "a connection" });
}

Deno.test("receiveNow() and sendNow() tell bytes, the end, and that they would have to wait", () =>
  leavesNothingOpen(() => {
    const [one, two] = socketPair();
    const room = new Uint8Array(4);
    assertEquals(receiveNow(one, room), NOT_NOW);
    assertEquals(sendNow(two, new Uint8Array([1, 2, 3, 4, 5, 6])), 6);
    assertEquals([receiveNow(one, room), [...room]], [4, [1, 2, 3, 4]]);
    assertEquals([receiveNow(one, room), [...room]], [2, [5, 6, 3, 4]]);
    const flood = new Uint8Array(1024 * 1024);
    let sent = 0;
    for (let count; (count = sendNow(two, flood)) !== NOT_NOW;) sent += count;
    const large = new Uint8Array(64 * 1024);
    for (let got = 0; got < sent;) got += receiveNow(one, large);
    endOutput(two);
    assertEquals(receiveNow(one, room), 0);
    closeStream(two);
    assertEquals(receiveNow(one, room), 0);
    closeFd(one);
  }));

Deno.test("receiveNow() and sendNow() have the errno below 0, and no signal ends the process", () =>
  leavesNothingOpen(async () => {
    const [one, two] = socketPair();
    closeFd(two);
    assertEquals(sendNow(one, new Uint8Array(1)), -EPIPE);
    closeFd(one);
    assertEquals(receiveNow(one, new Uint8Array(1)), -EBADF);

    const { fd, port } = inetSocket();
    const client = connectRaw(port);
    const accepted = await acceptedBy(new StreamAcceptor(fd));
    client.reset();
    let told = NOT_NOW;
    await eventually(() => (told = receiveNow(accepted, new Uint8Array(1))) !== NOT_NOW, {
      what: "a reset",
    });
    assertEquals(told, -ECONNRESET);
    assertEquals(receiveNow(accepted, new Uint8Array(1)), 0);
    [accepted, fd].forEach(closeFd);
  }));

Deno.test("StreamAcceptor tells an error of accept", () =>
  leavesNothingOpen(() => {
    const { fd } = inetSocket();
    const acceptor = new StreamAcceptor(fd);
    shutdownSocket(fd);
    const { code, message } = assertThrows(() => acceptor.accept(), SysError);
    assertEquals([code, message], ["EINVAL", `accept4 "${fd}": invalid argument (EINVAL)`]);
    closeFd(fd);
  }));

Deno.test("StreamAcceptor knows each peer, and says when none is pending", () =>
  leavesNothingOpen(async () => {
    for (const hostname of ["127.0.0.1", "::1"]) {
      const socket = inetSocket(hostname);
      const acceptor = new StreamAcceptor(socket.fd);
      assertEquals(acceptor.accept(), undefined);
      for (let round = 0; round < 3; round++) {
        using client = await connectTo(socket);
        const accepted = await acceptedBy(acceptor);
        assertEquals(acceptor.peer, listenAddressOf(client.localAddr));
        closeStream(accepted);
      }
      assertEquals(acceptor.accept(), undefined);
      closeFd(socket.fd);
    }
    using dir = new TempDir();
    const socket = unixSocket(dir.file("socket"));
    const acceptor = new StreamAcceptor(socket.fd);
    using _client = await connectTo(socket);
    closeStream(await acceptedBy(acceptor));
    assertEquals(acceptor.peer, { kind: "unix", path: "" });
    closeFd(socket.fd);
  }));
