/**
 * The POP3 server of the mail system, in the aio mode: the service `pop3`, with STLS.
 *
 * @module
 */
import {
  aioServerGeneralAioRegister,
  aioServerMain,
  defaultAioBase,
  softstopSignal,
} from "../../aio_server.ts";
import { Pop3Session } from "./pop3/session.ts";
import { type MailSystem, openMailSystem } from "./system.ts";

if (import.meta.main) {
  let system: MailSystem;
  const sessions = new Set<Pop3Session>();
  softstopSignal().addEventListener("abort", () => {
    for (const session of sessions) session.stop();
  });
  Deno.exit(
    await aioServerMain({
      beforeService: async () => void (system = await openMailSystem()),
      serviceRegister(_service, fd, fdType) {
        aioServerGeneralAioRegister(defaultAioBase, fd, fdType, (aio) => {
          const session = new Pop3Session(aio, system, () => sessions.delete(session));
          sessions.add(session);
          // This client was accepted as the server was told to stop.
          if (softstopSignal().aborted) session.stop();
        });
      },
    }),
  );
}
