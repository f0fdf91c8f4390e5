/**
 * An echo server in the aio mode: callbacks after a line, after a flush and after a second. It is LIB-ZC's
 * sample/master/aio_server.c in TypeScript; docs/port.md compares them.
 *
 * Under a master: `server-command = examples/aio_server.ts`. By hand:
 * `deno run -A examples/aio_server.ts alone -server-service 127.0.0.1:8801`. With `--debug` it logs the
 * number of its clients each second.
 *
 * @module
 */
import {
  type Aio,
  aioCreate,
  aioServerDetachFromMaster,
  aioServerGeneralAioRegister,
  aioServerMain,
  defaultAioBase,
  zdebug,
} from "../aio_server.ts";

const LONGEST_LINE = 10240;
const TITLE = "LIB-ZC";

let currentClients = 0;
let allClients = 0;
let seconds = 0;

function afterSecond(timer: Aio): void {
  const letter = TITLE[seconds++ % TITLE.length];
  zdebug(`${letter} all:${allClients}, current:${currentClients}`);
  timer.sleep(afterSecond, 1);
}

function welcome(aio: Aio): void {
  currentClients++;
  allClients++;
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
  aio.cachePuts("your input:   ");
  aio.cachePuts(line);
  aio.cachePuts("\n");
  if (line === "exit") aio.cacheFlush(afterLastWrite);
  else if (line === "DETACH") aio.cacheFlush(afterDetachWrite);
  else aio.cacheFlush(afterWrite);
}

function afterLastWrite(aio: Aio): void {
  quit(aio, aio.result < 1 ? "write error" : undefined);
}

function afterDetachWrite(aio: Aio): void {
  if (aio.result < 1) return quit(aio, "write error");
  quit(aio);
  aioServerDetachFromMaster();
}

function quit(aio: Aio, why?: string): void {
  if (why !== undefined) zdebug(why);
  aio.close();
  currentClients--;
}

if (import.meta.main) {
  Deno.exit(
    await aioServerMain({
      beforeService() {
        aioCreate(-1, defaultAioBase).sleep(afterSecond, 1);
      },
      beforeSoftstop() {
        zdebug("before_softstop, nothing to do");
      },
      serviceRegister(_service, fd, fdType) {
        aioServerGeneralAioRegister(defaultAioBase, fd, fdType, welcome);
      },
    }),
  );
}
