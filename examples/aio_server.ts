/**
 * An echo server in the aio mode: callbacks after a line and after a flush.
 *
 * Under a master: `server-command = examples/aio_server.ts`. By hand:
 * `deno run -A examples/aio_server.ts alone -server-service 127.0.0.1:8801`.
 *
 * @module
 */
import {
  type Aio,
  aioServerDetachFromMaster,
  aioServerGeneralAioRegister,
  aioServerMain,
  defaultAioBase,
  zdebug,
} from "../aio_server.ts";

const LONGEST_LINE = 10240;

function welcome(aio: Aio): void {
  aio.cachePuts("echo server, support command: exit, DETACH\n");
  aio.cacheFlush(afterWrite);
}

function afterWrite(aio: Aio): void {
  if (aio.result < 1) return quit(aio, "write error");
  aio.gets(LONGEST_LINE, afterLine);
}

function afterLine(aio: Aio): void {
  if (aio.result < 1) return quit(aio, "read error or end of the connection");
  const line = aio.getReadCacheString(aio.result).replace(/\r?\n$/, "");
  aio.cachePuts(`your input:   ${line}\n`);
  if (line === "exit") aio.cacheFlush(afterLastWrite);
  else if (line === "DETACH") aio.cacheFlush(afterDetachWrite);
  else aio.cacheFlush(afterWrite);
}

function afterLastWrite(aio: Aio): void {
  aio.close();
}

function afterDetachWrite(aio: Aio): void {
  aio.close();
  aioServerDetachFromMaster();
}

function quit(aio: Aio, why: string): void {
  zdebug(why);
  aio.close();
}

if (import.meta.main) {
  Deno.exit(
    await aioServerMain({
      serviceRegister(_service, fd, fdType) {
        aioServerGeneralAioRegister(defaultAioBase, fd, fdType, welcome);
      },
    }),
  );
}
