/** Clients that do not finish their TLS handshake, when a server comes to its end. */
import { assertLess } from "@std/assert";
import { startFunction } from "../../support/processes.ts";
import { TEST_CERT, testCertificate } from "../../support/tls.ts";
import { startHttpServer } from "../http_server.ts";

/** How to serve, and where. */
type Served = { readonly how: string; readonly address: string; readonly tls: string[] };

/** A server of lines over TLS. */
async function echo({ how, address, tls: [certFile, keyFile] }: Served): Promise<void> {
  const tls = { certFile, keyFile };
  const aio = await import("../../../aio_server.ts");
  const coroutine = await import("../../../coroutine_server.ts");
  Deno.exit(
    await coroutine.coroutineServerMain({
      serviceRegister(_service, fd, fdType) {
        if (how === "aio") {
          aio.aioServerGeneralAioRegister(aio.defaultAioBase, fd, fdType, (client) => {
            client.gets(100, () => client.close());
          }, { tls });
        } else if (how === "serve") {
          coroutine.coroutineServeTls(fd, fdType, async (conn) => {
            await conn.read(new Uint8Array(100));
          }, { tls });
        } else {
          const listener = coroutine.coroutineListenTls(fd, fdType, tls);
          coroutine.coroutineGo(async () => {
            for await (const conn of listener) {
              coroutine.coroutineGo(async () => {
                await conn.read(new Uint8Array(100)).catch(() => {});
                conn.close();
              });
            }
          });
        }
        console.log("serving");
      },
      beforeSoftstop: () => console.log("stopping"),
    }, ["alone", "-server-service", address]),
  );
}

for (const how of ["aio", "serve", "listen"]) {
  Deno.test(`clients that do not finish their TLS handshake do not hold the end (${how})`, async () => {
    await using server = await startHttpServer(({ dir, address }) => {
      const { certFile, keyFile } = testCertificate(dir);
      return startFunction(import.meta, echo, { arg: { how, address, tls: [certFile, keyFile] } });
    });
    const port = Number(server.target);
    const clients = await Promise.all(
      Array.from({ length: 2 }, () => Deno.connect({ hostname: "127.0.0.1", port })),
    );
    await clients[1].write(new Uint8Array([0x16, 0x03, 0x01]));
    // The server has accepted them once it has served a later connection.
    const served = await Deno.connectTls({ hostname: "localhost", port, caCerts: [TEST_CERT] });
    await served.write(new TextEncoder().encode("hello\n"));
    while (await served.read(new Uint8Array(100)) !== null);
    served.close();
    const since = performance.now();
    await server.softstop();
    await server.process.succeeds();
    assertLess(performance.now() - since, 8_000);
    clients.forEach((client) => client.close());
  });
}
