import { assert, assertEquals, assertLess, assertMatch, assertRejects } from "@std/assert";
import { bytesOf } from "../../examples/mail/net/latin1.ts";
import { store } from "../../examples/mail/store/delivery.ts";
import { listMessages, makeFolder, setFlags } from "../../examples/mail/store/maildir.ts";
import type { Client } from "../support/client.ts";
import { PATIENCE_MS, within } from "../support/wait.ts";
import { replacing } from "../support/disk_calls.ts";
import { MailSessions, type Protocol } from "../support/mail_session.ts";

Deno.test("a stop ends the sessions of POP3 that wait, though another one is in its TLS handshake", async () => {
  await using server = await MailSessions.open("pop3");
  const shaking = await server.client();
  assertMatch(await shaking.ask("STLS\r"), /^\+OK /);
  const waiting = await server.client(), reading = await server.loggedIn();
  server.stop.abort();
  assertMatch(await waiting.line(), /^-ERR \[SYS\/TEMP\]/);
  assertEquals(await waiting.ending(), "end of file");
  assertMatch(await reading.ask("QUIT\r"), /^\+OK /);
  assertEquals(await reading.ending(), "end of file");
  shaking.close();
});

/** Has IDLE begin in INBOX. */
async function beginIdle(client: Client): Promise<void> {
  await client.write("b SELECT INBOX\r\nc IDLE\r\n");
  while (!(await client.line()).startsWith("+ ")) { /* what the folder has */ }
}

Deno.test("IDLE looks now and then where folders can't be watched, and says so once", async () => {
  const { watchFs } = Deno;
  using undo = new DisposableStack();
  undo.defer(() => Deno.watchFs = watchFs);
  Deno.watchFs = () => {
    throw new Error("OS file watch limit reached.");
  };
  await using server = await MailSessions.open("imap");
  const clients = [await server.loggedIn(), await server.loggedIn()];
  for (const client of clients) await beginIdle(client);
  await store([bytesOf("a")], [server.inbox]);
  for (const client of clients) {
    assertEquals(await client.line(), "* 1 EXISTS\r");
    assertMatch(await client.line(), /RECENT/);
  }
  assertEquals(server.log.length, 1);
  assertMatch(server.log[0], /^Cannot watch folders, looking every 5 s: .*limit reached/);
});

Deno.test("IDLE ends for a client that is silent for too long, however often its folder changes", async () => {
  await using server = await MailSessions.open("imap", { timeoutMs: 1_500 });
  const client = await server.loggedIn();
  await beginIdle(client);
  const deadline = performance.now() + PATIENCE_MS;
  let line = "";
  for (let count = 1; !line.startsWith("* BYE"); count++) {
    assert(performance.now() < deadline, "it goes on");
    await store([bytesOf("a")], [server.inbox]);
    while (line !== `* ${count} EXISTS\r` && !line.startsWith("* BYE")) line = await client.line();
  }
  assertMatch(line, /too long/);
});

Deno.test("a command that fails within the server is answered and logged, and the session goes on", async () => {
  await using server = await MailSessions.open("imap");
  const client = await server.loggedIn();
  Deno.writeTextFileSync(`${server.inbox}/.File`, "");
  assertMatch(await client.ask("b SELECT File\r"), /^b NO \[SERVERBUG\] /);
  assertMatch(await client.ask("c NOOP\r"), /^c OK /);
  assertMatch(server.log[0], /^Cannot obey SELECT: .*Not a directory/);
});

/** For each protocol: a command that is wrong, one that is right, and an attempt with a wrong password. */
const MISTAKES = {
  smtp: { wrong: "X", right: "NOOP", last: /^421 / },
  imap: { wrong: "a X", right: "a NOOP", last: /^\* BYE too many/ },
  pop3: { wrong: "X", right: "CAPA", last: /^-ERR too many/ },
} as const;

for (const [protocol, { wrong, right, last }] of Object.entries(MISTAKES)) {
  Deno.test(`a client of ${protocol} is sent away after 20 errors in a row`, async () => {
    await using server = await MailSessions.open(protocol as Protocol);
    const client = await server.client();
    const fails = async (times: number) => {
      for (let i = 0; i < times; i++) {
        assertMatch(await client.ask(`${wrong}\r`), /^(500|a BAD|-ERR unknown)/);
      }
    };
    await fails(19);
    let line = await client.ask(`${right}\r`);
    // The further lines of CAPA.
    while (protocol === "pop3" && line !== ".\r") line = await client.line();
    await fails(20);
    assertMatch(await client.line(), last);
    assertEquals(await client.ending(), "end of file");
  });
}

for (const protocol of ["imap", "pop3"] as const) {
  Deno.test(`a client of ${protocol} may guess three passwords`, async () => {
    await using server = await MailSessions.open(protocol);
    const client = await server.client();
    for (let i = 0; i < 3; i++) {
      if (protocol === "pop3") assertMatch(await client.ask("USER al\r"), /^\+OK/);
      const guess = protocol === "pop3" ? "PASS x" : "a LOGIN al x";
      assertMatch(await client.ask(`${guess}\r`), /AUTH/);
    }
    assertMatch(await client.line(), MISTAKES[protocol].last);
    assertEquals(await client.ending(), "end of file");
  });
}

for (const protocol of ["imap", "pop3"] as const) {
  Deno.test(`a client of ${protocol} that reads nothing is cut off`, async () => {
    await using server = await MailSessions.open(protocol, { timeoutMs: 500 });
    await store([new Uint8Array(9_000_000).fill(120)], [server.inbox]);
    const client = await server.loggedIn();
    const commands = { imap: "b SELECT INBOX\r\nc FETCH 1 BODY[]\r\n", pop3: "RETR 1\r\n" };
    await client.write(commands[protocol]);
    await within(server.allEnded(), { what: "the end of the session" });
  });
}

/** For each protocol: the command that starts TLS, its answer, and the one when something comes behind it. */
const START_TLS = {
  smtp: { command: "STARTTLS", go: /^220 /, refusal: /^501 .*behind/ },
  imap: { command: "a STARTTLS", go: /^a OK/, refusal: /^\* BYE .*behind/ },
  pop3: { command: "STLS", go: /^\+OK/, refusal: /^-ERR .*behind/ },
} as const;

for (const [protocol, { command, go, refusal }] of Object.entries(START_TLS)) {
  Deno.test(`no plain text behind the start of TLS is obeyed by ${protocol}, in the same piece or a later one`, async () => {
    await using server = await MailSessions.open(protocol as Protocol);
    const client = await server.client();
    const { right } = MISTAKES[protocol as Protocol];
    await client.write(`${command}\r\n${right}\r\n`);
    assertMatch(await client.line(), refusal);
    assertEquals(await client.ending(), "end of file");
    const later = await server.client();
    assertMatch(await later.ask(`${command}\r`), go);
    await later.write(`${right}\r\n`);
    // An alert of TLS, and no answer.
    await assertRejects(() => later.line(), Error, "end of file");
    const wrong = await server.client();
    assertMatch(await wrong.ask(`${command} x\r`), /^(501|a BAD|-ERR)/);
  });
}

/** Gives a command with the tag x; all lines of its answer. */
async function asks(client: Client, command: string): Promise<string[]> {
  const lines = [await client.ask(`${command}\r`)];
  while (!/^x /.test(lines.at(-1)!)) lines.push(await client.line());
  return lines.map((line) => line.trimEnd());
}

Deno.test("FETCH and SEARCH find messages that another session has renamed, and leave out removed ones", async () => {
  await using server = await MailSessions.open("imap");
  for (const subject of ["a", "b", "c"]) {
    await store([bytesOf(`Subject: ${subject}\r\n\r\n`)], [server.inbox]);
  }
  const client = await server.loggedIn();
  await client.write("b SELECT INBOX\r\n");
  while (!(await client.line()).startsWith("b OK")) { /* what the folder has */ }
  const [one, , three] = await listMessages(server.inbox);
  await setFlags(server.inbox, one, "F");
  Deno.removeSync(three.path);
  assertEquals((await asks(client, "x SEARCH SINCE 1-Jan-2000"))[0], "* SEARCH 1 2");
  assertEquals(await asks(client, "x SEARCH charset KOI8-R ALL"), [
    "x NO [BADCHARSET (US-ASCII UTF-8)] unknown charset",
  ]);
  assertEquals((await asks(client, "x SEARCH Charset utf-8 ALL"))[0], "* SEARCH 1 2 3");
  const dates = await asks(client, "x FETCH 1:* INTERNALDATE");
  assertEquals(dates.map((line) => line.slice(0, 24)), [
    "* 1 FETCH (INTERNALDATE ",
    "* 2 FETCH (INTERNALDATE ",
    "x OK fetched",
  ]);
  assertEquals((await asks(client, "x FETCH 1:* BODY[]")).filter((line) => / FETCH /.test(line)), [
    "* 1 FETCH (BODY[] {14}",
    "* 2 FETCH (BODY[] {14}",
  ]);
  assertEquals(
    Deno.readDirSync(`${server.inbox}/cur`).map(({ name }) => name.split(":2,")[1]).toArray()
      .sort(),
    [
      "FS",
      "S",
    ],
  );
});

Deno.test("LIST tells of levels that are no folders where its pattern ends with %, and of none else", async () => {
  await using server = await MailSessions.open("imap");
  for (const name of ["A.B.C", "D", "inbox.x"]) await makeFolder(`${server.inbox}/.${name}`);
  const client = await server.loggedIn();
  const lists = async (pattern: string) =>
    (await asks(client, `x LIST "" "${pattern}"`)).slice(0, -1).map((line) => line.slice(7));
  assertEquals(await lists("%"), ['() "." "INBOX"', '() "." "D"', '(\\Noselect) "." "A"']);
  assertEquals(await lists("A.%"), ['(\\Noselect) "." "A.B"']);
  assertEquals(await lists("A*B%"), ['(\\Noselect) "." "A.B"']);
  assertEquals(await lists("A*"), ['() "." "A.B.C"']);
  assertMatch((await asks(client, "x SELECT A"))[0], /^x NO /);
});

Deno.test("an appended message has CRLF at the end of each line, its flags, and is a recent one", async () => {
  await using server = await MailSessions.open("imap");
  const client = await server.loggedIn();
  await client.write("x APPEND INBOX (\\Seen) {9+}\r\na\nb\r\n\nc\rd\r\n");
  assertMatch(await client.line(), /^x OK/);
  const [{ path }] = await listMessages(server.inbox);
  assertEquals(Deno.readTextFileSync(path), "a\r\nb\r\n\r\nc\rd");
  assert((await asks(client, "x SELECT INBOX")).includes("* 1 RECENT"));
  assertEquals((await asks(client, "x FETCH 1 FLAGS"))[0], "* 1 FETCH (FLAGS (\\Seen \\Recent))");
});

Deno.test("a COPY that fails leaves nothing behind", async () => {
  await using server = await MailSessions.open("imap");
  await makeFolder(`${server.inbox}/.A`);
  for (const text of ["a", "b"]) await store([bytesOf(text)], [server.inbox]);
  const client = await server.loggedIn();
  await asks(client, "x SELECT INBOX");
  {
    using _ = replacing("link", () => Promise.reject(new Error("no space")), { calls: [1] });
    assertMatch((await asks(client, "x COPY 1:* A"))[0], /^x NO /);
  }
  assertEquals(await listMessages(`${server.inbox}/.A`), []);
  assertMatch((await asks(client, "x COPY 1:* A"))[0], /^x OK /);
  assertEquals((await listMessages(`${server.inbox}/.A`)).length, 2);
});

Deno.test("a session is told that another one has removed its folder, which is no fault of the server", async () => {
  await using server = await MailSessions.open("imap");
  await makeFolder(`${server.inbox}/.A`);
  const [one, other] = [await server.loggedIn(), await server.loggedIn()];
  await asks(one, "x SELECT A");
  assertEquals(await asks(other, "x DELETE A"), ["x OK removed"]);
  assertMatch((await asks(one, "x NOOP"))[0], /^x NO \[NONEXISTENT\] /);
  assertEquals(await asks(one, "x NOOP"), ["x OK done"]);
  assertMatch((await asks(one, "x FETCH 1 FLAGS"))[0], /^x BAD .* not now/);
  assertEquals(server.log, []);
});

Deno.test("a client of smtp that sends lines of blanks takes no time of the others", async () => {
  await using server = await MailSessions.open("smtp");
  const client = await server.client(), other = await server.client();
  const line = `NOOP a${" ".repeat(2_000)}b\r\n`, count = 2_000, since = performance.now();
  const sent = client.write(line.repeat(count));
  for (let answers = 0; answers < count; answers++) assertMatch(await client.line(), /^250 /);
  await sent;
  assertMatch(await other.ask("NOOP\r"), /^250 /);
  // In quadratic time it would be a quarter of a minute.
  assertLess(performance.now() - since, 10_000);
});
