/** HTTP hello by Deno.serve on a port of its own. @module */
import { PORT, sayReady } from "./ready.ts";

const body = `hello from ${Deno.pid}\n`;

Deno.serve(
  { hostname: "127.0.0.1", port: PORT, onListen: sayReady },
  () => new Response(body),
);
