/** TLS in servers with few permissions: what they need, what they say, and that no client ends them. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { connectRaw } from "../server/raw_client.ts";
import { type Master, Site } from "../support/master.ts";
import {
  type CertificateFiles,
  makeCertificate,
  TEST_CERT,
  testCertificate,
} from "../support/tls.ts";
import { within } from "../support/wait.ts";

const SERVER = new URL("../support/servers/tls.ts", import.meta.url).pathname;
/** Longer than the pause after which connections that failed in their handshake are cut. */
const AFTERMATH_MS = 1_500;

/** The beginning of a ClientHello, of which the rest never comes. */
const HALF_HELLO = new Uint8Array([22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);

interface TlsServer {
  readonly master: Master;
  readonly lines: number;
  readonly http: number;
  readonly path: string;
}

async function tlsServer(
  permissions: string,
  { certFile, keyFile, site }: CertificateFiles & { readonly site: Site },
): Promise<TlsServer> {
  const lines = site.port(), http = site.port(), path = site.socket("u");
  site.write("a.cf", {
    "server-command": SERVER,
    "server-service": `echo://127.0.0.1:${lines} http://127.0.0.1:${http} echo://${path}`,
    "server-permissions": permissions,
    "server-tls-cert": certFile,
    "server-tls-key": keyFile,
    "handshake-seconds": 1,
  });
  const master = await site.start();
  return { master, lines, http, path };
}

/** One line there and back over TLS. */
async function echo(port: number): Promise<void> {
  using conn = await Deno.connectTls({ hostname: "localhost", port, caCerts: [TEST_CERT] });
  await conn.write(new TextEncoder().encode("hello\n"));
  assertEquals(await within(conn.read(new Uint8Array(10)), { what: "an echo" }), 6);
}

function connect(target: number | string): Promise<Deno.Conn> {
  return typeof target === "number"
    ? Deno.connect({ hostname: "127.0.0.1", port: target })
    : Deno.connect({ transport: "unix", path: target });
}

/** Clients that never come to the end of their handshake; those that wait for the end are returned. */
async function unfinished(target: number | string): Promise<Deno.Conn[]> {
  const waiting: Deno.Conn[] = [];
  for (const sent of [new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"), HALF_HELLO, undefined]) {
    for (const leaves of [true, false]) {
      const conn = await connect(target);
      if (sent !== undefined) await conn.write(sent);
      if (leaves) conn.close();
      else waiting.push(conn);
    }
  }
  if (typeof target === "number") connectRaw(target).reset();
  return waiting;
}

const PERMISSIONS = [
  "--allow-read",
  "--allow-read --allow-net",
  "--allow-read --allow-ffi",
  "--allow-read --allow-net --allow-ffi",
];

for (const permissions of PERMISSIONS) {
  Deno.test(`TLS with server-permissions ${permissions} survives clients that leave their handshake`, async () => {
    await using site = new Site();
    const { master, lines, http, path } = await tlsServer(permissions, {
      site,
      ...testCertificate(site.dir),
    });
    const [pid] = await master.serving("a.cf", 1);
    const waiting = (await Promise.all([lines, path].map(unfinished))).flat();
    (await unfinished(http)).forEach((conn) => conn.close());
    // Their limit is a second.
    for (const conn of waiting) {
      const room = new Uint8Array(100);
      while (await within(conn.read(room), { what: "the end" }).catch(() => null) !== null);
      conn.close();
    }
    const client = Deno.createHttpClient({ caCerts: [TEST_CERT] });
    for (const until = performance.now() + AFTERMATH_MS; performance.now() < until;) {
      await echo(lines);
      const answer = await fetch(`https://localhost:${http}/`, { client });
      assertEquals(await answer.text(), `${pid}`);
    }
    client.close();
    assertEquals(master.logged(/Uncaught|NotCapable|error while/), 0, master.log);
    // Of each of the three sockets.
    const told = permissions === "--allow-read --allow-ffi" ? 3 : 0;
    assertEquals(master.logged(/Cannot adopt|expected --allow-net/), told, master.log);
    await master.stop();
  });
}

Deno.test("TLS in a server that may not read its certificate says what to set", async () => {
  await using site = new Site();
  const files = testCertificate(site.dir);
  const { master } = await tlsServer("none", { site, ...files });
  await master.logs(/Cannot read "/);
  assertStringIncludes(
    master.log,
    `Cannot read "${files.certFile}": the permissions of this server do not include it, expected ` +
      `server-permissions (or the server's command) with --allow-read=${files.certFile}`,
  );
});

Deno.test("TLS in a server that may not listen finds a key of another certificate, and broken files", async () => {
  await using site = new Site();
  const { certFile, keyFile } = testCertificate(site.dir);
  const other = await makeCertificate(site.dir, "other");
  const broken = site.dir.write("broken.crt", TEST_CERT.replace("MIIBV", "AAAAA"));
  const cases = [
    [certFile, other.keyFile, `Cannot use "${other.keyFile}": not the key of "${certFile}"`],
    [broken, keyFile, `Cannot use "${broken}": the certificate can't be read`],
  ];
  for (const [index, [cert, key]] of cases.entries()) {
    site.write(`${index}.cf`, {
      "server-command": SERVER,
      "server-service": `echo://127.0.0.1:${site.port()}`,
      "server-permissions": "--allow-read",
      "cert-file": cert,
      "key-file": key,
    });
  }
  const master = await site.start();
  for (const [, , told] of cases) {
    await master.logs(new RegExp(RegExp.escape(told)));
  }
  assertMatch(master.log, /expected the key that belongs to it/);
});
