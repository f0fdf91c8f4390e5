import { assert, assertRejects } from "@std/assert";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { connectLoopback } from "../../../src/os/net/connections.ts";
import { FdAcceptor } from "../../../src/server/backend/fd_accept.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { inetSocket } from "../service_sockets.ts";

Deno.test("FdAcceptor gives others their turn while its queue is never empty", () =>
  leavesNothingOpen(async () => {
    const { fd, port } = inetSocket();
    const acceptor = new FdAcceptor(fd, closeFd), startMs = performance.now();
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    try {
      while (turns < 3) {
        assert(performance.now() - startMs < 10_000, "nothing else had a turn for 10 s");
        const client = connectLoopback(port);
        await acceptor.accept();
        closeFd(client);
      }
    } finally {
      clearInterval(timer);
      acceptor.close();
    }
    await assertRejects(() => acceptor.accept(), Deno.errors.BadResource);
  }));
