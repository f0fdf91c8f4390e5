import { assertEquals } from "@std/assert";
import { firstWordOf, flagsOf, grantsFfi } from "../../src/config/permissions.ts";

/** Command lines of `deno`, each with its script and its flags. */
const LINES: readonly (readonly [line: string, script: string | undefined, flags: string])[] = [
  ["run -A a.ts -c b.json", "a.ts", "-A"],
  ["run --config b.json a.ts", "a.ts", "--config"],
  ["run -Ac b.json a.ts", "a.ts", "-Ac"],
  ["run -cb.json a.ts", "a.ts", "-cb.json"],
  ["run -qcBA.json a.ts", "a.ts", "-qcBA.json"],
  ["run --lock b.lock -A a.ts", "a.ts", "--lock -A"],
  ["run --lock -A a.ts", "a.ts", "--lock -A"],
  [
    "run --min-dep-age 5 --node-modules-linker hoisted a.ts",
    "a.ts",
    "--min-dep-age --node-modules-linker",
  ],
  ["run --cpu-prof-dir b --allow-ffi a.ts", "a.ts", "--cpu-prof-dir --allow-ffi"],
  ["run --check a.ts", "a.ts", "--check"],
  ["run --watch -- a.ts", "a.ts", "--watch"],
  ["-A", undefined, "-A"],
];

for (const [line, script, flags] of LINES) {
  Deno.test(`firstWordOf() and flagsOf() tell the flags of "${line}" from its script`, () => {
    const words = line.split(" ");
    assertEquals([firstWordOf(words), flagsOf(words).join(" ")], [script, flags]);
    assertEquals(grantsFfi(words), /-A|--allow-ffi/.test(flags));
  });
}
