import { assertEquals, assertThrows } from "@std/assert";
import { defaultConfig, setFrom } from "../../src/config/config.ts";
import { ConfigError } from "../../src/config/errors.ts";
import {
  boolean,
  checkDeclaredSettings,
  choice,
  duration,
  int,
  list,
  optional,
  secret,
  settings,
  size,
  string,
} from "../../src/serve/settings.ts";

const own = settings({
  dbUrl: string(),
  poolSize: int(4, { min: 1 }),
  isStrict: boolean(false),
  idleTimeout: duration("30s"),
  largestBody: size("1m"),
  colour: choice(["red", "green"], "red"),
  admins: list(string(), []),
  proxy: optional(string()),
  dbPassword: secret(int(0)),
});

/** Sets settings for the time of a function. */
function withSettings(texts: Readonly<Record<string, string>>, act: () => void): void {
  for (const [key, value] of Object.entries(texts)) {
    setFrom(defaultConfig, key, value, { file: "one.cf", line: 3 });
  }
  try {
    act();
  } finally {
    for (const key of Object.keys(texts)) defaultConfig.delete(key);
  }
}

Deno.test("settings() has a default for what is not written", () => {
  withSettings({ "db-url": "postgres://db" }, () => {
    checkDeclaredSettings();
    assertEquals({ ...own }, {
      ...{ dbUrl: "postgres://db", poolSize: 4, isStrict: false, idleTimeout: 30_000 },
      ...{ largestBody: 1 << 20, colour: "red", admins: [], proxy: undefined, dbPassword: 0 },
    });
  });
});

Deno.test("settings() reads each kind", () => {
  const texts = {
    "db-url": "x",
    "pool-size": "9",
    "is-strict": "yes",
    "idle-timeout": "2m",
    "largest-body": "-1",
    "colour": "green",
    "admins": "ann, bob",
    "proxy": "p",
    "db-password": "7",
  };
  withSettings(texts, () => {
    assertEquals({ ...own }, {
      ...{ dbUrl: "x", poolSize: 9, isStrict: true, idleTimeout: 120_000, largestBody: Infinity },
      ...{ colour: "green", admins: ["ann", "bob"], proxy: "p", dbPassword: 7 },
    });
  });
});

Deno.test("checkDeclaredSettings() tells all problems at once, and no secret", () => {
  const texts = { "db_ulr": "x", "pool-size": "0", "colour": "blue", "db-password": "s3cret" };
  withSettings(texts, () => {
    const { message } = assertThrows(checkDeclaredSettings, ConfigError);
    assertEquals(message.split("\n"), [
      'one.cf:3: db-url: Cannot read setting "db-url": it is missing, and there is db_ulr, expected a text',
      'one.cf:3: pool-size: Cannot read "0": below 1, expected a whole number from 1 to 9007199254740991',
      'one.cf:3: colour: Cannot read "blue": an unknown word, expected one of red, green',
      'one.cf:3: db-password: Cannot read "db-password": a wrong value, which is secret, expected a whole number from -9007199254740991 to 9007199254740991',
    ]);
  });
});

Deno.test("settings() refuses a name that is taken", () => {
  const taken = { serverUser: string() };
  assertThrows(() => settings(taken), TypeError, "this framework has a setting of this name");
  assertThrows(() => settings({ dbUrl: string() }), TypeError, "it is declared already");
});
