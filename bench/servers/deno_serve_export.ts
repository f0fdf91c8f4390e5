/** HTTP hello for `deno serve --parallel`, which loads this once for each of its threads. @module */
import { sayReady } from "./ready.ts";

const body = `hello from ${Deno.pid}\n`;

// Only the first thread would have its `onListen` called; the others listen as soon as this is loaded.
sayReady();

export default { fetch: () => new Response(body) } satisfies Deno.ServeDefaultExport;
