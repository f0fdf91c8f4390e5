/**
 * Random settings files, argument lists, addresses and values. The generator is seeded, so a failure
 * comes back. `ZC_FUZZ_COUNT=1000000` runs a million of each, `ZC_FUZZ_SEED` another million.
 */

import { assert, assertEquals } from "@std/assert";
import { parseAddress } from "../../src/config/address.ts";
import { parseArguments } from "../../src/config/args.ts";
import { parseCf } from "../../src/config/cf.ts";
import { splitCommand } from "../../src/config/command.ts";
import { Config } from "../../src/config/config.ts";
import { ConfigError } from "../../src/config/errors.ts";
import { validateServices } from "../../src/config/endpoints.ts";
import { parseServiceConfig } from "../../src/config/service.ts";
import { ALL_SETTINGS, readSetting } from "../../src/config/settings.ts";

const COUNT = Number(Deno.env.get("ZC_FUZZ_COUNT") ?? 20_000);
const SEED = Number(Deno.env.get("ZC_FUZZ_SEED") ?? 20_260_101);

/** A small seeded generator (mulberry32): whole numbers from 0 to `bound` - 1. */
function generator(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
  };
}

/** Strings together up to `most` of the pieces. */
function mix(
  random: (bound: number) => number,
  options: { readonly pieces: readonly string[]; readonly most: number },
): string {
  let text = "";
  for (let left = random(options.most + 1); left > 0; left--) {
    text += options.pieces[random(options.pieces.length)];
  }
  return text;
}

/**
 * What LIB-ZC's reader does, written down byte by byte: fgets(3), trim, strchr(3). It shares nothing
 * with the reader under test and holds for text of one byte a character.
 */
function readLikeC(text: string): [string, string][] {
  const isTrimmed = (char: string) => char <= " " || char === "\x7f";
  const trim = (chars: string[]) => {
    while (chars.length > 0 && isTrimmed(chars[0])) chars.shift();
    while (chars.length > 0 && isTrimmed(chars[chars.length - 1])) chars.pop();
    return chars.join("");
  };
  const pairs: [string, string][] = [];
  const lines: string[][] = [[]];
  for (const char of text) {
    if (char === "\n") lines.push([]);
    else lines[lines.length - 1].push(char);
  }
  for (const line of lines) {
    const key: string[] = [];
    const value: string[] = [];
    let seen = false;
    for (const char of line) {
      if (char === "\0") break;
      if (char === "=" && !seen) seen = true;
      else if (seen) value.push(char);
      else key.push(char);
    }
    const name = trim(key);
    if ((name === "" && !seen) || name.startsWith("#")) continue;
    pairs.push([name, trim(value)]);
  }
  return pairs;
}

const NAMES = ALL_SETTINGS.map(({ name }) => name);
const CF_PIECES = [
  ..."=#;[]\"'\\ \t\r\v\f\0\x01\x7fab01,:/.-$",
  ..."\n\n\n\n",
  "\r\n",
  "key",
  "value",
  "\xe9",
  " = ",
  "server-service",
];

Deno.test("parseCf() reads random files as LIB-ZC does", () => {
  const random = generator(SEED);
  for (let i = 0; i < COUNT; i++) {
    const text = mix(random, { pieces: CF_PIECES, most: 60 });
    const pairs = parseCf(text, "f.cf").map(({ key, value }) => [key, value]);
    assertSame(pairs, readLikeC(text), text);
  }
});

/** `assertEquals` is too slow for a million comparisons. */
function assertSame(actual: unknown, expected: unknown, input: string): void {
  if (JSON.stringify(actual) === JSON.stringify(expected)) return;
  assertEquals(actual, expected, JSON.stringify(input));
}

const LIST_PIECES = [
  ...";, \t:/.[]0123456789",
  "://",
  "0:8080",
  ":143",
  "127.0.0.1:",
  "[::1]:80",
  "local:",
  "fifo:",
  "./var/x",
  "name",
  "é",
  "\ufffd",
  "x".repeat(60),
];

Deno.test("parseServiceConfig() answers every random service with a service, problems or warnings", () => {
  const random = generator(SEED + 1);
  for (let i = 0; i < COUNT / 10; i++) {
    const config = new Config();
    for (let left = random(6); left > 0; left--) {
      const name = NAMES[random(NAMES.length)];
      config.set(name, mix(random, { pieces: [...LIST_PIECES, ..."abskmg-'\"\\\0"], most: 6 }));
    }
    if (random(4) > 0) config.set("server-command", "bin/x");
    if (random(4) > 0) {
      config.set("server-service", mix(random, { pieces: LIST_PIECES, most: 12 }));
    }
    const result = parseServiceConfig(config, { id: "hook:1", cwd: "/srv" });
    const { service, problems, warnings } = result;
    assert(service !== undefined || problems.length > 0 || warnings.length > 0);
    assert(service === undefined || problems.length === 0);
    assert(service === undefined || (service.command.length > 0 && service.endpoints.length > 0));
    for (const problem of [...problems, ...warnings, ...validateServices([result])]) {
      assert(/^Cannot .*: .*, expected /.test(problem.message), problem.message);
    }
  }
});

Deno.test("readSetting() answers every random value with a value or a problem", () => {
  const random = generator(SEED + 2);
  const pieces = [
    ..."0123456789smhdwkbg-+. ,'\"\\/:\0",
    "yes",
    "no",
    "syslog,",
    "LOG_MAIL",
    "\ufffd",
  ];
  for (let i = 0; i < COUNT; i++) {
    const setting = ALL_SETTINGS[random(ALL_SETTINGS.length)];
    const value = mix(random, { pieces, most: 6 });
    const result = readSetting(new Config().set(setting.name, value), setting);
    assert(result.ok || result.problem.key === setting.name);
  }
});

Deno.test("parseAddress() gives an endpoint or throws TypeError or RangeError", () => {
  const random = generator(SEED + 3);
  for (let i = 0; i < COUNT; i++) {
    const text = mix(random, { pieces: [...LIST_PIECES, "\0", "..", "::", "ffff"], most: 8 });
    try {
      const endpoint = parseAddress(text, { cwd: "/srv" });
      if (endpoint.kind === "inet") {
        const host = endpoint.hostname.includes(":") ? `[${endpoint.hostname}]` : endpoint.hostname;
        // A canonical spelling reads as itself, and a URL parser reads it alike.
        const again = parseAddress(`${host}:${endpoint.port}`, { cwd: "/" });
        assertSame(again, { ...endpoint, text: again.text }, text);
        assert(new URL(`tcp://${host}:${endpoint.port}`).host === `${host}:${endpoint.port}`, text);
      } else {
        assert(endpoint.kind === "fifo" || new TextEncoder().encode(endpoint.path).length <= 107);
        const again = parseAddress(`local:${endpoint.key.slice(5)}`, { cwd: "/elsewhere" });
        assert(again.key.slice(5) === endpoint.key.slice(5), text);
      }
    } catch (error) {
      assert(error instanceof TypeError || error instanceof RangeError, text);
      assert(/^Cannot listen on .*: .*, expected /.test(error.message), error.message);
    }
  }
});

Deno.test("parseArguments() takes every random list apart or throws ConfigError", () => {
  const random = generator(SEED + 4);
  const pieces = ["-", "--", "-a", "--b", "-config", "x", "", "MASTER", "-server-log", "é\0"];
  for (let i = 0; i < COUNT; i++) {
    const args = Array.from({ length: random(8) }, () => pieces[random(pieces.length)]);
    try {
      const { settings, configFiles, rest } = parseArguments(args);
      const flags = settings.filter(({ value }) => value === "yes").length;
      const used = 2 * (settings.length - flags) + flags + 2 * configFiles.length + rest.length;
      assert(used === args.length, JSON.stringify(args));
    } catch (error) {
      assert(error instanceof ConfigError, JSON.stringify(args));
    }
  }
});

Deno.test("splitCommand() splits every random command or throws SyntaxError", () => {
  const random = generator(SEED + 5);
  for (let i = 0; i < COUNT; i++) {
    const text = mix(random, { pieces: [..."ab \t'\"\\$`#é"], most: 12 });
    try {
      const words = splitCommand(text);
      // Words that are quoted again split into the same words.
      const quoted = words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
      assertSame(splitCommand(quoted), words, text);
    } catch (error) {
      assert(error instanceof SyntaxError, text);
    }
  }
});
