/** Line echo under the master, aio mode. @module */
import {
  type Aio,
  aioServerGeneralAioRegister,
  aioServerMain,
  defaultAioBase,
} from "../../aio_server.ts";
import { sayReady } from "./ready.ts";

const LONGEST_LINE = 10_240;

function read(aio: Aio): void {
  aio.gets(LONGEST_LINE, afterRead);
}

function afterRead(aio: Aio): void {
  if (aio.result < 1) return aio.close();
  aio.cacheWriteDirect(aio.getReadCacheDirect(aio.result));
  aio.cacheFlush(afterWrite);
}

function afterWrite(aio: Aio): void {
  if (aio.result < 1) return aio.close();
  read(aio);
}

Deno.exit(
  await aioServerMain({
    serviceRegister(_service, fd, fdType) {
      aioServerGeneralAioRegister(defaultAioBase, fd, fdType, read);
      sayReady();
    },
  }),
);
