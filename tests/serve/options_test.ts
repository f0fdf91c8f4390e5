import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  aioServerGeneralAioRegister,
  connections,
  defaultAioBase,
  http,
  lines,
  serve,
  serveHttp,
} from "../../mod.ts";

/** No listening socket: nothing may be opened before the options are known to be right. */
const FD = -1;
const ANSWER = () => new Response();

/** Calls, each with options that the compiler would refuse, and what it has in their place. */
const CALLS: Readonly<Record<string, readonly [(options: object) => unknown, string]>> = {
  serve: [
    (options) => serve({ web: ANSWER }, options),
    "listen or beforeService or beforeSoftstop or afterService",
  ],
  http: [(options) => http(ANSWER, options), "tls or onError"],
  connections: [(options) => connections(() => {}, options), "tls"],
  lines: [(options) => lines(() => {}, options), "tls or longest"],
  serveHttp: [(options) => serveHttp(FD, "inet", ANSWER, options), "tls or onError"],
  aioServerGeneralAioRegister: [
    (options) => aioServerGeneralAioRegister(defaultAioBase, FD, "inet", () => {}, options),
    "tls",
  ],
};

for (const [name, [call, known]] of Object.entries(CALLS)) {
  Deno.test(`${name}() refuses an option that it does not have, and names the one that was meant`, async () => {
    const refusal = async (option: string) => {
      const attempt = async () => void await call({ [option]: true });
      return (await assertRejects(attempt, TypeError)).message;
    };
    const first = known.split(" or ")[0], misspelt = `${first}x`;
    const found = `${name}() has no such option`;
    assertEquals(
      await refusal(misspelt),
      `Cannot use option "${misspelt}": ${found}, expected ${first}`,
    );
    assertEquals(await refusal("https"), `Cannot use option "https": ${found}, expected ${known}`);
  });
}

Deno.test("options that a call has are no mistake", () => {
  http(ANSWER, { onError: () => new Response() });
  assertThrows(() => lines(() => {}, { longest: 0 }), RangeError);
});

Deno.test("serve() refuses what serves a service without its name, and no service at all", async () => {
  const refusals: readonly [unknown, string][] = [
    [ANSWER, "what serves a service, without a name"],
    [http(ANSWER), "what serves a service, without a name"],
    [{}, "no service"],
  ];
  for (const [services, found] of refusals) {
    await assertRejects(
      async () => void await serve(services as Record<string, typeof ANSWER>),
      TypeError,
      `Cannot serve "services": ${found}, expected each service by its name, as in serve({ web: handler })`,
    );
  }
});
