/** Ports that are none: the runtime says so, and no service is taken for them. */
import { assertEquals, assertThrows } from "@std/assert";
import { portOf } from "../../../src/server/unchanged/addresses.ts";
import { makeListen } from "../../../src/server/unchanged/deno_listen.ts";
import { makeServe } from "../../../src/server/unchanged/deno_serve.ts";
import { ProgramServices } from "../../../src/server/unchanged/services.ts";

Deno.test("a port that is none takes no service of a program", () => {
  const address = { kind: "inet", hostname: "127.0.0.1", port: 80 } as const;
  const services = new ProgramServices([{ name: "", address }], () => {});
  const listen = makeListen(services), serve = makeServe(services, { onCall() {} });
  for (const port of [-1, 65_536, 1e9, NaN, 1.5]) {
    assertThrows(() => listen({ port }));
    assertThrows(() => serve({ port }, () => new Response()));
  }
  assertEquals(services.free.length, 1);
});

Deno.test("a port as text means its service, as the runtime takes it", () => {
  assertEquals(["8000", " 80 ", 80, "", "x", "80.5", undefined].map(portOf), [
    ...[8000, 80, 80],
    ...[undefined, undefined, undefined, undefined],
  ]);
});
