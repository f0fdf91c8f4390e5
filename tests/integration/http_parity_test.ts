/** serveHttp() is to Deno.serve what it is said to be: the same, on the wire and for its handler. */
import { assertEquals } from "@std/assert";
import { Site } from "../support/master.ts";
import { TEST_CERT, testCertificate } from "../support/tls.ts";
import { ask, type Outcome, type Question, type Server } from "./http_parity.ts";

const SERVER = new URL("../support/servers/http_parity.ts", import.meta.url).pathname;

const KINDS = ["TCP", "a unix socket", "TLS"] as const;

/** A request whose `x-do` says what the handler is to do. */
function get(action: string, more = "", method = "GET"): string {
  return `${method} /path?a=%20b HTTP/1.1\r\nHost: test\r\nx-do: ${action}\r\n${more}\r\n`;
}

function post(action: string, body: string, more = ""): string {
  return get(action, `content-length: ${body.length}\r\n${more}`, "POST") + body;
}

function chunked(action: string, body: string): string {
  return get(action, "transfer-encoding: chunked\r\n", "POST") + body;
}

/** A request of which only the given part matters. */
const target = (text: string, method = "GET") => `${method} ${text} HTTP/1.1\r\nHost: test\r\n\r\n`;
const host = (text: string) => `GET /secret/x HTTP/1.1\r\n${text}\r\n`;
const field = (text: string) => get("text", `${text}\r\n`);

const ANSWERS = [
  ...["text", "none", "empty text", "bytes", "form", "blob", "json", "long", "stream"],
  ...["stream with length", "stream beyond length", "stream below length", "stream of nothing"],
  ...["stream with empty pieces", "stream of text", "stream that fails"],
  ...["stream that fails at once", "204", "205", "304", "404", "418", "599", "reason", "redirect"],
  ...["204 with length", "304 with length", "wrong length", "cookies", "latin", "date", "server"],
  ...["close", "chunked", "hop", "subclass", "thenable"],
  ...["throw", "throw text", "reject", "undefined", "null", "a text", "an object"],
  ...["an object with 101", "a promise of undefined", "a thenable of a number"],
  ...["an error response", "a used response", "a false response", "an error in onError"],
  ...["nothing from onError", "a used response from onError", "body", "request", "look later"],
  ...["signal", "upgrade"],
];

const UPGRADE = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n";

const BIG = "x".repeat(400_000);

const QUESTIONS: Readonly<Record<string, Question | string>> = {
  ...Object.fromEntries(ANSWERS.map((action) => [action, get(action)])),
  ...Object.fromEntries(
    ["text", "none", "stream", "stream with length", "204", "304", "wrong length", "long"].map((
      action,
    ) => [`HEAD ${action}`, { send: get(action, "", "HEAD"), head: true }]),
  ),
  "a stream that waits": { send: get("stream that waits"), then: "releases" },

  "no Host": host(""),
  "an empty Host": host("Host:\r\n"),
  "a blank Host": host("Host:  \t \r\n"),
  "two Hosts": host("Host: a\r\nHost: b\r\n"),
  "the same Host twice": host("Host: a\r\nHost: a\r\n"),
  "a Host with a port": host("Host: a:80\r\n"),
  "a Host of IPv6": host("Host: [::1]:80\r\n"),
  "a Host with a space": host("Host: a b\r\n"),
  "a Host with a slash": host("Host: a/b\r\n"),
  "a Host with a user": host("Host: u@h\r\n"),
  "a Host in capitals": host("Host: ABC\r\n"),
  "a Host that is no UTF-8": host("Host: caf\xe9\r\n"),
  "a Host with a port too high": host("Host: a:99999\r\n"),

  "an absolute target": target("http://other/p"),
  "an absolute target with a port": target("https://other:99/p"),
  "an absolute target without a path": target("http://other"),
  "an absolute target without a Host": "GET http://other/p HTTP/1.1\r\n\r\n",
  "an absolute target of another scheme": target("foo://other/p"),
  "a target with two slashes": target("//evil.example/x"),
  "a target with dots": target("/a/../b/./c"),
  "a target of a query alone": target("?x"),
  "a target without a slash": target("p"),
  "a target with a fragment": target("/p#f"),
  "a target with odd characters": target('/p%20%zz"<>{}|^`\\'),
  "a target that is no UTF-8": target("/caf\xe9"),
  "a target in UTF-8": target("/caf\xc3\xa9"),
  "a target of 20 kB": target(`/${"a".repeat(20_000)}`),
  "OPTIONS *": target("*", "OPTIONS"),
  "GET *": target("*"),
  CONNECT: target("test:80", "CONNECT"),
  "CONNECT with a path": target("/p", "CONNECT"),
  TRACE: target("/p", "TRACE"),
  "a method in small letters": target("/p", "get"),
  "PATCH in small letters": target("/p", "patch"),
  "a method of no standard": target("/p", "FOO"),
  "a method with odd characters": target("/p", "F!#$%&'*+-.^_`|~0"),
  "a method with a colon": target("/p", "F:"),

  "HTTP/1.0": "GET /p HTTP/1.0\r\n\r\n",
  "HTTP/1.0 with a Host": "GET /p HTTP/1.0\r\nHost: test\r\n\r\n",
  "HTTP/1.0 that is kept": "GET /p HTTP/1.0\r\nHost: test\r\nConnection: keep-alive\r\n\r\n",
  "HTTP/1.0 and a stream": "GET /p HTTP/1.0\r\nHost: test\r\nx-do: stream\r\n\r\n",
  "HTTP/1.0 and a stream that is kept":
    "GET /p HTTP/1.0\r\nHost: test\r\nx-do: stream\r\nConnection: keep-alive\r\n\r\n",
  "HTTP/1.0 and a stream with length that is kept":
    "GET /p HTTP/1.0\r\nHost: test\r\nx-do: stream with length\r\nConnection: keep-alive\r\n\r\n",
  "HTTP/1.0 in chunks":
    "POST /p HTTP/1.0\r\nHost: test\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
  "HTTP/1.2": "GET /p HTTP/1.2\r\nHost: test\r\n\r\n",
  "HTTP/2.0": "GET /p HTTP/2.0\r\nHost: test\r\n\r\n",
  "no version": "GET /p\r\n\r\n",
  "a version of no sense": "GET /p HTTP/x\r\n\r\n",
  "line feeds alone": "GET /p HTTP/1.1\nHost: test\n\n",
  "empty lines before": "\r\n\r\nGET /p HTTP/1.1\r\nHost: test\r\n\r\n",
  "two spaces": "GET  /p HTTP/1.1\r\nHost: test\r\n\r\n",
  "no request at all": "no request at all\r\n\r\n",
  "TLS where there is none": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",

  "Connection: close": field("Connection: close"),
  "Connection: x, close": field("Connection: x, Close"),
  "Connection: keep-alive": field("Connection: keep-alive"),
  "a field with a space before the colon": field("x-a : 1"),
  "a folded field": field("x-a: 1\r\n 2"),
  "empty fields": field("x-a:\r\nx-b:   "),
  "a field with an odd name": field("x@a: 1"),
  "a field without a colon": field("xa"),
  "a field without a name": field(": 1"),
  "a field with NUL": field("x-a: a\0b"),
  "a field with a control character": field("x-a: a\x01b"),
  "a field with a carriage return": field("x-a: a\rb"),
  "a field with a tab": field("x-a: a\tb"),
  "a field in Latin-1": field("x-a: caf\xe9"),
  "fields that are repeated": field(
    "x-a: 1\r\nX-A: 2\r\ncookie: a\r\ncookie: b\r\naccept: x\r\nAccept: y\r\nrange: 1\r\nrange: 2",
  ),
  "120 fields": field(Array.from({ length: 120 }, (_, index) => `x-${index}: 1`).join("\r\n")),
  "140 fields": field(Array.from({ length: 140 }, (_, index) => `x-${index}: 1`).join("\r\n")),
  "a field of 60 kB": field(`x-a: ${"a".repeat(60_000)}`),

  "GET with a body": get("body", "content-length: 5\r\n") + "hello",
  "GET with a body that is read": get("read", "content-length: 5\r\n") + "hello",
  "HEAD with a body": { send: get("text", "content-length: 5\r\n", "HEAD") + "hello", head: true },
  "DELETE with a body": get("read", "content-length: 5\r\n", "DELETE") + "hello",
  "a body that is read": post("read", "hello"),
  "a body that is not read": post("text", "hello"),
  "a body that is looked at": post("body", "hello"),
  "a body that is cancelled": post("cancel", "hello"),
  "a body that is read in part": post("read a part", "hello"),
  "a body that is sent back": post("echo", "hello"),
  "a body that is cloned": post("clone", "hello"),
  "an empty body": post("read", ""),
  "an empty body that is looked at": post("body", ""),
  "no body": get("read", "", "POST"),
  "no body that is looked at": get("body", "", "POST"),
  "a body in two pieces": { send: [post("read", "hello").slice(0, -2), "lo"] },
  "a body in chunks": chunked("read", "5\r\nhello\r\n0\r\n\r\n"),
  "a body in chunks with all that is allowed": chunked(
    "read",
    "05;a=b\r\nhello\r\n1 \r\n!\r\n0;x\r\nx-t: 1\r\n\r\n",
  ),
  "a body in chunks in two pieces": {
    send: [chunked("read", "5\r\nhel"), "lo\r\n0\r\n\r\n"],
  },
  "a body in chunks that turns wrong": { send: [chunked("read", "5\r\nhello\r\n"), "zz\r\n"] },
  "a body in chunks and of a length":
    get("read", "content-length: 5\r\ntransfer-encoding: chunked\r\n", "POST") + "0\r\n\r\n",
  "a body in gzip and chunks": get("read", "transfer-encoding: gzip, chunked\r\n", "POST") +
    "5\r\nhello\r\n0\r\n\r\n",
  "a body in chunks and gzip": get("read", "transfer-encoding: chunked, gzip\r\n", "POST") +
    "5\r\nhello\r\n0\r\n\r\n",
  "a body in gzip": get("read", "transfer-encoding: gzip\r\n", "POST") + "hello",
  "a body in chunks twice": get("read", "transfer-encoding: chunked, chunked\r\n", "POST") +
    "0\r\n\r\n",
  "two lengths": get("read", "content-length: 5\r\ncontent-length: 6\r\n", "POST") + "hello",
  "the same length twice": get("read", "content-length: 5\r\ncontent-length: 5\r\n", "POST") +
    "hello",
  "a list of lengths": get("read", "content-length: 5, 5\r\n", "POST") + "hello",
  "a length with a plus": get("read", "content-length: +5\r\n", "POST") + "hello",
  "a length below zero": get("read", "content-length: -5\r\n", "POST") + "hello",
  "a length that is a word": get("read", "content-length: five\r\n", "POST") + "hello",
  "a length beyond all": get("read", `content-length: ${"9".repeat(20)}\r\n`, "POST") + "hello",
  "400 kB that are read": post("size", BIG),
  "400 kB that are not read": post("text", BIG),

  "Expect: 100-continue": {
    send: [get("read", "expect: 100-continue\r\ncontent-length: 5\r\n", "POST"), "hello"],
    answers: 2,
  },
  "Expect: 100-continue without a body": field("expect: 100-continue"),
  "Expect: something else": field("expect: something"),
  "Upgrade: h2c": field("connection: upgrade\r\nupgrade: h2c"),
  "Upgrade with a length": field("connection: upgrade\r\nupgrade: x\r\ncontent-length: 0"),
  "a WebSocket without a key": get("upgrade", UPGRADE),
  "a WebSocket that is not taken": get("text", `${UPGRADE}sec-websocket-key: abc\r\n`),

  "four requests at once": {
    send: get("text") + get("look later") + post("read", "hello") + get("json"),
    answers: 4,
  },
  "a request behind the last one": { send: get("text", "connection: close\r\n") + get("text") },
  "no request behind one": { send: get("look later") + "no request\r\n\r\n", answers: 2 },
  "no request while another one is answered": {
    send: [get("stream that waits"), "no request\r\n\r\n"],
    then: "releases",
    answers: 2,
  },
  "a client that ends its output": { send: get("look later"), then: "ends its output" },
  "a client that ends its output behind a body": {
    send: post("read", "hello"),
    then: "ends its output",
  },
  "a client that ends its output in a body": {
    send: post("read", "hello").slice(0, -2),
    then: "ends its output",
  },
  "a client that leaves in a head": { send: get("text").slice(0, -8), then: "leaves at once" },
  "a client that leaves in a body": { send: post("read", "hello").slice(0, -2), then: "leaves" },
  "a client that leaves before its answer": { send: get("hold"), then: "leaves" },
  "a client that leaves in its answer": {
    send: get("stream that waits"),
    then: "leaves",
  },
};

/** Deno.serve itself, and servers with these `server-permissions`. */
const PERMISSIONS = {
  native: undefined,
  "with FFI": "all",
  "without FFI": "--allow-read",
} as const;

type Name = keyof typeof PERMISSIONS;

const NAMES = Object.keys(PERMISSIONS) as Name[];

/** Every server, and the master of those that have one. */
async function startAll(site: Site, kind: typeof KINDS[number]) {
  const { certFile, keyFile } = testCertificate(site.dir);
  const caCerts = kind === "TLS" ? [TEST_CERT] : undefined;
  const start = async (name: Name): Promise<[Name, Server]> => {
    const file = name.replace(" ", "_"), permissions = PERMISSIONS[name];
    const target = kind === "a unix socket" ? site.socket(file) : site.port();
    if (permissions === undefined) {
      const tls = kind === "TLS" ? [certFile, keyFile] : [];
      const args = ["run", "-A", SERVER, "--native", `${target}`, ...tls];
      await site.execute([Deno.execPath(), ...args]).prints(/serving\n/);
    } else {
      const address = typeof target === "number" ? `127.0.0.1:${target}` : target;
      site.write(`${file}.cf`, {
        "server-command": SERVER,
        "server-service": kind === "TLS" ? `tls://${address}` : address,
        "server-permissions": permissions,
        "cert-file": certFile,
        "key-file": keyFile,
      });
    }
    return [name, { target, caCerts }];
  };
  const servers = Object.fromEntries(await Promise.all(NAMES.map(start)));
  const master = await site.start();
  await master.logs(/serviceRegister/, NAMES.length - 1);
  return { servers: servers as Record<Name, Server>, master };
}

/** What came of a question, without what is different for each server: its address, the client's port. */
function comparable(outcome: Outcome, { target }: Server): Outcome {
  const encoded = `${target}`.replace(
    /[^A-Za-z0-9]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  const text = JSON.stringify(outcome, null, 1)
    .replaceAll(/"port": \d+/g, '"port": 0')
    .replaceAll(`:${target}`, ":PORT").replaceAll(`${target}`, "PATH").replaceAll(encoded, "PATH");
  return JSON.parse(text);
}

/** What is different without FFI, and why: docs/design/23_without_ffi.md. */
const DIFFERENCES: readonly {
  readonly names: RegExp;
  readonly change: (expected: Outcome, found: Outcome) => unknown;
}[] = [
  // A body that has failed, and an answer whose client had gone, were not sent.
  {
    names: /^stream (?:below length|of text|that fails)|^a client that (?:ends|leaves)/,
    change: ({ calls }, found) =>
      calls.forEach((call, index) => {
        const { completed } = found.calls[index];
        if (completed === "Interrupted") call.completed = completed;
      }),
  },
  // The connection is closed when the handler says so (RFC 9112, section 9.6).
  { names: /^close$/, change: (expected) => expected.open = false },
  // It is the one that the types promise, and that `fetch` takes for the other one.
  {
    names: /^request$/,
    change: ({ calls: [{ notes }] }) => notes[notes.indexOf(null)] = "follow",
  },
  // It has said that it would be.
  { names: /with length that is kept$/, change: (expected) => expected.open = true },
  // The rest of a body that nobody reads is dropped, and the connection kept.
  {
    names: /not read$/,
    change: (expected) => {
      expected.open = true;
      const [answer] = expected.answers;
      answer.headers = answer.headers.filter(([name]) => name !== "connection");
    },
  },
  // A client that ends its output is answered.
  {
    names: /^a client that ends its output$/,
    change: (expected, found) => {
      const [{ status, body }] = found.answers;
      assertEquals([status, body], ["HTTP/1.1 200 OK", "later"]);
      expected.answers = found.answers;
    },
  },
];

/** What is expected without FFI where Deno.serve has this outcome. */
function withoutFfi(name: string, native: Outcome, found: Outcome): Outcome {
  const expected = structuredClone(native);
  for (const { names, change } of DIFFERENCES) if (names.test(name)) change(expected, found);
  return expected;
}

/** Little depends on the kind of socket: on these, questions that have one of the words. */
const WORDS: Partial<Record<typeof KINDS[number], RegExp>> = {
  "a unix socket": /Host|target|HTTP|stream|body|leaves|ends|request|at once/,
  TLS: /Host|target|stream|leaves/,
};

for (const kind of KINDS) {
  Deno.test(`serveHttp() answers and tells its handler what Deno.serve does, on ${kind}`, async () => {
    await using site = new Site();
    const { servers, master } = await startAll(site, kind);
    for (const [name, question] of Object.entries(QUESTIONS)) {
      if (!(WORDS[kind]?.test(name) ?? true)) continue;
      const whole = typeof question === "string" ? { send: question } : question;
      const [native, ...others] = await Promise.all(NAMES.map(async (server) => {
        const at = servers[server];
        return comparable(await ask(at, whole), at);
      }));
      for (const [index, other] of others.entries()) {
        const server = NAMES[index + 1];
        const expected = server === "without FFI" ? withoutFfi(name, native, other) : native;
        assertEquals(other, expected, `${name}, ${server}`);
      }
    }
    assertEquals(master.logged(/Uncaught|NotCapable/), 0, master.log);
  });
}
