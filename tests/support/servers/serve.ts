/**
 * A server of the `serve` layer with a service of each kind.
 *
 * @module
 */
import { createServer } from "node:http";
import {
  connections,
  duration,
  fifo,
  http,
  int,
  type LineClient,
  lines,
  nodeServer,
  serve,
  settings,
  string,
} from "../../../serve.ts";

const own = settings({
  greeting: string("hello"),
  workers: int(4, { max: 10 }),
  timeout: duration("30s"),
});

const later = () => new Promise((resolve) => setTimeout(resolve, 1));

async function forgotten(): Promise<never> {
  await later();
  throw new Error("a fault that is not waited for");
}

/** Who is in the room. */
const members = new Set<LineClient>();

/** More than the sockets of a client that does not read can hold. */
const FLOOD = new Uint8Array(16 << 20);

/** As a framework for the web has it: the state of its own is needed by `fetch`. */
class Application {
  readonly #name = "an application";

  fetch(_request: Request, { remoteAddr }: Deno.ServeHandlerInfo): Response {
    return new Response(`${this.#name} for ${(remoteAddr as Deno.NetAddr).hostname}`);
  }
}

await serve({
  web: () => new Response(`${own.greeting} ${own.workers} ${own.timeout} ${Deno.pid}`),
  careless: () => {
    forgotten();
    setTimeout(() => {
      throw new Error("a fault of a timer");
    }, 1);
    return new Response("answered");
  },
  app: new Application(),
  secure: http(() => new Response("over TLS"), { tls: true }),
  node: nodeServer(() =>
    createServer(({ url }, answer) => {
      if (url === "/forgotten") forgotten();
      answer.end("by node");
    })
  ),
  shout: lines(async (client) => {
    for await (const line of client) await client.write(`${line.toUpperCase()}.\n`);
  }, { longest: 20 }),
  waiting: connections(async (conn, { service, signal }) => {
    await conn.write(new TextEncoder().encode(`${service}\n`));
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    await conn.write(new TextEncoder().encode("bye\n"));
  }),
  faulty: connections(async (conn) => {
    const room = new Uint8Array(100);
    await conn.write(new TextEncoder().encode("go\n"));
    await conn.read(room);
    forgotten();
    await conn.read(room);
  }),
  room: lines(async (client) => {
    members.add(client);
    try {
      await client.write("in\n");
      for await (const line of client) {
        // Nothing waits for the others.
        for (const member of members) if (member !== client) member.write(FLOOD);
        await client.write(`${line}\n`);
      }
    } finally {
      members.delete(client);
    }
  }),
  jobs: fifo(async (chunks) => {
    for await (const chunk of chunks) {
      for (const line of new TextDecoder().decode(chunk).split("\n")) console.log(`job ${line}`);
    }
  }),
}, {
  listen: Deno.env.get("LISTEN"),
  afterService: () => console.log("closed what was open"),
});
