/**
 * A server that logs as much as a client wants: the line `log COUNT LENGTH` makes it log so many
 * lines of so many bytes, each of which begins with `LINE`; all else is as in the tests' servers.
 *
 * @module
 */
import {
  coroutineServe,
  coroutineServerMain,
  type ServerHooks,
  zinfo,
} from "../../../coroutine_server.ts";

const encoder = new TextEncoder();

/** Lines that are logged before others get their turn. */
const LINES_PER_TURN = 50;

async function obey(line: string): Promise<string> {
  const [command, ...rest] = line.split(" ");
  if (command !== "log") return rest.join(" ");
  const [count, length] = rest.map(Number);
  for (let index = 0; index < count; index++) {
    zinfo(`LINE ${index} ${"x".repeat(length)}`);
    if (index % LINES_PER_TURN === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return "logged";
}

async function serve(conn: Deno.Conn): Promise<void> {
  await conn.write(encoder.encode(`coroutine ${Deno.pid}\n`));
  const decoder = new TextDecoder();
  const room = new Uint8Array(4096);
  let text = "";
  for (let count; (count = await conn.read(room)) !== null;) {
    text += decoder.decode(room.subarray(0, count), { stream: true });
    for (let end; (end = text.indexOf("\n")) >= 0; text = text.slice(end + 1)) {
      await conn.write(encoder.encode(`${await obey(text.slice(0, end))}\n`));
    }
  }
}

const hooks: ServerHooks = {
  serviceRegister: (_service, fd, fdType) => coroutineServe(fd, fdType, serve),
};

Deno.exit(await coroutineServerMain(hooks));
