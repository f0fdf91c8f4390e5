/**
 * A server of HTTP for tests of its end: what serves is named by its first argument, and the path of a
 * request says how it is answered. It prints `serving`, `begun PATH` and `stopping`.
 *
 * Arguments: HOW CERTIFICATE KEY, the last two of which are `-` without TLS, and then those of any server.
 *
 * @module
 */
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createSecureServer as createHttp2Server } from "node:http2";
import { createServer as createTlsServer } from "node:https";
import {
  coroutineServerMain,
  serveHttp,
  serveNode,
  softstopSignal,
} from "../../../coroutine_server.ts";
import { expressApplication } from "./express.ts";
import { NodeHttpService } from "../../../src/server/http1/node_http.ts";

const [how, certFile, keyFile, ...args] = Deno.args;
const hasTls = certFile !== "-";
const released = Promise.withResolvers<void>();
let stopAtMs = Infinity;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** What a path answers with, and after which time. */
async function text(pathname: string): Promise<string> {
  console.log("begun", pathname);
  const [, name, value] = pathname.split("/");
  switch (name) {
    case "pause":
      await pause(Number(value));
      break;
    case "hold":
      await released.promise;
      break;
    case "after":
      // So long after the stop.
      await new Promise<void>((resolve) => {
        if (softstopSignal().aborted) resolve();
        else softstopSignal().addEventListener("abort", () => resolve());
      });
      await pause(Number(value) - (performance.now() - stopAtMs));
      break;
    case "release":
      released.resolve();
      break;
  }
  return pathname;
}

/** A stream of events that never ends by itself. */
function events(): Response {
  const encoder = new TextEncoder();
  let timer: ReturnType<typeof setInterval> | undefined;
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      const tell = () => controller.enqueue(encoder.encode("data: tick\n\n"));
      tell();
      timer = setInterval(tell, 50);
    },
    cancel: () => clearInterval(timer),
  });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}

function answer(request: Request): Response | Promise<Response> {
  const { pathname } = new URL(request.url);
  if (pathname === "/events") return events();
  if (pathname === "/socket") {
    const { socket, response } = Deno.upgradeWebSocket(request);
    socket.onmessage = ({ data }) => socket.send(data);
    return response;
  }
  if (pathname === "/") return new Response(pathname);
  return text(pathname).then((text) => new Response(text));
}

const listener: RequestListener = async (request: IncomingMessage, answer) => {
  const path = request.url ?? "/";
  if (path !== "/events") return void answer.end(await text(path));
  answer.writeHead(200, { "content-type": "text/event-stream" });
  answer.write("data: tick\n\n");
};

/** The same by Express, which answers a path after 20 ms. */
async function expressServer(): Promise<Server> {
  const application = await expressApplication(async () => {
    await pause(20);
    return "/";
  });
  return createServer(application);
}

function nodeServer(): Server {
  const server = newNodeServer();
  server.on("upgrade", (_request, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n");
    socket.on("data", () => {});
    socket.on("end", () => socket.end());
  });
  return server;
}

function newNodeServer(): Server {
  if (!hasTls) return createServer(listener);
  const cert = Deno.readTextFileSync(certFile), key = Deno.readTextFileSync(keyFile);
  return createTlsServer({ cert, key }, listener) as unknown as Server;
}

/** Answers after other turns of the event loop. */
async function answerLater(): Promise<Response> {
  await new Promise((resolve) => setTimeout(resolve, 300));
  return new Response("/");
}

Deno.exit(
  await coroutineServerMain({
    async serviceRegister(_service, fd, fdType) {
      const tls = hasTls ? { tls: { certFile, keyFile } } : {};
      if (how === "serveHttp") serveHttp(fd, fdType, answer, tls);
      else if (how === "slowBlind") serveHttp(fd, fdType, () => answerLater(), tls);
      else if (how === "blind") serveHttp(fd, fdType, () => new Response("/"), tls);
      else if (how === "serveNode") serveNode(fd, fdType, nodeServer());
      else if (how === "http2") {
        const cert = Deno.readTextFileSync(certFile), key = Deno.readTextFileSync(keyFile);
        serveNode(fd, fdType, createHttp2Server({ cert, key }, listener as never) as never);
      } else if (how === "express") serveNode(fd, fdType, await expressServer());
      else if (how === "checkContinue") {
        serveNode(
          fd,
          fdType,
          nodeServer().on("checkContinue", async (request, response) => {
            response.writeContinue();
            for await (const _ of request);
            response.end(await text(request.url ?? "/"));
          }),
        );
      } else {
        // What serves HTTP where no system call can be made.
        const onError = () => new Response("error", { status: 500 });
        const certificate = hasTls
          ? { cert: Deno.readTextFileSync(certFile), key: Deno.readTextFileSync(keyFile) }
          : undefined;
        new NodeHttpService(fd, { handler: answer, onError }, certificate);
      }
      console.log("serving");
    },
    beforeSoftstop(stop) {
      stopAtMs = performance.now();
      const { connections, webSockets, eventStreams } = stop.open();
      console.log("open", connections, webSockets, eventStreams);
      console.log("stopping");
    },
  }, args),
);
