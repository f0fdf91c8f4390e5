/**
 * A server that tries what it may not do, and says what came of it. Its service `http` answers
 * requests.
 *
 * @module
 */
import {
  coroutineServe,
  coroutineServerMain,
  serveHttp,
  zinfo,
} from "../../../coroutine_server.ts";
import { testHooks } from "./behaviour.ts";

const ATTEMPTS: Readonly<Record<string, () => unknown>> = {
  read: () => Deno.readTextFileSync("/etc/hostname"),
  write: () => Deno.writeTextFileSync("/tmp/confined", ""),
  connect: () => Deno.connect({ hostname: "127.0.0.1", port: 9 }),
  listen: () => Deno.listen({ hostname: "127.0.0.1", port: 0 }),
  run: () => new Deno.Command("true").outputSync(),
  kill: () => Deno.kill(Deno.ppid, "SIGCONT"),
  ffi: () => Deno.dlopen("libc.so.6", {}),
  env: () => Deno.env.get("HOME"),
  sys: () => Deno.hostname(),
};

async function outcome(what: string): Promise<string> {
  try {
    await ATTEMPTS[what]();
    return "done";
  } catch (error) {
    return (error as Error).name;
  }
}

async function serve(conn: Deno.Conn): Promise<void> {
  const encoder = new TextEncoder(), decoder = new TextDecoder(), room = new Uint8Array(256);
  await conn.write(encoder.encode(`confined ${Deno.pid}\n`));
  for (let count; (count = await conn.read(room)) !== null;) {
    const what = decoder.decode(room.subarray(0, count)).trim();
    await conn.write(encoder.encode(`${await outcome(what)}\n`));
  }
}

async function answer(request: Request, info: Deno.ServeHandlerInfo): Promise<Response> {
  const { pathname } = new URL(request.url);
  info.completed.then(() => zinfo(`completed ${pathname}`), () => zinfo(`gone ${pathname}`));
  switch (pathname) {
    case "/echo":
      return new Response(request.body);
    case "/fail":
      throw new Error("a fault in a handler");
    case "/wait": {
      zinfo("waiting");
      const { promise, resolve } = Promise.withResolvers<void>();
      request.signal.addEventListener("abort", () => resolve());
      await promise;
      zinfo("aborted");
      return new Response("too late");
    }
    case "/stream":
      // As much as the client sends, each piece at once.
      return new Response(request.body?.pipeThrough(new TransformStream()), {
        headers: [["set-cookie", "a=1"], ["set-cookie", "b=2"]],
      });
  }
  const { method, url } = request;
  return Response.json({ method, url, remote: info.remoteAddr.transport });
}

Deno.exit(
  await coroutineServerMain(testHooks((service, fd, fdType) => {
    if (service === "http") serveHttp(fd, fdType, answer);
    else coroutineServe(fd, fdType, serve);
  })),
);
