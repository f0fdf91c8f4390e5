/**
 * An HTTP server on its inherited socket.
 *
 * Under a master: `server-command = examples/http_server.ts`. By hand:
 * `deno run -A examples/http_server.ts alone -server-service 127.0.0.1:8803`.
 *
 * @module
 */
import { coroutineServerMain, serveHttp } from "../coroutine_server.ts";

if (import.meta.main) {
  Deno.exit(
    await coroutineServerMain({
      serviceRegister(_service, fd, fdType) {
        serveHttp(fd, fdType, () => new Response(`hello from process ${Deno.pid}\n`));
      },
    }),
  );
}
