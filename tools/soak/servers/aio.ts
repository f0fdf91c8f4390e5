/**
 * The line server under load, in the aio mode.
 *
 * @module
 */
import {
  type Aio,
  aioServerGeneralAioRegister,
  aioServerMain,
  defaultAioBase,
} from "../../../aio_server.ts";
import { readAsked, soakHooks } from "./behaviour.ts";

const LONGEST_LINE = 4096;

function nextLine(aio: Aio): void {
  if (aio.result < 1) aio.close();
  else aio.gets(LONGEST_LINE, afterLine);
}

function afterLine(aio: Aio): void {
  if (aio.result < 1) return aio.close();
  const { delayMs, answer } = readAsked(aio.getReadCacheString(aio.result).trimEnd());
  const send = (aio: Aio) => {
    aio.cachePuts(answer);
    aio.cacheFlush(nextLine);
  };
  if (delayMs > 0) aio.sleep(send, delayMs / 1000);
  else send(aio);
}

const hooks = soakHooks((fd, fdType) => {
  aioServerGeneralAioRegister(
    defaultAioBase,
    fd,
    fdType,
    (aio) => aio.gets(LONGEST_LINE, afterLine),
  );
});

Deno.exit(await aioServerMain(hooks));
