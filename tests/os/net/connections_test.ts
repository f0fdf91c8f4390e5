import { assertEquals } from "@std/assert";
import { OpenConnections, unreadBytes } from "../../../src/os/net/connections.ts";
import { listenAddressOf } from "../../../src/os/net/socket.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { startFunction, withOpenFileLimit } from "../../support/processes.ts";
import { eventually } from "../../support/wait.ts";

/** Looks for connections with all descriptors taken, and again when they are free. */
async function lookWithoutDescriptors(): Promise<void> {
  const { OpenConnections } = await import("../../../src/os/net/connections.ts");
  const { takeAllDescriptors } = await import("../../server/listen/fd_exhaustion_support.ts");
  // Loads the code, for which no descriptor is free later.
  const isFound = () => OpenConnections.find() !== undefined;
  isFound();
  const free = takeAllDescriptors();
  const without = isFound();
  free();
  console.log("found:", without, isFound());
}

Deno.test("OpenConnections.find() finds nothing while no descriptor is free", async () => {
  await using looking = startFunction(import.meta, lookWithoutDescriptors, {
    prefix: withOpenFileLimit(70),
  });
  assertEquals((await looking.prints(/found: .*/))[0], "found: false true");
});

for (const [hostname, client] of [["0.0.0.0", "127.0.0.1"], ["127.0.0.1", "127.0.0.1"]]) {
  Deno.test(`OpenConnections.at() finds what was accepted on ${hostname}, and unreadBytes() what has arrived`, () =>
    leavesNothingOpen(async () => {
      using listener = Deno.listen({ hostname, port: 0 });
      using other = Deno.listen({ hostname, port: 0 });
      const address = listenAddressOf(listener.addr);
      assertEquals(new OpenConnections().at(address), []);
      using peer = await Deno.connect({ hostname: client, port: listener.addr.port });
      using conn = await listener.accept();
      using elsewhere = await Deno.connect({ hostname: client, port: other.addr.port });
      (await other.accept()).close();

      const [found, ...more] = new OpenConnections().at(address);
      assertEquals(more, []);
      const { port } = peer.localAddr as Deno.NetAddr;
      assertEquals(found.peer, `${client}:${port}`);
      assertEquals(unreadBytes(found.fd), 0);
      await peer.write(new Uint8Array(1));
      await eventually(() => unreadBytes(found.fd) === 1, { what: "the byte" });
      assertEquals(await conn.read(new Uint8Array(8)), 1);
      assertEquals(unreadBytes(found.fd), 0);
      // What the client has closed is open until this end is closed, too.
      await peer.closeWrite();
      assertEquals(new OpenConnections().at(address).length, 1);
      assertEquals(await elsewhere.read(new Uint8Array(1)), null);
    }));
}
