import { assertEquals } from "@std/assert";
import { Usage } from "../../src/server/usage.ts";

const client = (port: number): Deno.Addr => ({ transport: "tcp", hostname: "::1", port });

/** Counts how often a limit was reached. */
function limited(connections: number, before = 0): { usage: Usage; told: () => number } {
  const usage = new Usage();
  for (let count = 0; count < before; count++) usage.accepted();
  let spent = 0;
  usage.limit(connections, { onSpent: () => spent++ });
  return { usage, told: () => spent };
}

Deno.test("Usage tells once that as many connections were accepted as may be", () => {
  const { usage, told } = limited(3);
  usage.accepted();
  usage.accepted();
  assertEquals(told(), 0);
  for (let count = 0; count < 5; count++) usage.accepted();
  assertEquals(told(), 1);
});

Deno.test("Usage counts what was accepted before the limit was set", () => {
  assertEquals(limited(3, 2).told(), 0);
  assertEquals(limited(3, 3).told(), 1);
});

Deno.test("Usage takes the requests from one place for one connection", () => {
  const { usage, told } = limited(2);
  for (let count = 0; count < 5; count++) usage.requested(client(1));
  assertEquals(told(), 0);
  usage.requested(client(2));
  assertEquals(told(), 1);
});

Deno.test("Usage takes each request on a unix socket for a connection", () => {
  const { usage, told } = limited(2);
  for (let count = 0; count < 2; count++) usage.requested({ transport: "unix", path: "/run/s" });
  assertEquals(told(), 1);
});

Deno.test("Usage asks for no addresses while there is no limit", () => {
  const { usage } = limited(1);
  assertEquals([new Usage().countsPeers, usage.countsPeers], [false, true]);
  usage.accepted();
  assertEquals(usage.countsPeers, false);
});
