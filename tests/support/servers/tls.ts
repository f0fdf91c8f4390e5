/**
 * A server that answers HTTP over TLS with its process id on the service `http`, and sends back
 * lines over TLS on the service `echo`, or by node:https on the service `node`. Its certificate is that of
 * `server-tls-cert`, or of `cert-file` and `key-file`, which the master does not know. `handshake-seconds` is a
 * setting of its own as well.
 *
 * @module
 */
import { createServer } from "node:https";
import {
  type Aio,
  aioServerGeneralAioRegister,
  aioServerMain,
  defaultAioBase,
  defaultConfig,
  serveHttp,
  serveNode,
  TlsContext,
  tlsOfSettings,
  zinfo,
} from "../../../aio_server.ts";

const LONGEST_LINE = 4096;

function nextLine(aio: Aio): void {
  if (aio.result < 1) return aio.close();
  aio.gets(LONGEST_LINE, (aio) => {
    if (aio.result < 1) return aio.close();
    aio.cacheWrite(aio.getReadCache(aio.result));
    aio.cacheFlush(nextLine);
  });
}

Deno.exit(
  await aioServerMain({
    serviceRegister(service, fd, fdType) {
      const handshakeSeconds = Number(defaultConfig.getStr("handshake-seconds") || 10);
      const [certFile, keyFile] = ["cert-file", "key-file"].map((key) => defaultConfig.getStr(key));
      const tls = certFile
        ? { certFile, keyFile, handshakeSeconds }
        : tlsOfSettings({ handshakeSeconds });
      if (service === "node") {
        const { cert, key } = new TlsContext(tls);
        serveNode(fd, fdType, createServer({ cert, key }, (_, answer) => answer.end("node")));
      } else if (service === "http") {
        serveHttp(fd, fdType, () => new Response(`${Deno.pid}`), { tls });
      } else aioServerGeneralAioRegister(defaultAioBase, fd, fdType, nextLine, { tls });
      zinfo(`serviceRegister ${service}`);
    },
  }),
);
