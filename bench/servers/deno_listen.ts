/**
 * Line echo by hand on a port of its own: by a loop, or with the argument `pipe` as Deno's manual has it.
 *
 * @module
 */
import { echo } from "./hand_echo.ts";
import { PORT, sayReady } from "./ready.ts";

const listener = Deno.listen({ hostname: "127.0.0.1", port: PORT });
sayReady();
for (;;) {
  try {
    serve(await listener.accept());
  } catch {
    // That client has gone again.
  }
}

async function serve(conn: Deno.Conn): Promise<void> {
  try {
    if (Deno.args[0] === "pipe") await conn.readable.pipeTo(conn.writable);
    else await echo(conn);
  } catch {
    // That client has gone.
  } finally {
    close(conn);
  }
}

function close(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // Its streams have closed it.
  }
}
