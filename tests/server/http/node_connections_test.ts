import { assertEquals } from "@std/assert";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { NodeConnections } from "../../../src/server/http/node_connections.ts";
import { HttpClient } from "../http_client.ts";

Deno.test("NodeConnections.drain() gives a connection that comes after the stop its second, too", async () => {
  const server: Server = createServer((_request, answer) => void answer.end("hello"));
  const connections = new NodeConnections(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  using held = await HttpClient.connect(port);
  await held.send("GET / HTTP/1.1\r\nHo");
  const drained = connections.drain();
  // It was accepted before, and is handed over only now.
  using late = await HttpClient.connect(port);
  // For several looks, and for less than a second.
  await new Promise((resolve) => setTimeout(resolve, 400));
  const { status, headers } = await late.get("/");
  assertEquals([status, headers.get("connection")], [200, "close"]);
  await late.ended();
  await held.send("st: test\r\n\r\n");
  assertEquals((await held.answer()).headers.get("connection"), "close");
  await drained;
  await new Promise((resolve) => server.close(resolve));
});
