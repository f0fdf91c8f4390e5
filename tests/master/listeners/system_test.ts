import { assertEquals } from "@std/assert";
import { parseAddress } from "../../../src/config/address.ts";
import { systemListeners } from "../../../src/master/listeners/system.ts";
import { closeFd, duplicateFd } from "../../../src/os/fd/descriptor.ts";
import { shutdownSocket } from "../../../src/os/net/socket.ts";
import { isRefused } from "../../support/client.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { ReservedPort } from "../../support/ports.ts";

Deno.test("systemListeners.surrender() gives up an address whose server shuts its listener down", async () => {
  await leavesNothingOpen(async () => {
    using reserved = new ReservedPort();
    const { port } = reserved, endpoint = parseAddress(`127.0.0.1:${port}`, { cwd: "/" });
    const [listener] = systemListeners.open(endpoint, { wanted: [endpoint] });
    const servers = duplicateFd(listener.fd);
    try {
      systemListeners.refuse(listener);
      // Programs of other kinds do so at their end, while they finish their connections.
      shutdownSocket(servers);
      await systemListeners.surrender(listener);
      assertEquals(await isRefused(port), true);
      const [next] = systemListeners.open(endpoint, { wanted: [endpoint] });
      systemListeners.close(next);
    } finally {
      closeFd(servers);
      systemListeners.close(listener);
    }
  });
});
