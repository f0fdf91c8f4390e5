import { assertEquals, assertThrows } from "@std/assert";
import { AF_UNIX } from "../../../src/os/ffi/constants.ts";
import { SysError } from "../../../src/os/ffi/errors.ts";
import { encodeUnixAddress } from "../../../src/os/ffi/layout.ts";
import { libc } from "../../../src/os/ffi/libc.ts";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { sendWithFds } from "../../../src/os/net/fd_passing.ts";
import { newSocket } from "../../../src/os/net/socket.ts";
import { ListenerOwners } from "../../../src/master/listeners/owners.ts";
import { systemListeners } from "../../../src/master/listeners/system.ts";
import { ListenerTable } from "../../../src/master/listeners/table.ts";
import { leavesNothingOpen, whyNoRefusal } from "../../support/descriptors.ts";
import { leaveOut } from "../../support/left_out.ts";
import { ReservedPort } from "../../support/ports.ts";
import { TempDir } from "../../support/temp.ts";
import { serviceOf } from "../service_configs.ts";

/** Connects to a unix socket, and sends a descriptor. */
function sendOne(path: string): void {
  const fd = newSocket(AF_UNIX), address = encodeUnixAddress(path);
  try {
    assertEquals(libc().connect(fd, address, address.length), 0);
    sendWithFds(fd, new Uint8Array([1]), [0]);
  } finally {
    closeFd(fd);
  }
}

Deno.test("ListenerTable lets clients send descriptors to programs of other protocols alone, also after a reload", async (t) => {
  const why = whyNoRefusal();
  if (why !== undefined) return leaveOut(t, why);
  await leavesNothingOpen(() => {
    using dir = new TempDir();
    const path = dir.file("socket");
    const table = new ListenerTable(new ListenerOwners(systemListeners));
    let service = serviceOf("x", { addresses: path });
    const serve = (protocol: "control" | "inherit" | "libzc" | "systemd") => {
      service = { ...service, protocol };
      table.prepare([service]).commit();
      table.keep(service);
      const [listener] = table.listeners(service, 0);
      assertEquals(table.isSound(listener), true);
      return listener;
    };
    for (const protocol of ["control", "libzc", "inherit", "systemd"] as const) {
      serve(protocol);
      if (protocol === "libzc" || protocol === "systemd") sendOne(path);
      else assertThrows(() => sendOne(path), SysError, "EPERM");
    }
    // Opened anew after damage, too.
    libc().shutdown(serve("systemd").fd, 2);
    table.repair(`unix:${path}`, { mayReplace: true, mayRevive: false });
    assertEquals(table.isSound(table.listeners(service, 0)[0]), true);
    sendOne(path);
    table.releaseAll();
    table.closeReleased();
  });
});

Deno.test("ListenerTable leaves the options of TCP listeners alone, whatever their programs take from clients", async () => {
  await leavesNothingOpen(() => {
    using reserved = new ReservedPort();
    const key = `inet:127.0.0.1:${reserved.port}`;
    const table = new ListenerTable(new ListenerOwners(systemListeners));
    const service = serviceOf("x", { addresses: `127.0.0.1:${reserved.port}` });
    for (const protocol of ["libzc", "systemd"] as const) {
      const one = { ...service, protocol };
      table.prepare([one]).commit();
      table.keep(one);
      assertEquals(table.isSound(table.listeners(one, 0)[0]), true);
      assertEquals(table.repair(key, { mayReplace: true, mayRevive: true }).told, []);
    }
    table.releaseAll();
    table.closeReleased();
  });
});
