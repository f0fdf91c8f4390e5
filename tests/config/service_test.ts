/** Tests of what a service's settings become, and of every way in which they can be wrong. */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { parseCf } from "../../src/config/cf.ts";
import { Config, loadEntries, setFrom, settingOrigin } from "../../src/config/config.ts";
import { readServiceList, validateServices } from "../../src/config/endpoints.ts";
import { formatProblem, type Problem } from "../../src/config/errors.ts";
import {
  parseServiceConfig,
  type ServiceConfig,
  type ServiceResult,
} from "../../src/config/service.ts";
import { readSupervision } from "../../src/config/supervision.ts";

/** Parses the text of `conf/imapd.cf`, of a master that runs in /srv. */
function parse(
  text: string,
  options: { id?: string; globals?: Config; isServing?: boolean } = {},
): ServiceResult {
  const { id = "imapd.cf", ...rest } = options;
  const file = `conf/${id}`;
  const config = loadEntries(new Config(), parseCf(text, file));
  return parseServiceConfig(config, { id, file, text, cwd: "/srv", ...rest });
}

function lines(problems: readonly Problem[]): string[] {
  return problems.map(formatProblem);
}

function serviceOf(result: ServiceResult): ServiceConfig {
  assertEquals(lines(result.problems), []);
  assert(result.service !== undefined);
  return result.service;
}

const MINIMAL = "server-command = bin/imapd\nserver-service = 0:143\n";

Deno.test("parseServiceConfig() reads the whole of an ordinary file", () => {
  const { service, warnings } = parse(
    [
      "# mail",
      "server-command = bin/imapd -x 'a b'",
      "server-service = imapd://0:143, imapd-ssl://0:993;imapd://./var/imapd\t[::1]:143 fifo:in",
      "server-proc-count = 6",
      "server-balance = reuseport",
      "server-log = syslog,mail",
      "server-stop-on-softstop-after = 2m",
      "server-protocol = libzc",
      "server-reload = changed",
      "server-reload-step = 2",
      "server-ready-timeout = 1m",
      "server-soak = 5",
      "server-permissions = --allow-net",
      "server-env = A=1",
      "server-env = 'B=x y'",
      "server-env-file = a.env",
      "server-user = www",
      "server-group = 33",
      "server-chroot = pub",
      "master-chroot = /jail",
      "master-chdir = /data",
      "host = linuxmail.cn",
    ].join("\n"),
  );
  assertEquals(warnings, []);
  assert(service !== undefined);
  const { endpoints, settings, origins, fingerprint, supervision, ...rest } = service;
  assertEquals(rest, {
    id: "imapd.cf",
    file: "conf/imapd.cf",
    place: { file: "conf/imapd.cf" },
    command: ["bin/imapd", "-x", "a b"],
    procCount: 6,
    balance: "reuseport",
    protocol: "libzc",
    permissions: ["--no-prompt", "--allow-net"],
    output: { mode: "capture" },
    environment: new Map([["A", "1"], ["B", "x y"]]),
    environmentFile: "a.env",
    user: "www",
    group: "33",
    startUser: "server-user",
    chroot: "pub",
    masterChroot: "/jail",
    masterChdir: "/data",
    softstopAfterMs: 120_000,
    drainTimeoutMs: 30_000,
    reload: "changed",
    reloadStep: 2,
    readyTimeoutMs: 60_000,
    soakMs: 5_000,
    shared: new Map(),
    sharedOrigins: new Map(),
  });
  assertEquals(supervision, readSupervision((setting) => setting.defaultValue));
  assertEquals(
    endpoints.map(({ service, text, key }) => [service, text, key]),
    [
      ["imapd", "0:143", "inet:0.0.0.0:143"],
      ["imapd-ssl", "0:993", "inet:0.0.0.0:993"],
      ["imapd", "./var/imapd", "unix:/srv/var/imapd"],
      ["", "[::1]:143", "inet:[::1]:143"],
      ["", "fifo:in", "fifo:/srv/in"],
    ],
  );
  assertEquals(endpoints[0].origin, { file: "conf/imapd.cf", line: 3 });
  assertEquals(settings.get("host"), "linuxmail.cn");
  assertEquals(settings.get("server-log"), "syslog,mail");
  assertEquals(settings.has("server-env"), false);
  assertEquals(origins.get("host"), { file: "conf/imapd.cf", line: 22 });
  assertNotEquals(fingerprint, "");
});

Deno.test("parseServiceConfig() gives defaults, and leaves out what isn't set", () => {
  const service = serviceOf(parse(MINIMAL));
  assertEquals(service.procCount, 1);
  assertEquals(service.protocol, "auto");
  assertEquals([service.reload, service.readyTimeoutMs, service.soakMs], ["always", 30_000, 0]);
  for (const key of ["masterChroot", "masterChdir", "softstopAfterMs", "reloadStep"]) {
    assert(!(key in service), key);
  }
});

Deno.test("parseServiceConfig() warns of a limit of the drain beside LIB-ZC's time", () => {
  const drain = "server-drain-timeout = 5m\n", after = "server-stop-on-softstop-after = 2\n";
  assertEquals(serviceOf(parse(MINIMAL + drain)).drainTimeoutMs, 300_000);
  assertEquals([parse(MINIMAL + drain).warnings, parse(MINIMAL + after).warnings], [[], []]);
  assertEquals(parse(MINIMAL + drain + after).warnings.map(formatProblem), [
    'conf/imapd.cf:3: server-drain-timeout: Cannot use "server-drain-timeout": ' +
    "server-stop-on-softstop-after, whose time a process waits in any case, expected one of the two",
  ]);
  const globals = (text: string) => loadEntries(new Config(), parseCf(text, "conf/all.gcf"));
  assertEquals(parse(MINIMAL + after, { globals: globals(drain) }).warnings, []);
  assertEquals(parse(MINIMAL + drain, { globals: globals(after) }).warnings.length, 1);
});

Deno.test("parseServiceConfig() keeps 0 processes and a soft stop of 0 s", () => {
  const text = `${MINIMAL}server-proc-count = 0\nserver-stop-on-softstop-after = 0\n`;
  const service = serviceOf(parse(text));
  assertEquals(service.procCount, 0);
  assertEquals(service.softstopAfterMs, 0);
});

Deno.test("parseServiceConfig() splits a list at each of ; , space and tab, and at several", () => {
  for (const list of ["0:1;0:2", "0:1,0:2", "0:1 0:2", "0:1\t0:2", ",;0:1 ;, \t0:2;;"]) {
    const { endpoints } = serviceOf(parse(`server-command = x\nserver-service = ${list}\n`));
    assertEquals(endpoints.map(({ text }) => text), ["0:1", "0:2"], list);
  }
});

Deno.test("parseServiceConfig() takes a name that is empty, and paths behind a name", () => {
  const list = "://0:1 a:///run/x a://local:y a://fifo:z a-b_1.é://0:2";
  const { endpoints } = serviceOf(parse(`server-command = x\nserver-service = ${list}\n`));
  assertEquals(endpoints.map(({ service, key }) => `${service} ${key}`), [
    " inet:0.0.0.0:1",
    "a unix:/run/x",
    "a unix:/srv/y",
    "a fifo:/srv/z",
    "a-b_1.é inet:0.0.0.0:2",
  ]);
});

const WANTED = "expected server-command and server-service";

const WRONG: readonly (readonly [name: string, text: string, problems: readonly string[]])[] = [
  ["no addresses", "server-command = x\n", [
    'conf/imapd.cf: server-service: Cannot use as a service "imapd.cf": ' +
    `no server-service, ${WANTED}`,
  ]],
  ["an empty list of addresses", "server-command = x\nserver-service =\n", [
    'conf/imapd.cf: server-service: Cannot use as a service "imapd.cf": ' +
    `no server-service, ${WANTED}`,
  ]],
  ["a misspelt command", "server-service = 0:143\nserver_comand = x\n", [
    'conf/imapd.cf:2: server_comand: Cannot use as a service "imapd.cf": ' +
    `no server-command, but "server_comand", ${WANTED}`,
  ]],
  ["a command without its prefix", "server-service = 0:143\ncommand = x\n", [
    'conf/imapd.cf:2: command: Cannot use as a service "imapd.cf": ' +
    `no server-command, but "command", ${WANTED}`,
  ]],
  ["both of them misspelt", "Server-Command = x\nsever-service = 0:143\n", [
    'conf/imapd.cf:1: Server-Command: Cannot use as a service "imapd.cf": ' +
    `no server-command, but "Server-Command", ${WANTED}`,
    'conf/imapd.cf:2: sever-service: Cannot use as a service "imapd.cf": ' +
    `no server-service, but "sever-service", ${WANTED}`,
  ]],
  ["one of them misspelt, and no other", "server-comand = x\n", [
    'conf/imapd.cf: server-service: Cannot use as a service "imapd.cf": ' +
    `no server-service, ${WANTED}`,
    'conf/imapd.cf:1: server-comand: Cannot use as a service "imapd.cf": ' +
    `no server-command, but "server-comand", ${WANTED}`,
  ]],
  ["a comment behind a time", `${MINIMAL}server-stop-on-softstop-after = 5 # seconds\n`, [
    'conf/imapd.cf:3: server-stop-on-softstop-after: Cannot read "5 # seconds": a comment behind ' +
    "the value, where none can be, expected the comment on a line of its own",
  ]],
  ["no command", "server-service = 0:143\n", [
    'conf/imapd.cf: server-command: Cannot use as a service "imapd.cf": ' +
    `no server-command, ${WANTED}`,
  ]],
  ["an empty command", "server-command =\nserver-service = 0:143\n", [
    'conf/imapd.cf: server-command: Cannot use as a service "imapd.cf": ' +
    `no server-command, ${WANTED}`,
  ]],
  ["a command without a program", 'server-command = "" -x\nserver-service = 0:143\n', [
    'conf/imapd.cf:1: server-command: Cannot split command "\\"\\" -x": no program, ' +
    "expected a program and its arguments, quoted as in a shell",
  ]],
  ["separators only", "server-command = x\nserver-service = ,;\n", [
    'conf/imapd.cf:2: server-service: Cannot read ",;": no address, ' +
    "expected a list of [name://]address",
  ]],
  ["a count that is no number", `${MINIMAL}server-proc-count = abc\n`, [
    'conf/imapd.cf:3: server-proc-count: Cannot read "abc": not a whole number, ' +
    "expected a whole number from 0 to 10000",
  ]],
  ["a negative count", `${MINIMAL}server-proc-count = -1\n`, [
    'conf/imapd.cf:3: server-proc-count: Cannot read "-1": below 0, ' +
    "expected a whole number from 0 to 10000",
  ]],
  ["a host name", "server-command = x\nserver-service = a://localhost:80\n", [
    'conf/imapd.cf:2: server-service: Cannot listen on "localhost:80": a host name, ' +
    "expected 127.0.0.1:80",
  ]],
  ["port 0", "server-command = x\nserver-service = 0:0\n", [
    'conf/imapd.cf:2: server-service: Cannot listen on "0:0": a port out of range, ' +
    "expected a port from 1 to 65535",
  ]],
  ["no address behind a name", "server-command = x\nserver-service = a://\n", [
    'conf/imapd.cf:2: server-service: Cannot listen on "": nothing, ' +
    'expected HOST:PORT, [IPV6]:PORT, "local:PATH", "fifo:PATH" or a PATH without a colon',
  ]],
  ["a path that is too long", `server-command = x\nserver-service = /${"p".repeat(107)}\n`, [
    `conf/imapd.cf:2: server-service: Cannot listen on "/${"p".repeat(107)}": ` +
    "a path of 108 bytes, expected at most 107 bytes",
  ]],
  ["a colon in a name", "server-command = x\nserver-service = a:b://0:80\n", [
    'conf/imapd.cf:2: server-service: Cannot name a service "a:b": a colon in it, ' +
    "expected a name without one",
  ]],
  ["a log target", `${MINIMAL}server-log = syslog\n`, [
    'conf/imapd.cf:3: server-log: Cannot read "syslog": none of the forms, ' +
    "expected syslog,FACILITY[,IDENT] or masterlog,SOCKET or stdout",
  ]],
  ["bytes that are not UTF-8", "server-command = x\ufffd\nserver-service = 0:80\n", [
    'conf/imapd.cf:1: server-command: Cannot read "x\ufffd": bytes that are not UTF-8, ' +
    "expected text",
  ]],
  [
    "everything at once, in the order of the lines",
    [
      "server-service = 0:0, x:80, 0:81",
      "server-proc-count = many",
      "server-protocol = http",
      "server-stop-on-softstop-after = later",
      "server-command = 'x",
    ].join("\n"),
    [
      'conf/imapd.cf:1: server-service: Cannot listen on "0:0": a port out of range, ' +
      "expected a port from 1 to 65535",
      'conf/imapd.cf:1: server-service: Cannot listen on "x:80": a host name, ' +
      'expected an IPv4 address such as 127.0.0.1, "0" or nothing for any, or [IPV6]',
      'conf/imapd.cf:2: server-proc-count: Cannot read "many": not a whole number, ' +
      "expected a whole number from 0 to 10000",
      'conf/imapd.cf:3: server-protocol: Cannot read "http": an unknown word, ' +
      "expected one of auto, control, deno, inherit, libzc, systemd",
      'conf/imapd.cf:4: server-stop-on-softstop-after: Cannot read "later": ' +
      "not a number with a unit, expected a time such as 90, 90s, 5m, 2h, 1d or 1w",
      "conf/imapd.cf:5: server-command: Cannot split command \"'x\": a ' that is not closed, " +
      "expected a program and its arguments, quoted as in a shell",
    ],
  ],
];

Deno.test("parseServiceConfig() tells every problem and gives no service then", async (t) => {
  for (const [name, text, problems] of WRONG) {
    await t.step(name, () => {
      const result = parse(text);
      assertEquals(lines(result.problems), problems);
      assertEquals(result.service, undefined);
    });
  }
});

Deno.test("parseServiceConfig() tells what a check finds along with all else, in its place", () => {
  const text = `server-command = x\nserver-proc-count = many\nserver-service = 0:0 0:80\n`;
  const config = loadEntries(new Config(), parseCf(text, "x.cf"));
  const { service, problems } = parseServiceConfig(config, {
    id: "x.cf",
    file: "x.cf",
    cwd: "/srv",
    check: ({ command, procCount, endpoints, origins }) => {
      assertEquals(command, ["x"]);
      assertEquals(procCount, 1);
      assertEquals(endpoints.map(({ text }) => text), ["0:80"]);
      return [{ ...origins.get("server-command") as object, message: "Cannot find it" }];
    },
  });
  assertEquals(service, undefined);
  assertEquals(problems.map(({ line }) => line), [1, 2, 3]);
});

Deno.test("parseServiceConfig() checks nothing in a service without a program", () => {
  const check = () => {
    throw new Error("Cannot check this: it has no program");
  };
  for (const text of ["server-service = 0:80\n", `server-command = "x\nserver-service = 0:80\n`]) {
    const config = loadEntries(new Config(), parseCf(text, "x.cf"));
    parseServiceConfig(config, { id: "x.cf", file: "x.cf", cwd: "/srv", check });
  }
});

Deno.test("parseServiceConfig() passes over settings of no service, unless it serves now", () => {
  for (const text of ["", "a = b\n", "command = x\nservice = y\n", "server-command =\n"]) {
    const found = text === "" ? "no setting in it" : "no server-service";
    const result = parse(text);
    assertEquals(lines(result.warnings), [
      `conf/imapd.cf: Cannot use as a service "imapd.cf": ${found}, so it is passed over, ${WANTED}`,
    ]);
    assertEquals([result.problems, result.service], [[], undefined]);
    const serving = parse(text, { isServing: true });
    assertEquals(lines(serving.problems), [
      'conf/imapd.cf: Cannot use as a service "imapd.cf": ' +
      `${found}, but it serves now, ${WANTED}, or no such file`,
    ]);
    assertEquals([serving.warnings, serving.service], [[], undefined]);
  }
});

Deno.test("parseServiceConfig() warns of addresses that look like a host or a port", () => {
  const slip = parse("server-command = x\nserver-service = imapd://0:143, imapd-ssl://0;993\n");
  assertEquals(serviceOf(slip).endpoints.map(({ key }) => key), [
    "inet:0.0.0.0:143",
    "unix:/srv/0",
    "unix:/srv/993",
  ]);
  assertEquals(lines(slip.warnings), [
    'conf/imapd.cf:2: server-service: Cannot take for host:port "0 993": no colon in these, so each ' +
    "is a socket file, expected 0:993, or ./0 ./993 if that is meant",
  ]);
  const host = parse("server-command = x\nserver-service = hello://127.0.0.1\n");
  assertEquals(lines(host.warnings), [
    'conf/imapd.cf:2: server-service: Cannot take for host:port "127.0.0.1": no colon in it, so it ' +
    "is a socket file, expected 127.0.0.1:PORT, or ./127.0.0.1 if that is meant",
  ]);
  // Told as a comment behind the value, for each of the words in it.
  assertEquals(parse("server-command = x\nserver-service = :80 # web\n").warnings, []);
});

Deno.test("parseServiceConfig() warns where renamed output files may have less room than one of them", () => {
  const warned = (text: string, globals?: string) => {
    const shared = loadEntries(new Config(), parseCf(globals ?? "", "a.gcf"));
    return lines(
      parse(`${MINIMAL}server-output-file = log\n${text}`, { globals: shared }).warnings,
    );
  };
  const found = (total: string, one: string) =>
    `server-output-total: Cannot keep within "${total}": a file is renamed at ${one}, and would be ` +
    "removed at once, expected server-output-total at least as large as the size of " +
    "server-output-rotate";
  assertEquals(warned(""), []);
  assertEquals(warned("server-output-total = 100m\n"), []);
  assertEquals(warned("server-output-rotate = day\nserver-output-total = 1m\n"), []);
  const at = "conf/imapd.cf:4: ";
  assertEquals(warned("server-output-total = 99m\n"), [`${at}${found("99 MiB", "100 MiB")}`]);
  assertEquals(warned("server-output-rotate = 2g\n"), [
    `${at}${found("1.0 GiB", "2.0 GiB").replace("-total", "-rotate")}`,
  ]);
  assertEquals(warned("", "server-output-total = 1m\n"), [
    `a.gcf:1: ${found("1.0 MiB", "100 MiB")}`,
  ]);
});

Deno.test("parseServiceConfig() warns of what only a shell would do for a command", () => {
  const { warnings } = parse("server-command = x > /tmp/log 2>&1\nserver-service = :80\n");
  assertEquals(lines(warnings), [
    'conf/imapd.cf:1: server-command: Cannot do what a shell does for ">": an argument of the ' +
    "program, since no shell reads the command, expected a command without it, or '>' if the " +
    "program wants it",
  ]);
  assertEquals(parse("server-command = x '>'\nserver-service = :80\n").warnings, []);
});

Deno.test("parseServiceConfig() only warns of what the server itself reads", () => {
  const result = parse(`${MINIMAL}debug = 3\nmotd = caf\ufffd\n`);
  serviceOf(result);
  assertEquals(lines(result.warnings), [
    'conf/imapd.cf:3: debug: Cannot read "3": neither, expected yes or no',
    'conf/imapd.cf:4: motd: Cannot read "caf\ufffd": bytes that are neither UTF-8 nor GB18030, ' +
    "expected UTF-8 text",
  ]);
});

Deno.test("parseServiceConfig() leaves a name alone that only the master's arguments have", () => {
  const result = parse(`${MINIMAL}sleep = never\nC = x\nlog-service = y\n`);
  serviceOf(result);
  assertEquals(result.warnings, []);
});

Deno.test("parseServiceConfig() takes server-protocol from the shared settings, and nothing else", () => {
  const globals = new Config().set("server-protocol", "systemd").set("server-proc-count", "9");
  assertEquals(serviceOf(parse(MINIMAL, { globals })).protocol, "systemd");
  assertEquals(serviceOf(parse(MINIMAL, { globals })).procCount, 1);
  assertEquals(
    serviceOf(parse(`${MINIMAL}server-protocol = libzc\n`, { globals })).protocol,
    "libzc",
  );
});

Deno.test("parseServiceConfig() takes server-standby-count by its name and by its alias", () => {
  const names = ["server-standby-count", "server-spare-count"];
  for (const shared of names) {
    const globals = new Config().set(shared, "3");
    const count = (text: string) =>
      serviceOf(parse(`${MINIMAL}${text}`, { globals })).supervision.standbyCount;
    assertEquals(count(""), 3);
    for (const own of names) assertEquals(count(`${own} = 2\n`), 2);
  }
});

Deno.test("parseServiceConfig() makes the fingerprint of all settings, whatever their order", () => {
  const print = (text: string, globals?: Config) =>
    serviceOf(parse(text, globals && { globals })).fingerprint;
  const base = print(`${MINIMAL}a = 1\nb = 2\n`);
  assertEquals(print(`b = 2\n\n# x\n${MINIMAL}a=1\n`), base);
  for (const other of ["a = 1\n", "a = 1\nb = 3\n", "a = 1\nb = 2\nc = 3\n", "a = 1b\n"]) {
    assertNotEquals(print(MINIMAL + other), base);
  }
  assertNotEquals(print(`${MINIMAL}a = 1\nb = 2\n`, new Config().set("c", "3")), base);
});

Deno.test("parseServiceConfig() names a hook's service by its id", () => {
  const config = new Config().set("server-command", "x").set("server-service", "0:80, 0:0");
  const result = parseServiceConfig(config, { id: "hook:2", cwd: "/srv" });
  assertEquals(lines(result.problems), [
    'hook:2: server-service: Cannot listen on "0:0": a port out of range, ' +
    "expected a port from 1 to 65535",
  ]);
  const empty = parseServiceConfig(new Config(), { id: "hook:3", cwd: "/srv" });
  assertEquals(lines(empty.warnings), [
    `hook:3: Cannot use as a service "hook:3": no setting in it, so it is passed over, ${WANTED}`,
  ]);
});

Deno.test("parseServiceConfig() refuses a hook's settings that can't be arguments", () => {
  const config = new Config().set("server-command", "x").set("server-service", "0:80");
  config.set("-a", "1").set("", "2").set("b", "3\0").set("c", "-4");
  const result = parseServiceConfig(config, { id: "hook:1", cwd: "/srv" });
  const expected = "expected a name and a value that fit into -name value";
  assertEquals(lines(result.problems), [
    `hook:1: -a: Cannot hand on setting "-a": a name that is no argument, ${expected}`,
    `hook:1: : Cannot hand on setting "": a name that is no argument, ${expected}`,
    `hook:1: b: Cannot hand on setting "b": a NUL character, ${expected}`,
  ]);
});

Deno.test("parseServiceConfig() doesn't change the settings it is given", () => {
  const config = new Config().set("server-command", "x").set("server-service", "0:80");
  parseServiceConfig(config, { id: "hook:1", cwd: "/srv" });
  assertEquals(settingOrigin(config, "server-command"), undefined);
});

Deno.test("validateServices() names both places of an address that is named twice", () => {
  const services = [
    parse("server-command = x\nserver-service = 0:143, a://0.0.0.0:143\n", { id: "a.cf" }),
    parse("\nserver-command = x\nserver-service = ./s :143\n", { id: "b.cf" }),
    parse("server-command = x\nserver-service = 127.0.0.1:144 fifo:/srv/s\n", { id: "c.cf" }),
  ];
  assertEquals(lines(validateServices(services)), [
    'conf/a.cf:2: server-service: Cannot listen on "0.0.0.0:143": ' +
    'already named in conf/a.cf:2 as "0:143", expected each address once',
    'conf/b.cf:3: server-service: Cannot listen on ":143": ' +
    'already named in conf/a.cf:2 as "0:143", expected each address once',
    'conf/c.cf:2: server-service: Cannot listen on "fifo:/srv/s": ' +
    'already named in conf/b.cf:3 as "./s", expected each address once',
  ]);
});

Deno.test("validateServices() finds one address and all addresses with the same port, in any order", () => {
  const services = [
    parse("server-command = x\nserver-service = 127.0.0.1:143 0:144 [::1]:145\n", { id: "a.cf" }),
    parse("server-command = x\nserver-service = 0:143 127.0.0.1:144 [::]:145\n", { id: "b.cf" }),
  ];
  const found = (address: string, other: string) =>
    `conf/b.cf:2: server-service: Cannot listen on "${address}": the port of "${other}" in ` +
    "conf/a.cf:2, which overlaps, expected one of the two";
  assertEquals(lines(validateServices(services)), [
    found("0:143", "127.0.0.1:143"),
    found("127.0.0.1:144", "0:144"),
    found("[::]:145", "[::1]:145"),
  ]);
});

Deno.test("validateServices() finds nothing in services that share no address", () => {
  const services = [
    parse("server-command = x\nserver-service = a://0:143 a://0:144\n"),
    parse("server-command = x\nserver-service = [::]:143 ./a ./b\n"),
    parse("server-command = x\nserver-service = 127.0.0.1:145 127.0.0.2:145 [::1]:145 [::]:146\n"),
  ];
  assertEquals(validateServices(services), []);
});

Deno.test("readServiceList() reads the list of a command line", () => {
  const config = setFrom(new Config(), "server-service", "a://0:1,0:0", "argument");
  const { endpoints, problems } = readServiceList(config, { cwd: "/srv" });
  assertEquals(endpoints.map(({ service, origin }) => [service, origin]), [["a", "argument"]]);
  assertEquals(lines(problems), [
    'argument -server-service: Cannot listen on "0:0": a port out of range, ' +
    "expected a port from 1 to 65535",
  ]);
});

Deno.test("readServiceList() finds no address and no fault where nothing is set", () => {
  assertEquals(readServiceList(new Config(), { cwd: "/" }), { endpoints: [], problems: [] });
});

Deno.test("validateServices() finds an address twice in a list that the program has set", () => {
  const config = new Config().set("server-service", "0:1 :1");
  assertEquals(lines(validateServices([readServiceList(config, { cwd: "/" })])), [
    'server-service: Cannot listen on ":1": already named as "0:1", expected each address once',
  ]);
});
