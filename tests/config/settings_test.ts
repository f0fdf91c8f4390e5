/** Tests of the settings' records, of their strict reading and of the pages made from them. */

import { assert, assertEquals } from "@std/assert";
import { ALIASES, aliasesOf, settingName } from "../../src/config/aliases.ts";
import { Config, setFrom, settingOrigin } from "../../src/config/config.ts";
import { formatProblem } from "../../src/config/errors.ts";
import { renderHelp } from "../../src/config/reference.ts";
import {
  ALL_SETTINGS,
  checkSettings,
  collectSetting,
  readSetting,
} from "../../src/config/settings.ts";
import { METRICS_FORM } from "../../src/config/metrics_address.ts";
import * as settings from "../../src/config/settings.ts";

/** Reads a value as if it stood in line 3 of a file. */
function read(name: string, value: string): unknown {
  const setting = ALL_SETTINGS.find((setting) => setting.name === name);
  assert(setting !== undefined, name);
  const result = readSetting(
    setFrom(new Config(), name, value, { file: "a.cf", line: 3 }),
    setting,
  );
  return result.ok ? result.value : formatProblem(result.problem);
}

const DEFAULTS: Readonly<Record<string, unknown>> = {
  "server-command": undefined,
  "server-service": undefined,
  "server-proc-count": 1,
  "server-balance": "shared",
  "server-log": undefined,
  "server-drain-timeout": 30_000,
  "server-stop-on-softstop-after": undefined,
  "server-reload": "always",
  "server-reload-step": undefined,
  "server-ready-timeout": 30_000,
  "server-soak": 0,
  "server-healthy-after": 10_000,
  "server-backoff-max": 30_000,
  "server-start-limit": undefined,
  "server-watchdog": 0,
  "server-max-connections": undefined,
  "server-max-age": 0,
  "server-max-memory": Infinity,
  "server-idle-exit": 0,
  "server-proc-min": 0,
  "server-protocol": "auto",
  "server-socket-mode": undefined,
  "server-socket-owner": undefined,
  "server-tls-cert": undefined,
  "server-tls-key": undefined,
  "master-chroot": undefined,
  "master-chdir": undefined,
  "C": undefined,
  "pid-file": "master.pid",
  "try-lock": false,
  "log-service": undefined,
  "master-stop-timeout": 35_000,
  "master-max-generations": 8,
  "sleep": undefined,
  "DEBUG": false,
  "server-config-path": undefined,
  "server-control": undefined,
  "config": undefined,
  "debug": false,
  "debug-config": false,
  "log-level": "info",
  "log-format": "auto",
  "master-control": undefined,
  "master-status": undefined,
  metrics: undefined,
  "server-standby-count": 0,
  "exit-after": 0,
  "server-permissions": ["-A"],
  "server-output": "capture",
  "server-output-file": undefined,
  "server-output-rotate": { maxBytes: 104_857_600, period: "day" },
  "server-output-keep": 14,
  "server-output-total": 1_073_741_824,
  "server-env": undefined,
  "server-env-file": undefined,
  "server-user": undefined,
  "server-group": undefined,
  "server-start-user": "server-user",
  "server-chroot": undefined,
  "run-chroot": undefined,
  "run-user": undefined,
  "run-chdir": undefined,
  "max-memory": undefined,
  "core-file-size": undefined,
  "master-upgrade-timeout": 120_000,
};

Deno.test("readSetting() gives each setting's default where it is missing or empty", () => {
  for (const setting of ALL_SETTINGS) {
    const { name } = setting;
    assert(name in DEFAULTS, `no test of ${name}`);
    const expected = { ok: true, value: DEFAULTS[name] } as const;
    assertEquals(readSetting(new Config(), setting), expected, name);
    assertEquals(readSetting(new Config().set(name, ""), setting), expected, name);
  }
  assertEquals(ALL_SETTINGS.length, Object.keys(DEFAULTS).length);
});

Deno.test("ALL_SETTINGS has each exported record once, with unique names and a doc", () => {
  const values: readonly unknown[] = Object.values(settings);
  const exported = values.filter((value) =>
    typeof value === "object" && value !== null && "kind" in value
  );
  assertEquals(new Set<unknown>(ALL_SETTINGS), new Set(exported));
  assertEquals(new Set(ALL_SETTINGS.map(({ name }) => name)).size, ALL_SETTINGS.length);
  for (const { name, doc } of ALL_SETTINGS) assert(/^[A-Z].*\.$/.test(doc), name);
});

const VALUES: readonly (readonly [name: string, text: string, value: unknown])[] = [
  ["server-command", "bin/x 'a b'", ["bin/x", "a b"]],
  ["server-permissions", "all", ["-A"]],
  ["server-permissions", "none", ["--no-prompt"]],
  [
    "server-permissions",
    "--allow-read='/srv/my www' --deny-net",
    ["--no-prompt", "--allow-read=/srv/my www", "--deny-net"],
  ],
  ["server-env", "A=1", new Map([["A", "1"]])],
  ["server-output", "inherit", "inherit"],
  ["server-output-rotate", "64k", { maxBytes: 65_536 }],
  ["server-output-rotate", "hour, 10m", { maxBytes: 10_485_760, period: "hour" }],
  ["server-output-rotate", "off", {}],
  ["server-output-total", "-1", Infinity],
  [
    "server-env",
    "A='x y' \"B= #\" C=a=b _d=",
    new Map([["A", "x y"], ["B", " #"], ["C", "a=b"], ["_d", ""]]),
  ],
  ["server-proc-count", "0", 0],
  ["server-proc-count", "10000", 10_000],
  ["server-proc-count", "007", 7],
  ["server-log", "syslog,mail", { kind: "syslog", facility: 2 }],
  ["server-stop-on-softstop-after", "0", 0],
  ["server-stop-on-softstop-after", "90", 90_000],
  ["server-stop-on-softstop-after", "2M", 120_000],
  ["server-reload", "changed", "changed"],
  ["server-reload-step", "1", 1],
  ["server-ready-timeout", "0", 0],
  ["server-soak", "2m", 120_000],
  ["server-protocol", "systemd", "systemd"],
  ["master-max-generations", "1", 1],
  ["log-service", "s,log/,hour", { socket: "s", prefix: "log/", period: "hour" }],
  ["sleep", "100", 100],
  ["server-control", "3", 3],
  ["debug", "YES", true],
  ["debug", "n", false],
  ["log-level", "error", "error"],
  ["log-format", "json", "json"],
  ["exit-after", "1w", 604_800_000],
  ["max-memory", "64k", 65_536],
  ["core-file-size", "-1", Infinity],
  ["pid-file", "a b.pid", "a b.pid"],
  ["metrics", "127.0.0.1:9100", "127.0.0.1:9100"],
  ["metrics", "[::1]:9100", "[::1]:9100"],
  ["metrics", "/run/metrics.sock", "/run/metrics.sock"],
];

Deno.test("readSetting() reads right values", () => {
  for (const [name, text, value] of VALUES) assertEquals(read(name, text), value, text);
});

const COUNT = "expected a whole number from 0 to 10000";
const TIME = "expected a time such as 90, 90s, 5m, 2h, 1d or 1w";
const SIZE = "expected a size such as 65536 (bytes), 64k, 10m or 1g, or -1 for no limit";

const VARIABLES = "expected KEY=VALUE, with quotes as in a shell around a value with white space";
const NAME = "expected a letter or _, and then letters, digits and _";

const PROBLEMS: readonly (readonly [name: string, text: string, message: string])[] = [
  ["server-env", "A=1 secret", `Cannot read variable number 2: no "=" in it, ${VARIABLES}`],
  ["server-env", "A='secret", `Cannot read the variables: a ' that is not closed, ${VARIABLES}`],
  ["server-env", "A=secret\\", `Cannot read the variables: a backslash at the end, ${VARIABLES}`],
  [
    "server-env",
    "1secret=",
    `Cannot read variable number 1: a name that no variable can have, ${NAME}`,
  ],
  [
    "server-env",
    "=secret",
    `Cannot read variable number 1: a name that no variable can have, ${NAME}`,
  ],
  [
    "server-env",
    "A=secret A=2",
    'Cannot set variable "A": it is set twice, expected each variable once in a service',
  ],
  [
    "server-env",
    "LISTEN_FDS=1",
    'Cannot set variable "LISTEN_FDS": the master sets it, ' +
    "expected another name: server-service lists the listeners",
  ],
  [
    "server-env",
    "A=secret # why",
    'Cannot read "server-env": a comment behind the value, where none can be, ' +
    "expected the comment on a line of its own",
  ],
  ["server-env", "A=\ufffd", 'Cannot read "server-env": bytes that are not UTF-8, expected text'],
  ["server-proc-count", "abc", `Cannot read "abc": not a whole number, ${COUNT}`],
  ["server-proc-count", "-1", `Cannot read "-1": below 0, ${COUNT}`],
  ["server-proc-count", "10001", `Cannot read "10001": above 10000, ${COUNT}`],
  ["server-proc-count", "1.5", `Cannot read "1.5": not a whole number, ${COUNT}`],
  ["server-proc-count", "2 x", `Cannot read "2 x": not a whole number, ${COUNT}`],
  ["server-proc-count", "1e3", `Cannot read "1e3": not a whole number, ${COUNT}`],
  [
    "server-command",
    "a 'b",
    `Cannot split command "a 'b": a ' that is not closed, ` +
    "expected a program and its arguments, quoted as in a shell",
  ],
  [
    "server-reload",
    "never",
    'Cannot read "never": an unknown word, expected one of always, changed',
  ],
  [
    "server-reload-step",
    "0",
    'Cannot read "0": below 1, expected a whole number from 1 to 10000',
  ],
  ["exit-after", "soon", `Cannot read "soon": not a number with a unit, ${TIME}`],
  ["exit-after", "-5", `Cannot read "-5": not a number with a unit, ${TIME}`],
  ["exit-after", "5y", `Cannot read "5y": an unknown unit "y", ${TIME}`],
  [
    "exit-after",
    "99999999999999999",
    `Cannot read "99999999999999999": too large a number, ${TIME}`,
  ],
  ["max-memory", "-2", `Cannot read "-2": not a number with a unit, ${SIZE}`],
  ["max-memory", "1.5g", `Cannot read "1.5g": not a number with a unit, ${SIZE}`],
  ["max-memory", "1t", `Cannot read "1t": an unknown unit "t", ${SIZE}`],
  ["debug", "maybe", 'Cannot read "maybe": neither, expected yes or no'],
  [
    "log-level",
    "warning",
    'Cannot read "warning": an unknown word, expected one of debug, info, warn, error',
  ],
  [
    "log-format",
    "JSON",
    'Cannot read "JSON": an unknown word, expected one of auto, text, terminal, journal, json',
  ],
  [
    "server-protocol",
    "Auto",
    'Cannot read "Auto": an unknown word, expected one of auto, control, deno, inherit, libzc, systemd',
  ],
  [
    "server-log",
    "syslog",
    'Cannot read "syslog": none of the forms, ' +
    "expected syslog,FACILITY[,IDENT] or masterlog,SOCKET or stdout",
  ],
  [
    "server-permissions",
    "--allow-net -x",
    'Cannot read "--allow-net -x": "-x", which is none of these, expected all, none, or flags of ' +
    "deno run such as --allow-read=/srv/www --allow-net=127.0.0.1:5432",
  ],
  ["pid-file", "a\ufffdb", 'Cannot read "a\ufffdb": bytes that are not UTF-8, expected text'],
  ["metrics", "fifo:/x", `Cannot read "fifo:/x": a named pipe, expected ${METRICS_FORM}`],
  [
    "metrics",
    "a;b",
    `Cannot read "a;b": a separator, so more than one address, expected ${METRICS_FORM}`,
  ],
  ["pid-file", "a\0b", 'Cannot read "a\\u0000b": a NUL character, expected text'],
];

Deno.test("readSetting() names file, line, setting, what was found and what was expected", () => {
  for (const [name, text, message] of PROBLEMS) {
    assertEquals(read(name, text), `a.cf:3: ${name}: ${message}`);
  }
});

Deno.test("readSetting() names the argument", () => {
  const config = setFrom(new Config(), "sleep", "long", "argument");
  const result = readSetting(config, settings.SLEEP);
  assert(!result.ok);
  assertEquals(
    formatProblem(result.problem),
    'argument -sleep: Cannot read "long": not a whole number, ' +
      "expected a whole number from 0 to 2147483647",
  );
});

Deno.test("collectSetting() adds the problem and goes on with the default", () => {
  const problems: { message: string }[] = [];
  const config = new Config().set("master-stop-timeout", "x").set("exit-after", "1s");
  assertEquals(collectSetting(config, settings.MASTER_STOP_TIMEOUT, problems), 35_000);
  assertEquals(collectSetting(config, settings.EXIT_AFTER, problems), 1_000);
  assertEquals(problems.length, 1);
});

Deno.test("checkSettings() finds every problem of the given settings and of no others", () => {
  const config = new Config().set("sleep", "x").set("debug", "x").set("exit-after", "1");
  const problems = checkSettings(config, [settings.SLEEP, settings.DEBUG, settings.EXIT_AFTER]);
  assertEquals(problems.map(({ key }) => key), ["sleep", "debug"]);
  assertEquals(checkSettings(config, [settings.EXIT_AFTER]), []);
});

Deno.test("an alias is the same key as the name of its setting, and the later one wins", () => {
  const { SERVER_STANDBY_COUNT } = settings;
  const [name, alias] = [SERVER_STANDBY_COUNT.name, "server-spare-count"];
  assertEquals([name, aliasesOf(name)], ["server-standby-count", [alias]]);
  for (const [first, second] of [[name, alias], [alias, name]]) {
    const config = setFrom(new Config().set(first, "1"), second, "2", { file: "a.cf", line: 4 });
    assertEquals(readSetting(config, SERVER_STANDBY_COUNT), { ok: true, value: 2 });
    assertEquals([...config], [[name, "2"]]);
    assertEquals([config.get(first), config.getRaw(second)], ["2", "2"]);
    assertEquals(settingOrigin(config, first), { file: "a.cf", line: 4 });
    assert(config.has(first) && config.delete(first) && !config.has(second));
  }
});

Deno.test("no alias is the name of a setting", () => {
  const names = ALL_SETTINGS.map(({ name }) => name);
  for (const alias of ALIASES) {
    assert(!names.includes(alias), alias);
    assert(names.includes(settingName(alias)), alias);
  }
});

Deno.test("renderHelp() lists what the program reads, within 80 columns", () => {
  const master = renderHelp("master");
  const server = renderHelp("server");
  assert(master.startsWith("Usage: master -C DIR "), master);
  assert(master.includes("\n  -pid-file FILE\n"), master);
  assert(master.includes(" Default: master.pid.\n"), master);
  assert(master.includes("\n  --try-lock\n"), master);
  assert(!master.includes("-server-proc-count"), master);
  assert(server.startsWith("Usage: server alone "), server);
  assert(server.includes("\n  -server-config-path DIR\n"), server);
  assert(!server.includes("-pid-file"), server);
  for (const line of `${master}${server}`.split("\n")) assert(line.length <= 80, line);
});
