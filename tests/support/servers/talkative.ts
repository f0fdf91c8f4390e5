/**
 * A server that prints a lot before each answer. The name of a service says how it is served: `coroutine`,
 * `http`, `node`, or `aio`, for which it has `--aio` in its command as well.
 *
 * @module
 */
import { createServer } from "node:http";
import { aioServerGeneralAioRegister, aioServerMain, defaultAioBase } from "../../../aio_server.ts";
import { coroutineServe, coroutineServerMain } from "../../../coroutine_server.ts";
import { type FdType, serveHttp, serveNode, type ServerHooks } from "../../../src/server/common.ts";
import { talk } from "../talk.ts";

const ANSWER = `answer of ${Deno.pid}\n`;

function serveAio(fd: number, fdType: FdType): void {
  aioServerGeneralAioRegister(defaultAioBase, fd, fdType, (aio) => {
    aio.gets(100, (aio) => {
      talk();
      aio.cachePuts(ANSWER);
      aio.cacheFlush((aio) => aio.close());
    });
  });
}

function serveCoroutine(fd: number, fdType: FdType): void {
  coroutineServe(fd, fdType, async (conn) => {
    await conn.read(new Uint8Array(100));
    talk();
    await conn.write(new TextEncoder().encode(ANSWER));
  });
}

const hooks: ServerHooks = {
  serviceRegister(service, fd, fdType) {
    switch (service) {
      case "aio":
        return serveAio(fd, fdType);
      case "coroutine":
        return serveCoroutine(fd, fdType);
      case "http":
        return void serveHttp(fd, fdType, (_request) => {
          talk();
          return new Response(ANSWER);
        });
      case "node":
        return void serveNode(
          fd,
          fdType,
          createServer((_request, answer) => {
            talk();
            answer.end(ANSWER);
          }),
        );
    }
  },
};

Deno.exit(await (Deno.args.includes("--aio") ? aioServerMain : coroutineServerMain)(hooks));
