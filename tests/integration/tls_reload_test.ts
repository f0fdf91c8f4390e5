import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type Master, Site } from "../support/master.ts";
import { makeCertificate } from "../support/tls.ts";
import { within } from "../support/wait.ts";

const SERVER = new URL("../support/servers/tls.ts", import.meta.url).pathname;
const RELOADS = 2, CLIENTS = 2;

/** Asks without a pause until it is told to stop; each time on a new connection, or on those there are. */
async function askAlways(
  ask: () => Promise<unknown>,
  running: () => boolean,
): Promise<{ done: number; errors: string[] }> {
  let done = 0;
  const errors: string[] = [];
  while (running()) {
    await ask().then(() => done++, (error) => errors.push(String(error)));
  }
  return { done, errors };
}

/** One line there and back, on a connection of its own that ends with close_notify. */
async function echo(port: number, caCerts: string[]): Promise<void> {
  const conn = await Deno.connectTls({ hostname: "localhost", port, caCerts });
  try {
    await conn.write(new TextEncoder().encode("hello\n"));
    const room = new Uint8Array(10);
    assertEquals(await within(conn.read(room), { what: "an echo" }), 6);
    await conn.closeWrite();
    assertEquals(await within(conn.read(room), { what: "the end" }), null);
  } finally {
    conn.close();
  }
}

async function replaceAll(master: Master): Promise<void> {
  const old = master.servers().map(({ pid }) => pid);
  await master.reload();
  await master.reaps(old);
}

Deno.test("TLS: reloads lose nothing of clients that always ask, and bring the new certificate", async () => {
  await using site = new Site();
  const http = site.port(), lines = site.port();
  const current = { certFile: site.dir.file("current.crt"), keyFile: site.dir.file("current.key") };
  const pems: string[] = [];
  const install = async (name: string) => {
    const made = await makeCertificate(site.dir, name);
    pems.push(Deno.readTextFileSync(made.certFile));
    Deno.copyFileSync(made.certFile, current.certFile);
    Deno.copyFileSync(made.keyFile, current.keyFile);
    return [pems.at(-1)!];
  };
  const [first] = await install("first");
  site.write("tls.cf", {
    "server-command": SERVER,
    "server-service": `http://127.0.0.1:${http}, echo://127.0.0.1:${lines}`,
    "cert-file": current.certFile,
    "key-file": current.keyFile,
    "server-proc-count": 2,
  });
  const master = await site.start();
  await master.logs(/serviceRegister/, 4);

  // A client of the first certificate only: what it trusts is what it gets, before and during.
  using h1 = Deno.createHttpClient({ caCerts: [first], http2: false });
  using h2 = Deno.createHttpClient({ caCerts: [first], http1: false });
  const get = async (client: Deno.HttpClient) => {
    const response = await within(fetch(`https://localhost:${http}/`, { client }), {
      what: "an answer",
    });
    assert(Number(await response.text()) > 0);
  };
  let running = true;
  const asking = [
    () => get(h1),
    () => get(h2),
    () => echo(lines, [first]),
  ].flatMap((ask) => Array.from({ length: CLIENTS }, () => askAlways(ask, () => running)));
  for (let count = 0; count < RELOADS; count++) await replaceAll(master);
  running = false;
  for (const { done, errors } of await Promise.all(asking)) {
    assertEquals(errors, []);
    assert(done > 0);
  }

  const second = await install("second");
  await echo(lines, [first]);
  await replaceAll(master);
  await echo(lines, second);
  using renewed = Deno.createHttpClient({ caCerts: second });
  await get(renewed);
  await assertRejects(() => echo(lines, [first]), Error);
  await master.stop();
});

Deno.test("TLS: a key that is not the certificate's keeps the old processes, and is told", async () => {
  await using site = new Site();
  const port = site.port();
  const one = await makeCertificate(site.dir, "one"),
    other = await makeCertificate(site.dir, "two");
  const write = (keyFile: string) =>
    site.write("tls.cf", {
      "server-command": SERVER,
      "server-service": `echo://127.0.0.1:${port}`,
      "cert-file": one.certFile,
      "key-file": keyFile,
    });
  write(one.keyFile);
  const master = await site.start();
  await master.logs(/serviceRegister/);
  write(other.keyFile);
  master.process.signal("SIGHUP");
  await master.logs(/Cannot use ".*two\.key": not the key of ".*one\.crt"/);
  await echo(port, [Deno.readTextFileSync(one.certFile)]);
  assertStringIncludes(master.log, "expected the key that belongs to it");
  await master.stop();
});
