/** Tests of values with which LIB-ZC's servers go on. */
import { assert, assertEquals } from "@std/assert";
import { Config, setFrom } from "../../src/config/config.ts";
import { forgive } from "../../src/config/forgive.ts";

const IN_FILE = { file: "a.cf", line: 1 };

/** Each value, and what is used in its place; undefined where it stays, and ends the server. */
const VALUES: Readonly<Record<string, Readonly<Record<string, string | undefined>>>> = {
  "server-log": {
    "syslog,mial": "syslog,syslog",
    "syslog,mial,imapd": "syslog,syslog,imapd",
    "stdout,x": "stdout",
    "paper": "",
    "syslog": undefined,
    "syslog,mail,a,b": undefined,
    "masterlog": undefined,
  },
  "server-stop-on-softstop-after": { "5sec": "", "-1": "0", "soon": "", "5x": "5", "5 # five": "" },
  "exit-after": { "5sec": "", "-1": "0", "soon": "" },
  "debug": { "3": "" },
  "debug-config": { "perhaps": "" },
  "log-level": { "loud": "" },
  "log-format": { "xml": "" },
  "max-memory": { "10mb": "", "-5": "", "lots": "" },
  "core-file-size": { "10mb": "" },
};

for (const [key, values] of Object.entries(VALUES)) {
  for (const [text, used] of Object.entries(values)) {
    Deno.test(`forgive() reads ${key} = ${text} as LIB-ZC's servers do`, () => {
      const config = setFrom(new Config(), key, text, IN_FILE);
      setFrom(config, "own", "kept", IN_FILE);
      const warnings = forgive(config, { isByHand: false });
      assertEquals([...config], [[key, used ?? text], ["own", "kept"]]);
      assertEquals(warnings.length, used === undefined ? 0 : 1);
      assert(warnings.every(({ severity, file }) => severity === "warning" && file === "a.cf"));
    });
  }
}

Deno.test("forgive() leaves right values alone, wrong ones of other settings, and what a person typed", () => {
  const config = setFrom(new Config(), "debug", "yes", IN_FILE);
  setFrom(config, "exit-after", "5m", IN_FILE);
  setFrom(config, "server-user", "", IN_FILE);
  setFrom(config, "server-balance", "odd", IN_FILE);
  setFrom(config, "debug-config", "perhaps", "argument");
  const before = [...config];
  assertEquals(forgive(config, { isByHand: true }), []);
  assertEquals([...config], before);
  assertEquals(forgive(config, { isByHand: false }).map(({ key }) => key), ["debug-config"]);
});
