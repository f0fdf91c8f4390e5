/** The certificates that settings name, as a start, a reload and `check` look at them. */
import { assertEquals } from "@std/assert";
import { systemReason } from "../../../src/config/cf.ts";
import { cannot, ConfigError, formatProblem } from "../../../src/config/errors.ts";
import { outdatedCertificates } from "../../../src/master/services/certificates.ts";
import { locate } from "../../../src/master/services/command.ts";
import { loadServices } from "../../../src/master/services/load.ts";
import type { Access } from "../../../src/os/process/file_access.ts";
import { type FakeFile, fakeLookup } from "../../fakes/fake_lookup.ts";
import { TempDir } from "../../support/temp.ts";
import { makeCertificate, TEST_CERT, TEST_KEY } from "../../support/tls.ts";

/** When {@linkcode TEST_CERT} is valid. */
const START_MS = Date.UTC(2020, 0, 1), END_MS = Date.UTC(2120, 0, 1), DAY_MS = 24 * 60 * 60 * 1000;

const PROGRAM: Readonly<Record<string, FakeFile>> = {
  "/srv/server.ts": "file",
  "/srv/jail": "directory",
  "/srv/jail/server.ts": "file",
  "/var/cache/deno": "directory",
};
const CERT = { "server-tls-cert": "a.crt" }, KEY = { "server-tls-key": "a.key" };
const BOTH = { ...CERT, ...KEY };
const GOOD = { "/srv/a.crt": TEST_CERT, "/srv/a.key": TEST_KEY };
const REST = "expected a regular file that may be read";
const NOTHING: Told = { problems: [], warnings: [] };

const { NotFound, PermissionDenied } = Deno.errors;

interface Told {
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

interface Case {
  /** The texts of files, or why they can't be read. */
  readonly pems?: Readonly<Record<string, string | typeof PermissionDenied>>;
  /** The settings of a `.gcf`. */
  readonly shared?: Readonly<Record<string, string>>;
  readonly nowMs?: number;
  readonly keyMode?: number;
  /** Paths that no user but the master's may read. */
  readonly closed?: readonly string[];
  /** How many services have these settings. */
  readonly count?: number;
  /** The user of services whose root is the directory of the settings files; paths there begin with `ROOT`. */
  readonly inRoot?: string;
}

function lines(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings).map(([key, value]) => `${key} = ${value}\n`).join("");
}

/** What is told about services with these settings. */
async function told(
  settings: Readonly<Record<string, string>>,
  {
    pems = GOOD,
    shared,
    nowMs = START_MS,
    keyMode = 0o600,
    closed = [],
    count = 1,
    inRoot,
  }: Case = {},
): Promise<Told> {
  using dir = new TempDir();
  const services = Array.from({ length: count }, (_, index) => {
    const program: Record<string, string> = inRoot
      ? { "server-command": "/imapd", "master-chroot": dir.path }
      : { "server-command": "server.ts" };
    const user = inRoot && { "server-user": inRoot };
    return { ...program, "server-service": `0:${index + 1}`, ...settings, ...user };
  });
  services.forEach((one, index) => dir.write(`${index + 1}.cf`, lines(one)));
  if (shared !== undefined) dir.write("all.gcf", lines(shared));
  const readForeignText = (path: string, { what }: { readonly what: string }) => {
    const found = pems[path.replace(dir.path, "ROOT")] ?? NotFound;
    if (typeof found === "string") return found;
    const cause = new found();
    const about = { found: systemReason(cause), expected: "a regular file that may be read" };
    const message = cannot(`read ${what}`, path, about);
    throw new ConfigError([{ file: path, message }], { cause });
  };
  const files = Object.fromEntries(Object.keys(pems).map((path) => [path, "file"] as const));
  const accessAs = (_: unknown, wanted: readonly (readonly [Access, string])[]) =>
    wanted.map(([access, path]) => access !== "w" && access !== "c" && !closed.includes(path));
  const lookup = fakeLookup(
    {
      ...PROGRAM,
      ...files,
      [dir.path]: "directory",
      [dir.file("imapd")]: { executable: "\x7fELF" },
      [dir.file("deno")]: { executable: "\x7fELF" },
    },
    { readForeignText, fileMode: () => keyMode, accessAs, timeOfDayMs: () => nowMs },
  );
  const loaded = await loadServices({ directory: dir.path, cwd: "/srv", lookup });
  const [problems, warnings] = [loaded.problems, loaded.warnings].map((list) =>
    list.map((one) => formatProblem(one).replaceAll(`${dir.path}/`, ""))
  );
  return { problems, warnings };
}

Deno.test("loadServices() accepts a certificate with its key, of a service and shared", async () => {
  assertEquals(await told(BOTH), NOTHING);
  assertEquals(await told({}, { shared: BOTH, count: 2 }), NOTHING);
  assertEquals(await told(KEY, { shared: CERT }), NOTHING);
  assertEquals(await told({ ...BOTH, "server-user": "www" }), NOTHING);
});

Deno.test("loadServices() refuses a certificate without a key, and a key without a certificate", async () => {
  assertEquals((await told(CERT)).problems, [
    '1.cf:3: server-tls-cert: Cannot use "a.crt": no server-tls-key beside it, ' +
    "expected both or neither",
  ]);
  assertEquals((await told({}, { shared: KEY })).problems, [
    'all.gcf:1: server-tls-key: Cannot use "a.key": no server-tls-cert beside it, ' +
    "expected both or neither",
  ]);
});

Deno.test("loadServices() refuses files that are missing, unreadable or of another kind", async () => {
  const cases: readonly (readonly [Case["pems"], readonly string[]])[] = [
    [{}, [
      '1.cf:3: server-tls-cert: Cannot read certificate "/srv/a.crt": no such file or directory, ' +
      REST,
      '1.cf:4: server-tls-key: Cannot read private key "/srv/a.key": no such file or directory, ' +
      REST,
    ]],
    [{ ...GOOD, "/srv/a.key": PermissionDenied }, [
      '1.cf:4: server-tls-key: Cannot read private key "/srv/a.key": permission denied, ' + REST,
    ]],
    [{ "/srv/a.crt": TEST_KEY, "/srv/a.key": TEST_CERT }, [
      '1.cf:3: server-tls-cert: Cannot use "/srv/a.crt": private key, ' +
      "expected a certificate in PEM form",
      '1.cf:4: server-tls-key: Cannot use "/srv/a.key": certificate, ' +
      "expected a private key in PEM form",
    ]],
  ];
  for (const [pems, expected] of cases) {
    assertEquals(await told(BOTH, { pems }), { problems: expected, warnings: [] });
  }
});

Deno.test("loadServices() refuses the key of another certificate, and shows nothing of a broken one", async () => {
  using dir = new TempDir();
  const other = await makeCertificate(dir, "other");
  const pems = { ...GOOD, "/srv/a.key": Deno.readTextFileSync(other.keyFile) };
  assertEquals((await told(BOTH, { pems })).problems, [
    '1.cf:4: server-tls-key: Cannot use "/srv/a.key": not the key of "/srv/a.crt", ' +
    "expected the key that belongs to it",
  ]);
  for (const secret of ["secret", "c2VjcmV0", "secret!\n\x1b[6n"]) {
    for (const end of ["", "\n-----END PRIVATE KEY-----\n"]) {
      const broken = `-----BEGIN PRIVATE KEY-----\n${secret}${end}`;
      const { problems } = await told(BOTH, { pems: { ...GOOD, "/srv/a.key": broken } });
      assertEquals(problems.length, 1);
      assertEquals(problems[0].slice(0, 47), '1.cf:4: server-tls-key: Cannot use "/srv/a.key"');
      assertEquals(problems[0].includes(secret), false, problems[0]);
    }
  }
  const broken = TEST_CERT.replace("MIIBV", "AAAAA");
  const { problems } = await told(BOTH, { pems: { ...GOOD, "/srv/a.crt": broken } });
  assertEquals(problems.map((text) => text.slice(0, 48)), [
    '1.cf:3: server-tls-cert: Cannot use "/srv/a.crt"',
  ]);
});

Deno.test("loadServices() warns of a certificate that is not valid, or not for long, with its date", async () => {
  const warned = async (nowMs: number) => {
    const { problems, warnings } = await told(BOTH, { nowMs });
    assertEquals(problems, []);
    return warnings;
  };
  const of = '1.cf:3: server-tls-cert: Cannot rely on "/srv/a.crt": ';
  const renewed = "expected a renewed certificate, and a reload";
  assertEquals(await warned(START_MS - 1), [
    `${of}it is not valid before 2020-01-01 00:00 UTC, expected a certificate that is valid now`,
  ]);
  assertEquals(await warned(END_MS - 14 * DAY_MS), []);
  assertEquals(await warned(END_MS - 14 * DAY_MS + 1), [
    `${of}it expires on 2120-01-01 00:00 UTC, ${renewed}`,
  ]);
  assertEquals(await warned(END_MS + 1), [
    `${of}it has expired on 2120-01-01 00:00 UTC, ${renewed}`,
  ]);
});

Deno.test("outdatedCertificates() names a certificate once, as long before its end as is asked for", async () => {
  using dir = new TempDir();
  for (const name of ["a", "b"]) {
    const port = name.charCodeAt(0);
    const settings = { "server-command": "server.ts", "server-service": `0:${port}`, ...BOTH };
    dir.write(`${name}.cf`, lines(settings));
  }
  let nowMs = END_MS - 30 * DAY_MS;
  const lookup = fakeLookup({ ...PROGRAM, "/srv/a.crt": "file", "/srv/a.key": "file" }, {
    readForeignText: (path) => path.endsWith("crt") ? TEST_CERT : TEST_KEY,
    timeOfDayMs: () => nowMs,
  });
  const { services } = await loadServices({ directory: dir.path, cwd: "/srv", lookup });
  const named = () =>
    outdatedCertificates(
      services.map((service) => locate(service, { cwd: "/srv", lookup })),
      30 * DAY_MS,
    ).map(({ path, found }) => `${path}: ${found}`);
  assertEquals([services.length, named()], [2, []]);
  nowMs++;
  assertEquals(named(), ["/srv/a.crt: it expires on 2120-01-01 00:00 UTC"]);
});

Deno.test("loadServices() finds the certificate behind other blocks of its file", async () => {
  const behindKey = { ...GOOD, "/srv/a.crt": `${TEST_KEY}\n${TEST_CERT}` };
  assertEquals(await told(BOTH, { pems: behindKey }), NOTHING);
});

Deno.test("loadServices() warns of a certificate whose dates can't be read", async () => {
  const base64 = TEST_CERT.replace(/-----[^-]*-----|\s/g, "");
  const der = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const dates = new TextDecoder("latin1").decode(der).search(/\d{12}Z/);
  der.fill("X".charCodeAt(0), dates, dates + 12);
  const changed = btoa(String.fromCharCode(...der));
  const pem = `-----BEGIN CERTIFICATE-----\n${changed}\n-----END CERTIFICATE-----\n`;
  assertEquals(await told(BOTH, { pems: { ...GOOD, "/srv/a.crt": pem } }), {
    problems: [],
    warnings: [
      '1.cf:3: server-tls-cert: Cannot rely on "/srv/a.crt": its dates can\'t be read (invalid date), ' +
      "expected a certificate with dates",
    ],
  });
});

Deno.test("loadServices() warns of a key that everybody may read, once for many services", async () => {
  assertEquals(await told({}, { shared: BOTH, keyMode: 0o644, count: 3 }), {
    problems: [],
    warnings: [
      'all.gcf:2: server-tls-key: Cannot keep secret "/srv/a.key": every user may read it ' +
      "(mode 0644), expected a mode without read permission for others",
    ],
  });
});

Deno.test("loadServices() refuses a key that the user of a service can't read, and warns of a shared one", async () => {
  const user = { "server-user": "www" }, closed = ["/srv/a.key"];
  const about = 'server-tls-key: Cannot read "/srv/a.key": not permitted for user www, ' +
    "expected a file that user www may read, or server-start-user = master";
  assertEquals(await told({ ...user, ...BOTH }, { closed }), {
    problems: [`1.cf:5: ${about}`],
    warnings: [],
  });
  assertEquals(await told(user, { closed, shared: BOTH }), {
    problems: [],
    warnings: [`all.gcf:2: ${about}`],
  });
  // Its beforeService reads the files.
  assertEquals(
    await told({ ...user, ...BOTH, "server-start-user": "master" }, { closed }),
    NOTHING,
  );
  const pems = { ...GOOD, "/srv/a.key": PermissionDenied };
  assertEquals(await told({ ...user, ...BOTH }, { pems }), {
    problems: [],
    warnings: [
      '1.cf:5: server-tls-key: Cannot read private key "/srv/a.key": permission denied, ' + REST,
    ],
  });
});

Deno.test("loadServices() looks for the files where the service does: in its root, in its directory", async () => {
  const names = { "server-tls-cert": "/tls/a.crt", "server-tls-key": "/tls/a.key" };
  const missing = [
    '1.cf:4: server-tls-cert: Cannot read certificate "/tls/a.crt": no such file or directory, ' +
    REST,
    '1.cf:5: server-tls-key: Cannot read private key "/tls/a.key": no such file or directory, ' +
    REST,
  ];
  const inside = (root: string) => ({
    [`${root}/tls/a.crt`]: TEST_CERT,
    [`${root}/tls/a.key`]: TEST_KEY,
  });
  // beforeService reads them outside, and serviceRegister inside.
  const jail = { "server-chroot": "jail", ...names };
  assertEquals((await told(jail, { pems: inside("/srv/jail") })).problems, []);
  assertEquals((await told(jail, { pems: inside("") })).problems, []);
  assertEquals((await told(jail, { pems: {} })).problems, missing);
  const halves = { "/tls/a.crt": TEST_CERT, "/srv/jail/tls/a.key": TEST_KEY };
  assertEquals((await told(jail, { pems: halves })).problems, missing.slice(1));

  const own = (pems: Case["pems"], shared?: Case["shared"]) =>
    told(shared ? {} : names, { pems, shared, inRoot: "www" });
  assertEquals(await own(inside("ROOT")), NOTHING);
  assertEquals(await own(inside("ROOT"), names), NOTHING);
  const within = missing.map((text) => text.replace('"/tls', '"tls'));
  assertEquals(await own(inside("")), { problems: within, warnings: [] });
  // The name is one of that root.
  const there = {
    ...names,
    "server-command": "/deno run -A /server.ts",
    "server-protocol": "control",
  };
  assertEquals(
    await told({ ...there, "server-start-user": "master" }, {
      pems: inside("ROOT"),
      inRoot: "unknown",
    }),
    NOTHING,
  );
  // The service may serve no TLS.
  const warnings = within.map((text) => text.replace(/^1\.cf:\d/, "1.cf"));
  assertEquals(await own(inside(""), names), { problems: [], warnings });
});

Deno.test("loadServices() only warns of shared files that are missing in the directory of one service", async () => {
  assertEquals(await told({ "master-chdir": "jail" }, { shared: BOTH }), {
    problems: [],
    warnings: [
      '1.cf: server-tls-cert: Cannot read certificate "/srv/jail/a.crt": no such file or directory, ' +
      REST,
      '1.cf: server-tls-key: Cannot read private key "/srv/jail/a.key": no such file or directory, ' +
      REST,
    ],
  });
});

Deno.test("loadServices() counts another file at the path of a certificate or a key as a change", async () => {
  using dir = new TempDir();
  dir.write("a.cf", lines({ "server-command": "server.ts", "server-service": "0:1", ...BOTH }));
  const print = async (stamps: Readonly<Record<string, FakeFile>>) => {
    const readForeignText = (path: string) => path === "/srv/a.crt" ? TEST_CERT : TEST_KEY;
    const lookup = fakeLookup({ ...PROGRAM, ...stamps }, { readForeignText });
    const { services: [{ fingerprint }] } = await loadServices({
      directory: dir.path,
      cwd: "/srv",
      lookup,
    });
    return fingerprint;
  };
  const files = { "/srv/a.crt": "file", "/srv/a.key": "file" } as const;
  const other = { executable: "other" };
  const prints = await Promise.all([
    print(files),
    print({ ...files, "/srv/a.crt": other }),
    print({ ...files, "/srv/a.key": other }),
  ]);
  assertEquals(new Set(prints).size, 3);
  assertEquals(await print(files), prints[0]);
  assertEquals(prints.join().includes("BEGIN"), false);
});
