/** HTTP hello under the master. @module */
import { coroutineServerMain, serveHttp } from "../../coroutine_server.ts";
import { sayReady } from "./ready.ts";

const body = `hello from ${Deno.pid}\n`;

Deno.exit(
  await coroutineServerMain({
    serviceRegister(_service, fd, fdType) {
      serveHttp(fd, fdType, () => new Response(body));
      sayReady();
    },
  }),
);
