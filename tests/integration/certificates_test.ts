/** The certificates of `server-tls-cert` and `server-tls-key`: what `check` tells, and who serves them. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { Finding } from "../../src/commands/doctor_checks.ts";
import { zcHere } from "../support/commands.ts";
import { Site } from "../support/master.ts";
import { acceptsNoMore, serveSmall } from "../support/peers.ts";
import { NOBODY } from "../support/privileges.ts";
import {
  type CertificateFiles,
  EXPIRED_CERT,
  makeCertificate,
  TEST_CERT,
  TEST_KEY,
  testCertificate,
} from "../support/tls.ts";
import { eventually, within } from "../support/wait.ts";

const SERVER = new URL("../support/servers/tls.ts", import.meta.url).pathname;

const REST = "expected a regular file that may be read";

/** The settings of a service with a certificate. */
function settingsOf({ certFile, keyFile }: CertificateFiles): Record<string, string> {
  return { "server-tls-cert": certFile, "server-tls-key": keyFile };
}

/** A certificate for many years whose key only its owner can read. */
function soundCertificate(site: Site): CertificateFiles {
  const files = testCertificate(site.dir);
  Deno.chmodSync(files.keyFile, 0o600);
  return files;
}

/** Runs `check`, and gives all that it says. */
async function check(site: Site): Promise<string> {
  const { code, out, err } = await zcHere(site, "check");
  const text = `${err}${out}exit ${code}`.replaceAll(site.dir.path, "DIR");
  for (const part of TEST_KEY.split("\n").slice(1, -2)) assert(!text.includes(part), text);
  return text;
}

/** One line there and back. */
async function echo(port: number, trusted: string): Promise<void> {
  using conn = await Deno.connectTls({ hostname: "localhost", port, caCerts: [trusted] });
  await conn.write(new TextEncoder().encode("hello\n"));
  const room = new Uint8Array(10);
  assertEquals(await within(conn.read(room), { what: "an echo" }), 6);
}

Deno.test("check tells certificates that are missing, swapped, of another key, expired or fine", async () => {
  await using site = new Site();
  const port = site.port(), fine = soundCertificate(site);
  const other = await makeCertificate(site.dir, "other");
  const write = (files: CertificateFiles) =>
    site.write("a.cf", {
      "server-command": SERVER,
      "server-service": `echo://127.0.0.1:${port}`,
      ...settingsOf(files),
    });
  const { certFile, keyFile } = fine;
  write(fine);
  assertEquals(await check(site), "1 service, 0 errors, 0 warnings\nexit 0");
  write({ certFile: site.dir.file("none.crt"), keyFile: site.dir.path });
  assertEquals(
    await check(site),
    'error: DIR/conf/a.cf:3: server-tls-cert: Cannot read certificate "DIR/none.crt": ' +
      `no such file or directory, ${REST}\n` +
      'error: DIR/conf/a.cf:4: server-tls-key: Cannot read private key "DIR": a directory, ' +
      `${REST}\n` +
      "1 service, 2 errors, 0 warnings\nexit 1",
  );
  write({ certFile: keyFile, keyFile: certFile });
  assertEquals(
    await check(site),
    'error: DIR/conf/a.cf:3: server-tls-cert: Cannot use "DIR/test.key": private key, ' +
      "expected a certificate in PEM form\n" +
      'error: DIR/conf/a.cf:4: server-tls-key: Cannot use "DIR/test.crt": certificate, ' +
      "expected a private key in PEM form\n" +
      "1 service, 2 errors, 0 warnings\nexit 1",
  );
  write({ certFile, keyFile: other.keyFile });
  assertEquals(
    await check(site),
    'error: DIR/conf/a.cf:4: server-tls-key: Cannot use "DIR/other.key": ' +
      'not the key of "DIR/test.crt", expected the key that belongs to it\n' +
      "1 service, 1 error, 0 warnings\nexit 1",
  );
  write({ certFile: site.dir.write("expired.crt", EXPIRED_CERT), keyFile });
  assertEquals(
    await check(site),
    'warning: DIR/conf/a.cf:3: server-tls-cert: Cannot rely on "DIR/expired.crt": ' +
      "it has expired on 2021-01-01 00:00 UTC, expected a renewed certificate, and a reload\n" +
      "1 service, 0 errors, 1 warning\nexit 0",
  );
  // It is valid for two days.
  write(other);
  assertMatch(
    await check(site),
    /^warning: .*"DIR\/other\.crt": it expires on 20.*UTC, .*\nexit 0$/s,
  );
});

Deno.test("check tells a key that the user of a server can't read, and no link of another user is followed", async () => {
  if (Deno.uid() !== 0) return assertUnreadable();
  await using site = new Site();
  Deno.chmodSync(site.dir.path, 0o755);
  const { certFile, keyFile } = soundCertificate(site);
  const write = (key: string) =>
    site.write("a.cf", {
      "server-command": "/bin/cat",
      "server-protocol": "libzc",
      "server-service": `127.0.0.1:${site.port()}`,
      "server-user": "nobody",
      ...settingsOf({ certFile, keyFile: key }),
    });
  write(keyFile);
  assertEquals(
    await check(site),
    'error: DIR/conf/a.cf:6: server-tls-key: Cannot read "DIR/test.key": ' +
      "not permitted for user nobody, expected a file that user nobody may read\n" +
      "1 service, 1 error, 0 warnings\nexit 1",
  );
  Deno.chownSync(keyFile, NOBODY, NOBODY);
  assertEquals(await check(site), "1 service, 0 errors, 0 warnings\nexit 0");
  const link = site.dir.file("link.key");
  Deno.symlinkSync(keyFile, link);
  assert(new Deno.Command("chown", { args: ["-h", `${NOBODY}`, link] }).outputSync().success);
  write(link);
  const found = '"link.key" in it is a link of user';
  assert((await check(site)).includes(`"DIR/link.key": ${found} ${NOBODY}, which is not followed`));
});

/** The same for a master of an ordinary user, whose servers have no other. */
async function assertUnreadable(): Promise<void> {
  await using site = new Site();
  const files = soundCertificate(site);
  Deno.chmodSync(files.keyFile, 0);
  site.write("a.cf", {
    "server-command": SERVER,
    "server-service": `echo://127.0.0.1:${site.port()}`,
    ...settingsOf(files),
  });
  assertEquals(
    await check(site),
    'error: DIR/conf/a.cf:4: server-tls-key: Cannot read private key "DIR/test.key": ' +
      `permission denied, ${REST}\n` +
      "1 service, 1 error, 0 warnings\nexit 1",
  );
}

Deno.test("check and a start do not wait for a named pipe in the place of a certificate", async () => {
  await using site = new Site();
  const { keyFile } = soundCertificate(site), pipe = site.dir.file("pipe");
  assert(new Deno.Command("mkfifo", { args: [pipe] }).outputSync().success);
  site.write("a.cf", {
    "server-command": SERVER,
    "server-service": `echo://127.0.0.1:${site.port()}`,
    ...settingsOf({ certFile: pipe, keyFile }),
  });
  const expected = /server-tls-cert: Cannot read certificate ".*pipe": not a file/;
  assertMatch(await check(site), expected);
  assertMatch(await site.refusal(), expected);
});

Deno.test("a reload takes a renewed certificate with server-reload = changed, refuses half of one, and leaves the rest alone", async () => {
  await using site = new Site();
  const port = site.port(), files = soundCertificate(site);
  site.write("all.gcf", { "server-reload": "changed" });
  site.write("tls.cf", {
    "server-command": SERVER,
    "server-service": `echo://127.0.0.1:${port}`,
    ...settingsOf(files),
  });
  serveSmall(site, "plain.cf", site.port());
  const master = await site.start();
  const [old] = await master.serving("tls.cf", 1), [plain] = await master.serving("plain.cf", 1);
  await echo(port, TEST_CERT);
  using before = await Deno.connectTls({ hostname: "localhost", port, caCerts: [TEST_CERT] });
  await before.handshake();

  const made = await makeCertificate(site.dir, "renewed");
  Deno.renameSync(made.keyFile, files.keyFile);
  assertMatch(
    await master.reloadRefused(),
    /Cannot use ".*test\.key": not the key of ".*test\.crt"/,
  );
  await echo(port, TEST_CERT);
  Deno.renameSync(made.certFile, files.certFile);
  const renewed = Deno.readTextFileSync(files.certFile);
  assertMatch((await zcHere(site, "plan")).out, /tls\.cf/);
  await master.reload();
  await acceptsNoMore(old);
  await echo(port, renewed);
  await assertRejects(() => echo(port, TEST_CERT));
  // The client of the old process goes on.
  await before.write(new TextEncoder().encode("still\n"));
  assertEquals(await within(before.read(new Uint8Array(10)), { what: "an echo" }), 6);
  before.close();
  await master.reaps(old);
  assertEquals(master.servers("plain.cf").map(({ pid }) => pid), [plain]);

  const [second] = master.servers("tls.cf").map(({ pid }) => pid);
  await master.reload();
  assertEquals(master.servers("tls.cf").map(({ pid }) => pid), [second]);
  assertEquals(master.logged(/BEGIN|PRIVATE KEY/), 0, master.log);
  assertMatch(master.log, /server-tls-cert: Cannot rely on ".*test\.crt": it expires on/);
  await master.stop();
});

for (const permissions of [["-A"], ["--allow-read", "--allow-env"]]) {
  Deno.test(`a server with ${permissions[0]} alone and under a master serves the certificate of its settings`, async () => {
    await using site = new Site();
    const files = soundCertificate(site), all = settingsOf(files);
    const client = Deno.createHttpClient({ caCerts: [TEST_CERT] });
    const serves = async (lines: number, http: number, node: number) => {
      await eventually(() => echo(lines, TEST_CERT).then(() => true, () => false), {
        what: "an echo",
      });
      for (const port of [http, node]) {
        assertEquals((await fetch(`https://localhost:${port}/`, { client })).status, 200);
      }
    };
    const ports = [site.port(), site.port(), site.port()] as const;
    const list = `echo://127.0.0.1:${ports[0]},http://127.0.0.1:${ports[1]},` +
      `node://127.0.0.1:${ports[2]}`;
    site.write("all.gcf", all);
    site.write("a.cf", {
      "server-command": SERVER,
      "server-service": list,
      "server-permissions": permissions[0] === "-A" ? "all" : permissions.join(" "),
    });
    const master = await site.start();
    await serves(...ports);
    await master.stop();
    if (permissions[0] === "-A") {
      const args = Object.entries(all).flatMap(([key, value]) => [`-${key}`, value]);
      const server = site.run(["alone", "-server-service", list, ...args], { program: SERVER });
      await serves(...ports);
      server.signal("SIGTERM");
      assertEquals((await server.ended()).code, 0);
    }
    client.close();
  });
}

Deno.test("a server without these settings says which are missing, and ends", async () => {
  await using site = new Site();
  const list = `echo://127.0.0.1:${site.port()}`;
  const server = site.run(["alone", "-server-service", list], { program: SERVER });
  const { code, stderr } = await server.ended();
  assert(code !== 0);
  assertMatch(stderr, /Cannot read setting "server-tls-cert": it is missing, expected the file/);
  assertMatch(stderr, /Cannot read setting "server-tls-key": it is missing, expected the file/);
});

Deno.test("doctor names each certificate that has expired or is over soon", async () => {
  await using site = new Site();
  const fine = soundCertificate(site), { keyFile } = fine;
  const soon = await makeCertificate(site.dir, "soon");
  const expired = { certFile: site.dir.write("expired.crt", EXPIRED_CERT), keyFile };
  const all = { fine, soon, "soon-too": soon, expired };
  for (const [name, files] of Object.entries(all)) {
    serveSmall(site, `${name}.cf`, site.port(), settingsOf(files));
  }
  const master = await site.start();
  await master.logs(/all services are ready/);
  const { code, out, err } = await zcHere(site, "doctor", "--json");
  assertEquals(code, 1, err);
  const { findings }: { findings: readonly Finding[] } = JSON.parse(out);
  const told = findings.filter(({ subject }) => subject.startsWith("certificate"))
    .map(({ subject, found }) => `${subject}: ${found}`.replace(site.dir.path, "DIR")).sort();
  assertEquals(told.length, 2, `${told}`);
  assertEquals(told[0], "certificate DIR/expired.crt: it has expired on 2021-01-01 00:00 UTC");
  assertMatch(told[1], /^certificate DIR\/soon\.crt: it expires on 20\d\d-.* UTC$/);
  await master.stop();
});
