import { assertEquals, assertThrows } from "@std/assert";
import { checkHooks } from "../../src/config/check_hooks.ts";
import { ConfigError } from "../../src/config/errors.ts";

const about = { known: ["serviceRegister", "beforeService"], required: ["serviceRegister"] };

const nothing = () => {};

const MISTAKES: readonly (readonly [what: string, hooks: object, told: string])[] = [
  [
    "lacks a hook",
    {},
    'Cannot use hooks "": no serviceRegister, expected a function serviceRegister',
  ],
  [
    "has another name in place of a hook",
    { listen: nothing },
    'Cannot use hooks "listen": no serviceRegister, expected a function serviceRegister',
  ],
  [
    "misspells a hook",
    { serviceregister: nothing },
    'Cannot use hook "serviceregister": no such hook, expected serviceRegister',
  ],
  [
    "misspells a hook that may be missing",
    { serviceRegister: nothing, beforeServcie: nothing },
    'Cannot use hook "beforeServcie": no such hook, expected beforeService',
  ],
  [
    "has a hook that is no function",
    { serviceRegister: nothing, beforeService: 1 },
    'Cannot use hook "beforeService": number, expected a function',
  ],
];

for (const [what, hooks, told] of MISTAKES) {
  Deno.test(`checkHooks() refuses a program that ${what}`, () => {
    assertEquals(assertThrows(() => checkHooks(hooks, about), ConfigError).message, told);
  });
}

Deno.test("checkHooks() takes the hooks of an object, of a class, and names of the program's own", () => {
  class Hooks {
    readonly port = 80;
    serviceRegister(): void {}
  }
  checkHooks(new Hooks(), about);
  checkHooks({ serviceRegister: nothing, beforeService: undefined }, about);
  checkHooks({ serviceRegister: nothing, beforeService: nothing, other: 1 }, about);
});
