import { assertEquals } from "@std/assert";
import { OpenConnections } from "../../../src/os/net/connections.ts";
import { listenAddressOf } from "../../../src/os/net/socket.ts";
import { UpgradedPeers } from "../../../src/server/http/upgraded_peers.ts";
import { tcpPair } from "../conn_pairs.ts";

Deno.test("UpgradedPeers knows an upgraded connection among others, after any number that are gone", async () => {
  const { conn, peer, ...pair } = await tcpPair();
  using _ = { ...pair };
  const peers = new UpgradedPeers(listenAddressOf(conn.localAddr));
  const known = () =>
    new OpenConnections().at(listenAddressOf(conn.localAddr)).map((one) => peers.has(one));
  assertEquals(known(), [false]);
  peers.add(conn.remoteAddr);
  assertEquals(known(), [true]);
  for (let port = 1; port < 1000; port++) {
    peers.add({ transport: "tcp", hostname: "192.0.2.1", port });
  }
  assertEquals(known(), [true]);
  conn.close();
  peer.close();
  assertEquals(known(), []);
});
