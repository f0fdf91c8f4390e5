import { assertEquals, assertMatch } from "@std/assert";
import { startFunction } from "../../support/processes.ts";
import { startHttpServer } from "../http_server.ts";

/** A server whose handlers leave errors behind. */
async function faulty(address: string): Promise<void> {
  const { coroutineServerMain, serveHttp } = await import("../../../coroutine_server.ts");
  async function forgotten() {
    await new Promise((resolve) => setTimeout(resolve, 1));
    throw new Error("a fault that is not waited for");
  }
  Deno.exit(
    await coroutineServerMain({
      serviceRegister(_service, fd, fdType) {
        serveHttp(fd, fdType, async (request) => {
          const { pathname } = new URL(request.url);
          if (pathname === "/forgotten") forgotten();
          if (pathname === "/body") request.text();
          if (pathname === "/callback") {
            setTimeout(() => {
              throw new Error("a fault in a callback");
            }, 1);
          }
          if (pathname === "/wait") console.log("waiting");
          await new Promise((resolve) => setTimeout(resolve, pathname === "/wait" ? 1_000 : 50));
          return new Response("answered");
        });
        console.log("serving");
      },
    }, ["alone", "-server-service", `web://${address}`]),
  );
}

Deno.test("errors that a handler leaves behind are logged with the service, and end no connection", async () => {
  await using server = await startHttpServer(({ address }) =>
    startFunction(import.meta, faulty, { arg: address })
  );
  using waiting = await server.connect();
  await waiting.request("/wait");
  await server.process.prints(/waiting\n/);
  using client = await server.connect();
  for (
    const [path, line] of [
      [
        "/forgotten",
        /unhandled rejection \(service web\).*: a fault that is not waited for\n +at forgotten/,
      ],
      ["/callback", /uncaught error \(service web\): Error: a fault in a callback\n +at /],
    ] as const
  ) {
    assertEquals((await client.get(path)).body, "answered");
    await server.process.complains(line);
  }
  // A body that is not read to its end, of a client that goes.
  using leaving = await server.connect();
  await leaving.post("/body", 100_000);
  await leaving.send("begun");
  leaving[Symbol.dispose]();
  await server.process.complains(/unhandled rejection \(service web\)/);
  assertEquals((await waiting.answer()).body, "answered");
  server.process.signal("SIGTERM");
  await server.process.succeeds();
  assertMatch(server.process.stderr, /is an await missing\?/);
});
