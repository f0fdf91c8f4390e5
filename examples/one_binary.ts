/**
 * A master and its two servers in one program: `server-command = self web` and `server-command = self echo`
 * start this same program again.
 *
 * Under a master: `deno run -A examples/one_binary.ts -C conf`. One server by hand:
 * `deno run -A examples/one_binary.ts web alone -server-service 127.0.0.1:8804`. As one binary:
 * `deno compile -A --no-code-cache -o app examples/one_binary.ts`, then `./app -C conf`.
 *
 * @module
 */
import {
  type Aio,
  aioServerGeneralAioRegister,
  aioServerMain,
  coroutineServerMain,
  defaultAioBase,
  masterServerMain,
  serveHttp,
} from "../mod.ts";

const LINE_BYTES = 10240;

function web(): Promise<number> {
  return coroutineServerMain({
    serviceRegister(_service, fd, fdType) {
      serveHttp(fd, fdType, () => new Response(`hello from process ${Deno.pid}\n`));
    },
  });
}

function nextLine(aio: Aio): void {
  aio.gets(LINE_BYTES, afterLine);
}

function afterLine(aio: Aio): void {
  if (aio.result < 1) return aio.close();
  aio.cacheWrite(aio.getReadCache(aio.result));
  aio.cacheFlush(nextLine);
}

function echo(): Promise<number> {
  return aioServerMain({
    serviceRegister(_service, fd, fdType) {
      aioServerGeneralAioRegister(defaultAioBase, fd, fdType, nextLine);
    },
  });
}

if (import.meta.main) Deno.exit(await masterServerMain({ servers: { web, echo } }));
