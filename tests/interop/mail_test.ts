import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { leaveOut } from "../support/left_out.ts";
import { curl, hasProgram, pythonMail, runClient } from "../support/mail_clients.ts";
import { MailSystem } from "../support/mail_system.ts";
import { POP_SCRIPT, SMTP_SCRIPT } from "../support/mail_scripts.ts";

/** The messages of a user with a subject. */
function withSubject(system: MailSystem, user: string, subject: string): string[] {
  return [...system.messages(user).values()].filter((text) =>
    text.includes(`Subject: ${subject}\r\n`)
  );
}

Deno.test("the mail system serves clients that others have written", async (t) => {
  await using system = await MailSystem.start();
  const { smtp, smtps, pop3 } = system.ports;

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
    const rc = system.site.dir.write(
      "fetchmailrc",
      `poll localhost protocol pop3 port ${pop3} user bob password ${system.password("bob")} ` +
        `sslproto '' mda "cat >> ${system.site.dir.file("fetched")}" fetchall nokeep\n`,
    );
    Deno.chmodSync(rc, 0o600);
    const { code, stderr, stdout } = await runClient([
      ...["fetchmail", "-f", rc, "--nosyslog", "--nodetach"],
      ...["--pidfile", system.site.dir.file("fetchmail.pid")],
      ...["--idfile", system.site.dir.file("fetchmail.ids")],
    ]);
    assertEquals(code, 0, stdout + stderr);
    const text = Deno.readTextFileSync(system.site.dir.file("fetched"));
    assertEquals([...text.matchAll(/^Subject: pop [0-9]/gm)].map(([line]) => line.at(-1)), [
      ...["0", "2", "3"],
    ]);
    assertEquals(system.messages("bob").size, 0);
  });

  await system.stop();
});
