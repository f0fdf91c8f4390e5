import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import {
  EventStreams,
  isEventStream,
  isPlain,
  isStreamed,
} from "../../../src/server/http/streamed_answers.ts";

Deno.test("isStreamed() tells streams from other bodies, and uses none of them", async () => {
  const stream = () => new Blob(["abc"]).stream();
  for (
    const [answer, expected] of [
      [() => new Response("text"), false],
      [() => new Response("text", { headers: { "x-a": "b" }, status: 201 }), false],
      [() => new Response(new Uint8Array(3)), false],
      [() => Response.json({}), false],
      [() => new Response(null, { status: 204 }), false],
      [() => Response.redirect("http://test/"), false],
      [() => new Response(stream()), true],
      [() => new Response(stream(), { headers: { "x-a": "b" } }), true],
    ] as const
  ) {
    const response = answer();
    assertEquals(isStreamed(response), expected, `${answer}`);
    assertEquals(response.bodyUsed, false);
    await response.text();
  }
});

/** All that an object keeps, its symbols included. */
function stateOf(value: unknown): Map<PropertyKey, unknown> {
  if (typeof value !== "object" || value === null) return new Map();
  return new Map(Reflect.ownKeys(value).map((key) => [key, Reflect.get(value, key)]));
}

Deno.test("isPlain() tells what neither streams nor upgrades, and creates nothing of it", () => {
  const cases: readonly (readonly [unknown, boolean])[] = [
    [new Response("text"), true],
    [new Response("text", { headers: { "x-a": "b" }, status: 201 }), true],
    [Response.json({}), true],
    [new Response(null, { status: 204 }), true],
    [Response.error(), true],
    [new Response(null, { status: 101 }), false],
    [new Response(new Blob(["abc"]).stream()), false],
    [new Response(new Blob(["abc"])), false],
    [Object.create(Response.prototype), false],
    [{ status: 200 }, false],
    [undefined, false],
    ["text", false],
  ];
  for (const [index, [answer, expected]] of cases.entries()) {
    const before = stateOf(answer);
    assertEquals(isPlain(answer as Response), expected, `case ${index}`);
    for (const [key, value] of stateOf(answer)) assertStrictEquals(value, before.get(key));
  }
});

Deno.test("isEventStream() goes by the content type", () => {
  const type = (value: string) => isEventStream(new Headers({ "content-type": value }));
  assertEquals(type("text/event-stream"), true);
  assertEquals(type("Text/Event-Stream; charset=utf-8"), true);
  assertEquals(type("text/event-streams"), false);
  assertEquals(isEventStream(new Headers()), false);
});

/** A body that a test writes. */
function written() {
  let controller!: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  const state = { cancelled: undefined as unknown };
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (given) => void (controller = given),
    cancel: (reason) => void (state.cancelled = reason),
  });
  const headers = { "content-type": "text/event-stream", "x-a": "b" };
  return { answer: new Response(body, { status: 201, headers }), controller, state };
}

Deno.test("EventStreams ends a stream after its events so far, and cancels its source", async () => {
  const events = new EventStreams(), { answer, controller, state } = written();
  const passed = events.add(answer);
  assertEquals([passed.status, passed.headers.get("x-a"), events.count], [201, "b", 1]);
  controller.enqueue(new Uint8Array([65]));
  const reader = passed.body!.getReader();
  assertEquals((await reader.read()).value, new Uint8Array([65]));
  const next = reader.read();
  events.endAll();
  assertEquals((await next).done, true);
  assertEquals([state.cancelled, events.count], ["the server ends", 0]);
});

Deno.test("EventStreams passes on the end of a stream, its error, and a client that leaves", async () => {
  const events = new EventStreams();
  const ended = written();
  const text = events.add(ended.answer).text();
  ended.controller.close();
  assertEquals(await text, "");
  const failing = written();
  const failed = events.add(failing.answer).text();
  failing.controller.error(new Error("a fault"));
  await assertRejects(() => failed, Error, "a fault");
  const left = written();
  await events.add(left.answer).body!.cancel("gone");
  assertEquals([left.state.cancelled, events.count], ["gone", 0]);
});
