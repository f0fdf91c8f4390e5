import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { leaveOut } from "../support/left_out.ts";
import { curl, hasProgram, pythonMail, runClient } from "../support/mail_clients.ts";
import { MailSystem } from "../support/mail_system.ts";
import { SMTP_SCRIPT } from "../support/mail_scripts.ts";

/** The messages of a user with a subject. */
function withSubject(system: MailSystem, user: string, subject: string): string[] {
  return [...system.messages(user).values()].filter((text) =>
    text.includes(`Subject: ${subject}\r\n`)
  );
}

Deno.test("the mail system serves clients that others have written", async (t) => {
  await using system = await MailSystem.start();
  const { smtp, smtps } = system.ports;

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

  await system.stop();
});
