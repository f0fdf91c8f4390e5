/**
 * A server in the aio mode that does what its clients and its settings say.
 *
 * @module
 */
import {
  type Aio,
  aioServerDetachFromMaster,
  aioServerGeneralAioRegister,
  aioServerMain,
  aioServerStopNotify,
  defaultAioBase,
  zinfo,
} from "../../../aio_server.ts";
import { greeting, type Mode, obey, testHooks } from "./behaviour.ts";

const mode: Mode = {
  name: "aio",
  stopNotify: aioServerStopNotify,
  detach: aioServerDetachFromMaster,
};
const LONGEST_LINE = 4096;

function nextLine(aio: Aio): void {
  if (aio.result < 1) aio.close();
  else aio.gets(LONGEST_LINE, afterLine);
}

function afterLine(aio: Aio): void {
  if (aio.result < 1) return aio.close();
  const answer = obey(mode, aio.getReadCacheString(aio.result).trimEnd());
  aio.cachePuts(answer.text);
  aio.cacheFlush(answer.close ? (aio) => aio.close() : nextLine);
}

function logLine(aio: Aio): void {
  if (aio.result < 1) return aio.close();
  zinfo(`from the fifo: ${aio.getReadCacheString(aio.result).trimEnd()}`);
  aio.gets(LONGEST_LINE, logLine);
}

const hooks = testHooks((service, fd, fdType) => {
  aioServerGeneralAioRegister(defaultAioBase, fd, fdType, (aio) => {
    if (fdType === "fifo") return aio.gets(LONGEST_LINE, logLine);
    aio.cachePuts(greeting(mode, service, fdType));
    aio.cacheFlush(nextLine);
  });
});

Deno.exit(await aioServerMain(hooks));
