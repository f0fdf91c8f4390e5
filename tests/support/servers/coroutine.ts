/**
 * A server in the coroutine mode that does what its clients and its settings say. With `--streams` in
 * its command it echoes instead, through the streams of its connections.
 *
 * @module
 */
import {
  coroutineFifo,
  coroutineGo,
  coroutineListen,
  coroutineServe,
  coroutineServerDetachFromMaster,
  coroutineServerMain,
  coroutineServerStopNotify,
  zinfo,
} from "../../../coroutine_server.ts";
import { greeting, type Mode, obey, testHooks } from "./behaviour.ts";

const mode: Mode = {
  name: "coroutine",
  stopNotify: coroutineServerStopNotify,
  detach: coroutineServerDetachFromMaster,
};
const encoder = new TextEncoder();

async function serve(conn: Deno.Conn, first: string): Promise<void> {
  await conn.write(encoder.encode(first));
  const decoder = new TextDecoder();
  const room = new Uint8Array(4096);
  let text = "";
  for (let count; (count = await conn.read(room)) !== null;) {
    text += decoder.decode(room.subarray(0, count), { stream: true });
    for (let end; (end = text.indexOf("\n")) >= 0; text = text.slice(end + 1)) {
      const answer = obey(mode, text.slice(0, end));
      await conn.write(encoder.encode(answer.text));
      if (answer.close) return;
    }
  }
}

async function echo(conn: Deno.Conn, first: string): Promise<void> {
  const writer = conn.writable.getWriter();
  await writer.write(encoder.encode(first));
  writer.releaseLock();
  await conn.readable.pipeTo(conn.writable);
}

async function echoAll(listener: Deno.Listener, first: string): Promise<void> {
  for await (const conn of listener) coroutineGo(() => echo(conn, first));
}

async function logLines(fd: number): Promise<void> {
  const pipe = coroutineFifo(fd);
  const room = new Uint8Array(4096);
  for (let count; (count = await pipe.read(room)) !== null;) {
    zinfo(`from the fifo: ${new TextDecoder().decode(room.subarray(0, count)).trim()}`);
  }
}

const hooks = testHooks((service, fd, fdType) => {
  const first = greeting(mode, service, fdType);
  if (fdType === "fifo") coroutineGo(() => logLines(fd));
  else if (Deno.args.includes("--streams")) {
    coroutineGo(() => echoAll(coroutineListen(fd, fdType), first));
  } else coroutineServe(fd, fdType, (conn) => serve(conn, first));
});

Deno.exit(await coroutineServerMain(hooks));
