/**
 * The IMAP server of the mail system, in one call of `serve`: the services `imap` (with STARTTLS) and
 * `imaps`.
 *
 * @module
 */
import { type ClientHandler, connections, serve } from "../../serve.ts";
import { ImapSession } from "./imap/session.ts";
import { loadMimePackages } from "./mime/packages.ts";
import { Wire } from "./net/wire.ts";
import { type MailSystem, openMailSystem } from "./system.ts";

if (import.meta.main) {
  let system: MailSystem;
  const serveClient = (isSecure: boolean): ClientHandler => (conn, { signal }) => {
    const wire = new Wire(conn, { isSecure, timeoutMs: system.timeoutMs });
    return new ImapSession(wire, system, signal).run();
  };
  await serve({
    imap: connections(serveClient(false)),
    imaps: connections(serveClient(true), { tls: true }),
  }, {
    beforeService: async () => {
      [system] = await Promise.all([openMailSystem(), loadMimePackages()]);
    },
  });
}
