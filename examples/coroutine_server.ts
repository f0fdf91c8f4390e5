/**
 * An echo server in the coroutine mode: one async function for each connection.
 *
 * Under a master: `server-command = examples/coroutine_server.ts`. By hand:
 * `deno run -A examples/coroutine_server.ts alone -server-service 127.0.0.1:8802`.
 *
 * @module
 */
import {
  coroutineServe,
  coroutineServerDetachFromMaster,
  coroutineServerMain,
  coroutineServerStopNotify,
} from "../coroutine_server.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const LONGEST_LINE = 10240;
const NEWLINE = 10;

async function echo(conn: Deno.Conn): Promise<void> {
  await writeAll(conn, encoder.encode("welcome coroutine\n"));
  for await (const line of lines(conn)) {
    await writeAll(conn, line);
    const command = decoder.decode(line);
    if (command.startsWith("exit")) return;
    if (command.startsWith("EXIT")) return coroutineServerStopNotify(0);
    if (command.startsWith("DETACH")) return coroutineServerDetachFromMaster();
  }
}

/** The lines of a connection, each with its newline; an overlong one comes in pieces. */
async function* lines(conn: Deno.Conn): AsyncGenerator<Uint8Array> {
  const room = new Uint8Array(LONGEST_LINE);
  let length = 0;
  for (;;) {
    const count = await conn.read(room.subarray(length));
    if (count === null) return;
    length += count;
    let start = 0;
    for (let end; (end = room.subarray(0, length).indexOf(NEWLINE, start)) >= 0; start = end + 1) {
      yield room.subarray(start, end + 1);
    }
    if (start === 0 && length === room.length) start = length, yield room;
    room.copyWithin(0, start, length);
    length -= start;
  }
}

async function writeAll(conn: Deno.Conn, data: Uint8Array): Promise<void> {
  for (let sent = 0; sent < data.length;) sent += await conn.write(data.subarray(sent));
}

if (import.meta.main) {
  Deno.exit(
    await coroutineServerMain({
      serviceRegister(_service, fd, fdType) {
        coroutineServe(fd, fdType, echo);
      },
    }),
  );
}
