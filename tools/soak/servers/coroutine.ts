/**
 * The line server under load, in the coroutine mode.
 *
 * @module
 */
import { coroutineServe, coroutineServerMain } from "../../../coroutine_server.ts";
import { readAsked, soakHooks } from "./behaviour.ts";

const encoder = new TextEncoder();

async function answer(conn: Deno.Conn, line: string): Promise<void> {
  const { delayMs, answer } = readAsked(line);
  if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
  const bytes = encoder.encode(answer);
  for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
}

async function serve(conn: Deno.Conn): Promise<void> {
  const decoder = new TextDecoder();
  const room = new Uint8Array(4096);
  let text = "";
  for (let count; (count = await conn.read(room)) !== null;) {
    text += decoder.decode(room.subarray(0, count), { stream: true });
    for (let end; (end = text.indexOf("\n")) >= 0; text = text.slice(end + 1)) {
      await answer(conn, text.slice(0, end));
    }
  }
}

const hooks = soakHooks((fd, fdType) => coroutineServe(fd, fdType, serve));

Deno.exit(await coroutineServerMain(hooks));
