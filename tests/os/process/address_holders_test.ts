import { assertEquals } from "@std/assert";
import { describeInUse } from "../../../src/os/process/address_holders.ts";
import type { ListenAddress } from "../../../src/os/net/socket.ts";
import { leaveOut } from "../../support/left_out.ts";
import { TempDir } from "../../support/temp.ts";

const OWN = `address in use by process ${Deno.pid} ("deno")`;

/** The address of a listener, and one that it keeps from being opened. */
const CONFLICTS: readonly [listening: string, wanted: string][] = [
  ["127.0.0.1", "127.0.0.1"],
  ["0.0.0.0", "127.0.0.1"],
  ["127.0.0.1", "0.0.0.0"],
  ["::", "127.0.0.1"],
  ["::1", "::"],
];

for (const [listening, hostname] of CONFLICTS) {
  Deno.test(`describeInUse() names the process that listens on ${listening} for ${hostname}`, (t) => {
    let listener: Deno.TcpListener;
    try {
      listener = Deno.listen({ hostname: listening, port: 0 });
    } catch (error) {
      assertEquals(listening.includes(":"), true, `${error}`);
      return leaveOut(t, "this system has no IPv6");
    }
    const { port } = listener.addr;
    assertEquals(describeInUse({ kind: "inet", hostname, port }), OWN);
    listener.close();
    assertEquals(describeInUse({ kind: "inet", hostname, port }), "address in use");
  });
}

Deno.test("describeInUse() looks for a second at most, however many descriptors other processes have", () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  let atMs = 0, looks = 0;
  const nowMs = () => {
    looks++;
    return atMs += 400;
  };
  assertEquals(
    describeInUse({ kind: "inet", hostname: "127.0.0.1", port }, nowMs),
    "address in use",
  );
  assertEquals(looks, 4);
});

Deno.test("describeInUse() does not name a process that listens on another address with the same port", () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address: ListenAddress = { kind: "inet", hostname: "127.0.0.2", port: listener.addr.port };
  assertEquals(describeInUse(address), "address in use");
});

Deno.test("describeInUse() names the process that listens on a unix socket, and not its clients", async () => {
  using temp = new TempDir();
  const path = temp.file("socket");
  const listener = Deno.listen({ transport: "unix", path });
  assertEquals(describeInUse({ kind: "unix", path }), OWN);
  using client = await Deno.connect({ transport: "unix", path });
  using server = await listener.accept();
  listener.close();
  assertEquals(describeInUse({ kind: "unix", path }), "address in use");
  assertEquals([client.localAddr.transport, server.localAddr.transport], ["unix", "unix"]);
});
