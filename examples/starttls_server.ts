/**
 * A mail server that takes no mail, and speaks TLS when it is asked to: STARTTLS in the aio mode.
 * Its certificate is that of the settings `server-tls-cert` and `server-tls-key`.
 *
 * Under a master: `server-command = examples/starttls_server.ts`. By hand:
 * `deno run -A examples/starttls_server.ts alone -server-service 127.0.0.1:8804 -server-tls-cert a.crt
 * -server-tls-key a.key`.
 *
 * @module
 */
import {
  type Aio,
  aioServerGeneralAioRegister,
  aioServerMain,
  defaultAioBase,
  TlsContext,
  tlsOfSettings,
} from "../aio_server.ts";

const LONGEST_LINE = 1000;
let tls: TlsContext;

function answer(aio: Aio, text: string, then: (aio: Aio) => void = nextCommand): void {
  aio.cachePuts(`${text}\r\n`);
  aio.cacheFlush(then);
}

function nextCommand(aio: Aio): void {
  if (aio.result < 1) return aio.close();
  aio.gets(LONGEST_LINE, obey);
}

function obey(aio: Aio): void {
  if (aio.result < 1) return aio.close();
  switch (aio.getReadCacheString(aio.result).trim().split(" ")[0].toUpperCase()) {
    case "EHLO":
      return answer(aio, aio.tls ? "250 example" : "250-example\r\n250 STARTTLS");
    case "STARTTLS":
      // What came behind it came without TLS: nothing of it may be obeyed after the handshake.
      if (aio.tls || aio.readCacheSize > 0) return answer(aio, "503 not now", close);
      return answer(aio, "220 ready", (aio) => aio.startTls(tls, afterHandshake));
    case "NOOP":
      return answer(aio, `250 ${aio.tls ? "over TLS" : "in plain text"}`);
    case "QUIT":
      return answer(aio, "221 bye", close);
    default:
      return answer(aio, "502 not known");
  }
}

function afterHandshake(aio: Aio): void {
  // The client speaks first.
  if (aio.result < 1) return aio.close();
  nextCommand(aio);
}

function close(aio: Aio): void {
  aio.close();
}

if (import.meta.main) {
  Deno.exit(
    await aioServerMain({
      beforeService() {
        tls = new TlsContext(tlsOfSettings());
      },
      serviceRegister(_service, fd, fdType) {
        aioServerGeneralAioRegister(
          defaultAioBase,
          fd,
          fdType,
          (aio) => answer(aio, "220 example"),
        );
      },
    }),
  );
}
