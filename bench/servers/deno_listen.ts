/** Line echo by hand on a port of its own. @module */
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
    await echo(conn);
  } catch {
    // That client has gone.
  } finally {
    conn.close();
  }
}
