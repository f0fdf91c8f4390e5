import { assertEquals } from "@std/assert";
import { OpenConnections, unreadBytes } from "../../../src/os/net/connections.ts";
import { listenAddressOf } from "../../../src/os/net/socket.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { eventually } from "../../support/wait.ts";

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
