/**
 * The HTTP server under load.
 *
 * @module
 */
import { coroutineServerMain, serveHttp } from "../../../coroutine_server.ts";
import { readAsked, soakHooks } from "./behaviour.ts";

async function handle(request: Request): Promise<Response> {
  const text = request.method === "POST"
    ? await request.text()
    : new URL(request.url).pathname.slice(1).replaceAll("/", " ");
  const { delayMs, answer } = readAsked(text);
  if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
  return new Response(answer);
}

const hooks = soakHooks((fd, fdType) => serveHttp(fd, fdType, handle));

Deno.exit(await coroutineServerMain(hooks));
