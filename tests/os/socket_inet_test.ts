import { assert, assertEquals, assertThrows } from "@std/assert";
import { closeFd } from "../../src/os/fd/descriptor.ts";
import { SysError } from "../../src/os/ffi/errors.ts";
import { describeListener } from "../../src/os/net/socket.ts";
import { openListener } from "../../src/os/net/open_listener.ts";
import { flagsOf, leavesNothingOpen } from "../support/descriptors.ts";
import { ReservedPort } from "../support/ports.ts";
import { firstOrdinaryPort, mayUsePrivilegedPorts } from "../support/privileges.ts";
import { startFunction } from "../support/processes.ts";
import { within } from "../support/wait.ts";

function openInet(hostname: string, port = 0): { fd: number; port: number } {
  const { fd } = openListener({ kind: "inet", hostname, port });
  const found = describeListener(fd);
  assert(found.kind === "inet");
  return { fd, port: found.port };
}

/** Whether both can be open; some ports are tried, since another process may have the second. */
function opensOnOnePort(first: string, second: string): boolean {
  for (let attempt = 0; attempt < 10; attempt++) {
    const { fd, port } = openInet(first);
    try {
      closeFd(openInet(second, port).fd);
      return true;
    } catch (error) {
      assertEquals((error as SysError).code, "EADDRINUSE");
    } finally {
      closeFd(fd);
    }
  }
  return false;
}

Deno.test("openListener() listens on an IPv4 address, close-on-exec and non-blocking", async () => {
  await leavesNothingOpen(async () => {
    const { fd, port } = openInet("127.0.0.1");
    assertEquals(flagsOf(fd), { closeOnExec: true, nonblocking: true });
    assertEquals(describeListener(fd), { kind: "inet", hostname: "127.0.0.1", port });
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    closeFd(fd);
  });
});

Deno.test("openListener() listens on an IPv6 address, close-on-exec and non-blocking", async () => {
  await leavesNothingOpen(async () => {
    const { fd, port } = openInet("::1");
    assertEquals(flagsOf(fd), { closeOnExec: true, nonblocking: true });
    assertEquals(describeListener(fd), { kind: "inet", hostname: "::1", port });
    (await Deno.connect({ hostname: "::1", port })).close();
    closeFd(fd);
  });
});

Deno.test("openListener() opens [::] and 0.0.0.0 on the same port, each for its own family", async () => {
  await leavesNothingOpen(async () => {
    assert(opensOnOnePort("::", "0.0.0.0"));
    assert(opensOnOnePort("0.0.0.0", "::"));
    // Nobody else can listen there on IPv4.
    using reserved = new ReservedPort();
    const { fd, port } = openInet("::", reserved.port);
    (await Deno.connect({ hostname: "::1", port })).close();
    const refused = await Deno.connect({ hostname: "127.0.0.1", port }).catch((error) => error);
    assert(refused instanceof Deno.errors.ConnectionRefused, String(refused));
    closeFd(fd);
  });
});

Deno.test("openListener() tells EADDRINUSE with the address, and leaves nothing open", async () => {
  await leavesNothingOpen(() => {
    for (const hostname of ["127.0.0.1", "::1"]) {
      const { fd, port } = openInet(hostname);
      const error = assertThrows(() => openInet(hostname, port), SysError);
      const shown = hostname === "::1" ? `[::1]:${port}` : `127.0.0.1:${port}`;
      assertEquals(error.message, `bind "${shown}": address in use (EADDRINUSE)`);
      assertEquals([error.code, error.syscall, error.errno], ["EADDRINUSE", "bind", 98]);
      closeFd(fd);
    }
  });
});

Deno.test("openListener() tells EADDRNOTAVAIL for an address of another machine", async () => {
  await leavesNothingOpen(() => {
    // From the block for documentation (RFC 5737): it is never assigned.
    const error = assertThrows(() => openInet("192.0.2.1"), SysError, '"192.0.2.1:0"');
    assertEquals(error.code, "EADDRNOTAVAIL");
  });
});

Deno.test("openListener() takes numeric addresses only", async () => {
  await leavesNothingOpen(() => {
    for (const hostname of ["localhost", "", "127.0.0.1.1", "127.1", "1::2::3", "::1%lo"]) {
      assertThrows(() => openInet(hostname), TypeError, "expected a numeric IP address");
    }
  });
});

Deno.test("openListener() takes a port again at once, with old connections in TIME_WAIT", async () => {
  await leavesNothingOpen(async () => {
    const server = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = server.addr as Deno.NetAddr;
    const client = await Deno.connect({ hostname: "127.0.0.1", port });
    // The end that closes first is in TIME_WAIT.
    (await server.accept()).close();
    await client.read(new Uint8Array(1));
    client.close();
    server.close();
    closeFd(openInet("127.0.0.1", port).fd);
  });
});

Deno.test("openListener() asks for a long queue: clients connect without an accept", async () => {
  await leavesNothingOpen(async () => {
    const { fd, port } = openInet("127.0.0.1");
    const connecting = Array.from({ length: 64 }, () => Deno.connect({ port }));
    const clients = await within(Promise.all(connecting), { what: "64 connections" });
    clients.forEach((client) => client.close());
    closeFd(fd);
  });
});

interface Attempt {
  port: number;
  outcome: string;
}

/** Tries privileged ports until one is not in use. */
function tryPrivilegedPort(): Attempt {
  const last = Math.max(firstOrdinaryPort() - 1, 1023);
  for (let port = 1; port <= last; port++) {
    try {
      closeFd(openInet("127.0.0.1", port).fd);
      return { port, outcome: "opened" };
    } catch (error) {
      const { code } = error as SysError;
      if (code !== "EADDRINUSE") return { port, outcome: code };
    }
  }
  throw new Error(`Cannot find a free port from 1 to ${last}`);
}

Deno.test("openListener() opens a privileged port if this process may, else tells EACCES", () => {
  const { port, outcome } = tryPrivilegedPort();
  const allowed = mayUsePrivilegedPorts() || firstOrdinaryPort() <= port;
  assertEquals(outcome, allowed ? "opened" : "EACCES");
});

Deno.test("openListener() tells an ordinary user EACCES for a privileged port", async () => {
  await using child = startFunction(import.meta, async () => {
    const { openListener } = await import("../../src/os/net/open_listener.ts");
    const { becomeOrdinaryUser } = await import("../support/privileges.ts");
    becomeOrdinaryUser();
    try {
      openListener({ kind: "inet", hostname: "127.0.0.1", port: 1 });
      console.log("opened");
    } catch (error) {
      console.log((error as Error).message);
    }
  });
  assertEquals(
    await child.succeeds(),
    // In some containers every port is an ordinary one.
    firstOrdinaryPort() <= 1 ? "opened\n" : 'bind "127.0.0.1:1": permission denied (EACCES)\n',
  );
});
