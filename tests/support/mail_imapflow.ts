/**
 * A client for a test, in a process of its own: imapflow reads, moves and removes. Its arguments are the
 * port of IMAPS, a password of alice's, and the file of the certificate.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";

const PACKAGE = "npm:imapflow@2.10.2";
const { ImapFlow } = await import(PACKAGE);
const [port, pass, certFile] = Deno.args;

const client = new ImapFlow({
  host: "localhost",
  port: Number(port),
  secure: true,
  tls: { ca: Deno.readTextFileSync(certFile) },
  auth: { user: "alice", pass },
  logger: false,
});
await client.connect();
const names = (await client.list()).map(({ path }: { path: string }) => path);
assert(names.includes("INBOX"), names.join());
await client.mailboxCreate("Flow");
const lock = await client.getMailboxLock("INBOX");
const raw =
  "From: a@b.test\r\nSubject: =?utf-8?Q?fl=C3=B6w?=\r\nContent-Type: multipart/mixed; boundary=b\r\n" +
  "\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n" +
  "\r\nz=C3=A4h\r\n--b\r\nContent-Type: application/x-y; name=a.bin\r\n" +
  "Content-Disposition: attachment; filename=a.bin\r\nContent-Transfer-Encoding: base64\r\n" +
  "\r\nAAECAw==\r\n--b--\r\n";
await client.append("INBOX", Buffer.from(raw), ["\\Flagged"]);
await client.noop();
const [uid] = await client.search({ subject: "flöw" }, { uid: true });
const message = await client.fetchOne(String(uid), {
  ...{
    envelope: true,
    bodyStructure: true,
    flags: true,
    source: true,
    size: true,
    internalDate: true,
  },
}, { uid: true });
assertEquals(message.envelope.subject, "flöw");
assertEquals(message.source.toString(), raw);
assertEquals(message.size, raw.length);
assert(message.flags.has("\\Flagged"));
assertEquals(message.bodyStructure.childNodes.map(({ type }: { type: string }) => type), [
  ...["text/plain", "application/x-y"],
]);
const { content, meta } = await client.download(String(uid), "1", { uid: true });
assertEquals(meta.charset, "utf-8");
let text = "";
for await (const piece of content) text += piece;
assertEquals(text.trim(), "zäh");
await client.messageFlagsAdd(String(uid), ["\\Seen"], { uid: true });
await client.messageMove(String(uid), "Flow", { uid: true });
assertEquals((await client.status("Flow", { messages: true })).messages, 1);
assertEquals(await client.search({ subject: "flöw" }, { uid: true }), []);
lock.release();
await client.mailboxDelete("Flow");
await client.logout();
console.log("imapflow is content");
