import { assertEquals } from "@std/assert";
import { addressText, listenAddressOf } from "../../../src/os/net/socket.ts";
import { acceptStatistics } from "../../../src/server/listen/accept_counts.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { eventually } from "../../support/wait.ts";
import { connectTo, LISTENER_KINDS, testListener, warmUpNodeNet } from "../service_sockets.ts";

await warmUpNodeNet();

for (const kind of LISTENER_KINDS) {
  Deno.test(`acceptStatistics() counts what a listener (${kind}) has accepted and what is open`, () =>
    leavesNothingOpen(async () => {
      using open = testListener(kind);
      const address = addressText(listenAddressOf(open.socket.addr));
      const counts = () => acceptStatistics().findLast((counts) => counts.address === address);
      assertEquals(counts(), { address, accepted: 0, open: 0, rejected: 0, errors: 0 });
      const clients = [], conns = [];
      for (let i = 0; i < 3; i++) {
        clients.push(await connectTo(open.socket));
        conns.push(await open.listener.accept());
      }
      assertEquals(counts(), { address, accepted: 3, open: 3, rejected: 0, errors: 0 });
      conns.pop()!.close();
      await eventually(() => counts()?.open === 2, { what: "the end of one" });
      assertEquals(counts()?.accepted, 3);
      [...clients, ...conns].forEach((conn) => conn.close());
    }));
}
