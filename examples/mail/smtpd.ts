/**
 * The SMTP server of the mail system, in the coroutine mode: the services `smtp` (with STARTTLS) and
 * `smtps`.
 *
 * @module
 */
import {
  coroutineServe,
  coroutineServerMain,
  coroutineServeTls,
  softstopSignal,
} from "../../coroutine_server.ts";
import { Wire } from "./net/wire.ts";
import { SmtpSession } from "./smtp/session.ts";
import { type MailSystem, openMailSystem } from "./system.ts";

if (import.meta.main) {
  let system: MailSystem;
  const serveClient = (conn: Deno.Conn, isSecure: boolean): Promise<void> => {
    const wire = new Wire(conn, { isSecure, timeoutMs: system.timeoutMs });
    return new SmtpSession(wire, system, softstopSignal()).run();
  };
  Deno.exit(
    await coroutineServerMain({
      beforeService: async () => void (system = await openMailSystem()),
      serviceRegister(service, fd, fdType) {
        if (service === "smtp") {
          return coroutineServe(fd, fdType, (conn) => serveClient(conn, false));
        }
        const { tls } = system;
        coroutineServeTls(fd, fdType, (conn) => serveClient(conn, true), { tls });
      },
    }),
  );
}
