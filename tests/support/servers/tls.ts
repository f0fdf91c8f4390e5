/**
 * A server that answers HTTP over TLS with its process id on the service `http`, and sends back
 * lines over TLS on the service `echo`. `cert-file`, `key-file` and `handshake-seconds` are settings of
 * its own.
 *
 * @module
 */
import {
  type Aio,
  aioServerGeneralAioRegister,
  aioServerMain,
  defaultAioBase,
  defaultConfig,
  serveHttp,
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
      const tls = {
        certFile: defaultConfig.getStr("cert-file"),
        keyFile: defaultConfig.getStr("key-file"),
        handshakeSeconds: Number(defaultConfig.getStr("handshake-seconds") || 10),
      };
      if (service === "http") {
        serveHttp(fd, fdType, () => new Response(`${Deno.pid}`), { tls });
      } else aioServerGeneralAioRegister(defaultAioBase, fd, fdType, nextLine, { tls });
      zinfo(`serviceRegister ${service}`);
    },
  }),
);
