import { assertEquals } from "@std/assert";
import { takesNothing } from "../../src/server/http_parameters.ts";

const NOTHING: Record<string, () => unknown> = {
  "an arrow function": () => 1,
  "an async arrow function": async () => await 1,
  "a function": function () {},
  "a function with a name": function ask() {},
  "an async function": async function () {},
  "an async function with a name": async function $ask_1() {},
  "a method": { ask() {} }.ask,
  "an async method": { async ask() {} }.ask,
  "a static method": class {
    static ask(): void {}
  }.ask,
};

// deno-lint-ignore no-explicit-any
type Taking = (...args: any[]) => unknown;

const SOMETHING: Record<string, Taking> = {
  "a parameter": (request) => request,
  "a parameter with a default value": (request = 1) => request,
  "a parameter that is taken apart": ({ url } = {} as Request) => url,
  "a rest parameter": (...args) => args,
  "a rest parameter of a method": { ask: (...args: unknown[]) => args }.ask,
  "arguments": function () {
    return arguments.length;
  },
  "arguments by another spelling": new Function("return \\u0061rguments[0]") as Taking,
  "what eval may reach": function () {
    return eval("argu" + "ments.length");
  },
  "what it is bound to": ((...args: unknown[]) => args).bind(null, 1),
  "what is behind a proxy": new Proxy((...args: unknown[]) => args, {}),
  "what native code takes": Math.max.bind(Math),
  "a class": class {} as unknown as Taking,
  "a computed name": { ["as" + "k"]() {} }.ask,
};

for (const [what, handler] of Object.entries(NOTHING)) {
  Deno.test(`takesNothing() is sure of ${what} without parameters`, () => {
    assertEquals(takesNothing(handler), true);
  });
}

for (const [what, handler] of Object.entries(SOMETHING)) {
  Deno.test(`takesNothing() is not sure of a handler with ${what}`, () => {
    assertEquals(takesNothing(handler), false);
  });
}
