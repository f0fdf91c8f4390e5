import { assertEquals } from "@std/assert";
import { example, Site } from "../support/master.ts";
import { pythonClient, testCertificate } from "../support/tls.ts";

/** Speaks with `examples/starttls_server.ts`, by Python's library for mail. */
const SMTP = `
import smtplib
client = smtplib.SMTP("127.0.0.1", int(sys.argv[2]), local_hostname="test", timeout=10)
client.ehlo(); print(client.has_extn("starttls"), client.noop())
client._host = "localhost"
print(client.starttls(context=context)[0])
client.ehlo(); print(client.has_extn("starttls"), client.noop(), client.sock.version())
print(client.quit())
`;

/** Sends a command in plain text together with STARTTLS, as an attacker in between would. */
const INJECTION = `
raw = socket.create_connection(("127.0.0.1", int(sys.argv[2])), timeout=10)
def answers(sock):
    text = b""
    while True:
        part = sock.recv(1000)
        if not part: return text
        text += part
raw.recv(1000)
raw.sendall(b"STARTTLS\\r\\nNOOP\\r\\n")
print(answers(raw))
`;

Deno.test("examples/starttls_server.ts speaks TLS with a mail client, under a master", async () => {
  await using site = new Site();
  const port = site.port();
  const { certFile, keyFile } = testCertificate(site.dir);
  site.write("smtp.cf", {
    "server-command": example("starttls_server.ts"),
    "server-service": `127.0.0.1:${port}`,
    "server-tls-cert": certFile,
    "server-tls-key": keyFile,
  });
  const master = await site.start();
  const all = await Promise.all(Array.from({ length: 3 }, () => pythonClient(SMTP, [port])));
  for (const said of all) {
    assertEquals(said.split("\n"), [
      "True (250, b'in plain text')",
      "220",
      "False (250, b'over TLS') TLSv1.3",
      "(221, b'bye')",
    ]);
  }
  assertEquals(await pythonClient(INJECTION, [port]), "b'503 not now\\r\\n'");
  await master.stop();
});
