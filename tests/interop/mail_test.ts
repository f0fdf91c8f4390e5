import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Client, greeted } from "../support/client.ts";
import { id, statusLine } from "../support/credentials.ts";
import { leaveOut } from "../support/left_out.ts";
import { curl, hasProgram, pythonMail, runClient } from "../support/mail_clients.ts";
import { MailSystem } from "../support/mail_system.ts";
import { IMAP_SCRIPT, POP_SCRIPT, SMTP_SCRIPT } from "../support/mail_scripts.ts";

const IMAPFLOW = new URL("../support/mail_imapflow.ts", import.meta.url).pathname;

/** A message with parts within parts, and a message. */
const TREE = `Subject: tree
X-Folded: a
 b
Date: Sat, 31 Jan 2026 23:59:00 -0800
From: =?utf-8?q?J=C3=B6rg?= <j@x.test>
To: team: a@x.test;
Content-Type: multipart/mixed; boundary="out"

preamble
--out

plain

--out
Content-Type: multipart/alternative; boundary=in

--in
Content-Type: text/html

<b>
--in--
epilogue
--out
Content-Type: message/rfc822

Subject: inner
To: x@y.test

inside
--out--
`.replaceAll("\n", "\r\n");

/** The messages of a user with a subject. */
function withSubject(system: MailSystem, user: string, subject: string): string[] {
  return [...system.messages(user).values()].filter((text) =>
    text.includes(`Subject: ${subject}\r\n`)
  );
}

/** Connects, and gives commands, which are all accepted. */
async function talk(port: number, commands: readonly string[]): Promise<Client> {
  const client = await greeted(port);
  for (const command of commands) assertMatch(await client.ask(`${command}\r`), /^(250|\+OK|a OK)/);
  return client;
}

/** Has fetchmail take all messages of bob away; their subjects. */
async function fetchAll(system: MailSystem, protocol: string, port: number): Promise<string[]> {
  const { dir } = system.site, fetched = dir.file(`fetched_${protocol}`);
  const rc = dir.write(
    "fetchmailrc",
    `poll localhost protocol ${protocol} port ${port} user bob password ${
      system.password("bob")
    } ` +
      `sslproto '' mda "cat >> ${fetched}" fetchall nokeep\n`,
  );
  Deno.chmodSync(rc, 0o600);
  const { code, stderr, stdout } = await runClient([
    ...["fetchmail", "-f", rc, "--nosyslog", "--nodetach"],
    ...["--pidfile", dir.file("fetchmail.pid"), "--idfile", dir.file("fetchmail.ids")],
  ]);
  assertEquals(code, 0, stdout + stderr);
  const text = Deno.readTextFileSync(fetched);
  return [...text.matchAll(/^Subject: (.*?)\r?$/gm)].map(([, subject]) => subject);
}

Deno.test("the mail system serves clients that others have written", async (t) => {
  await using system = await MailSystem.start();
  const { smtp, smtps, pop3, imap, imaps } = system.ports;

  await t.step("it has the processes that its settings name", () => {
    const services = ["smtpd", "imapd", "pop3d"] as const;
    assertEquals(services.map((service) => system.processes(service).length), [10, 6, 1]);
  });

  await t.step("root's servers run as nobody, with the spool as their root directory", (t) => {
    if (Deno.uid() !== 0) return leaveOut(t);
    const spool = Deno.realPathSync(system.site.dir.file("mail-data/spool"));
    const uids = Array(4).fill(id("-u", "nobody")).join(" ");
    for (const service of ["smtpd", "imapd", "pop3d"] as const) {
      for (const pid of system.processes(service)) {
        assertEquals(statusLine(pid, "Uid"), uids, service);
        assertEquals(Deno.readLinkSync(`/proc/${pid}/root`), spool, service);
      }
    }
  });

  await t.step(
    "curl sends in plain text, with STARTTLS, and with TLS and a password",
    async (t) => {
      if (!hasProgram("curl")) return leaveOut(t, "without curl");
      const login = ["-u", `bob:${system.password("bob")}`];
      const ways = [
        [`smtp://127.0.0.1:${smtp}`],
        [`smtp://localhost:${smtp}`, "--ssl-reqd", ...login],
        [`smtps://localhost:${smtps}`, ...login],
      ];
      for (const [index, way] of ways.entries()) {
        const envelope = ["--mail-from", "x@y.test", "--mail-rcpt", "alice@localhost"];
        const message = `Subject: curl ${index}\r\n\r\n.hello\r\n..\r\n`;
        await curl(
          system,
          [...way, ...envelope, "--mail-rcpt", "bob@localhost", "-T", "-"],
          message,
        );
        for (const user of ["alice", "bob"]) {
          const [text, ...more] = withSubject(system, user, `curl ${index}`);
          assertEquals(more, []);
          assertMatch(text, /^Return-Path: <x@y\.test>\r\nReceived: from /);
          assertMatch(text, [/with ESMTP id/, /with ESMTPSA id/, /with ESMTPSA id/][index]);
          assertStringIncludes(text, `\r\n\r\n.hello\r\n..\r\n`);
        }
      }
    },
  );

  await t.step("smtplib is served, and refused, as RFC 5321 says", async () => {
    await pythonMail(system, SMTP_SCRIPT);
    assertEquals(withSubject(system, "alice", "smtplib").length, 1);
    assertEquals(withSubject(system, "alice", "pipelined").length, 2);
    assertEquals(withSubject(system, "bob", "injected").length, 0);
  });

  await t.step("swaks sends with STARTTLS and a password", async (t) => {
    if (!hasProgram("swaks")) return leaveOut(t, "without swaks");
    const { code, stdout } = await runClient([
      ...["swaks", "--server", "localhost", "--port", String(smtp), "--from", "x@y.test"],
      ...["--to", "alice@localhost,bob@localhost", "--header", "Subject: swaks"],
      ...["--attach-type", "text/plain", "--attach", "an attachment"],
      ...["--tls", "--auth", "PLAIN", "--auth-user", "bob"],
      ...["--auth-password", system.password("bob")],
    ]);
    assertEquals(code, 0, stdout);
    assertEquals(withSubject(system, "alice", "swaks").length, 1);
  });

  await t.step("poplib reads, and removes at the end alone", async () => {
    for (const { name } of Deno.readDirSync(`${system.inbox("bob")}/new`)) {
      Deno.removeSync(`${system.inbox("bob")}/new/${name}`);
    }
    for (let i = 0; i < 4; i++) {
      await system.sends("bob", `Subject: pop ${i}\r\n\r\n.\r\n..\r\nx\r\n`);
    }
    await pythonMail(system, POP_SCRIPT);
    assertEquals(system.messages("bob").size, 3);
  });

  await t.step("curl reads by POP3, with STLS and without", async (t) => {
    if (!hasProgram("curl")) return leaveOut(t, "without curl");
    const login = ["-u", `bob:${system.password("bob")}`];
    const list = await curl(system, [`pop3://127.0.0.1:${pop3}/`, ...login]);
    assertEquals(list.trim().split("\n").length, 3);
    const message = await curl(system, [`pop3://localhost:${pop3}/3`, "--ssl-reqd", ...login]);
    assertStringIncludes(message, "Subject: pop 3\r\n\r\n.\r\n..\r\nx\r\n");
  });

  await t.step("fetchmail takes all messages away", async (t) => {
    if (!hasProgram("fetchmail")) return leaveOut(t, "without fetchmail");
    const subjects = await fetchAll(system, "pop3", pop3);
    assertEquals(subjects, ["pop 0", "pop 2", "pop 3"]);
    assertEquals(system.messages("bob").size, 0);
  });

  await t.step("imaplib reads, searches, changes, copies, removes and idles", async () => {
    await system.sends("alice", TREE);
    await system.sends("alice", "Subject: last\r\n\r\nx\r\n");
    await pythonMail(system, IMAP_SCRIPT);
  });

  await t.step("curl reads and appends by IMAP", async (t) => {
    if (!hasProgram("curl")) return leaveOut(t, "without curl");
    const login = ["-u", `bob:${system.password("bob")}`];
    await system.sends("bob", "Subject: by imap\r\n\r\nhello\r\n");
    const plain = `imap://127.0.0.1:${imap}`, secure = `imaps://localhost:${imaps}`;
    assertMatch(await curl(system, [`${plain}/`, ...login]), /LIST \(\) "\." "INBOX"/);
    const text = await curl(system, [`${secure}/INBOX;MAILINDEX=1;SECTION=TEXT`, ...login]);
    assertEquals(text, "hello\r\n");
    const file = system.site.dir.write("appended", "Subject: appended\r\n\r\n");
    const toInbox = [`imap://localhost:${imap}/INBOX`, "--ssl-reqd", "-T", file];
    await curl(system, [...toInbox, ...login]);
    const found = await curl(system, [`${plain}/INBOX?SUBJECT%20appended`, ...login]);
    assertEquals(found, "* SEARCH 2\r\n");
  });

  await t.step("fetchmail takes a message by IMAP", async (t) => {
    if (!hasProgram("fetchmail")) return leaveOut(t, "without fetchmail");
    assertEquals([...await fetchAll(system, "imap", imap)].length, 2);
    assertEquals(system.messages("bob").size, 0);
  });

  await t.step("imapflow reads, moves and removes", async () => {
    const args = [String(imaps), system.password("alice"), system.certFile];
    const { code, stdout, stderr } = await runClient([
      ...[Deno.execPath(), "run", "-A", "--no-lock", "--no-check", IMAPFLOW, ...args],
    ]);
    assertEquals([code, stdout], [0, "imapflow is content\n"], stderr);
  });

  await t.step(
    "at a reload idle sessions get their goodbye, and a transaction comes to its end",
    async () => {
      const login = (user: string) => `${user} ${system.password(user)}`;
      using idle = await talk(smtp, []);
      using sending = await talk(smtp, ["HELO x", "MAIL FROM:<>", "RCPT TO:<bob@localhost>"]);
      using nobody = await talk(pop3, []);
      const [name, password] = login("bob").split(" ");
      using reading = await talk(pop3, [`USER ${name}`, `PASS ${password}`]);
      using quiet = await talk(imap, [`a LOGIN ${login("alice")}`]);
      using idling = await talk(imap, [`a LOGIN ${login("alice")}`]);
      await idling.write("b SELECT INBOX\r\nc IDLE\r\n");
      while (!(await idling.line()).startsWith("+ ")) { /* what the folder has */ }

      // Fewer processes than before, which is cheaper.
      for (const service of ["smtpd", "imapd"]) system.append(service, "server-proc-count = 1");
      const reloaded = system.reload();
      // Each service is replaced when its own new processes serve.
      assertMatch(await nobody.line(), /^-ERR /);
      assertMatch(await reading.ask("STAT\r"), /^\+OK /);
      assertMatch(await reading.ask("QUIT\r"), /^\+OK /);
      for (const client of [nobody, reading]) assertEquals(await client.ending(), "end of file");
      for (const client of [quiet, idling]) {
        assertMatch(await client.line(), /^\* BYE /);
        assertEquals(await client.ending(), "end of file");
      }
      await reloaded;
      assertMatch(await idle.line(), /^421 /);
      assertEquals(await idle.ending(), "end of file");
      assertMatch(await sending.ask("DATA\r"), /^354 /);
      assertMatch(await sending.ask("Subject: late\r\n\r\n.\r"), /^250 /);
      assertMatch(await sending.line(), /^421 /);
      assertEquals(await sending.ending(), "end of file");
      assertEquals(withSubject(system, "bob", "late").length, 1);
    },
  );

  await system.stop();
});
