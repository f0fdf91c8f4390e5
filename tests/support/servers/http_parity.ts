/**
 * A server of HTTP that does what the `x-do` of a request says, and remembers what its handler was told:
 * `serveHttp` under a master, or Deno.serve with `--native PORT-OR-PATH [CERT KEY]`. The handler is the
 * same everywhere, so that the servers can be compared. A few paths are for the test itself.
 *
 * @module
 */
import { coroutineServerMain, defaultConfig, serveHttp, zinfo } from "../../../coroutine_server.ts";

/** What the handler was told of one request, and what became of it. */
interface Call {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly remote: unknown;
  readonly notes: string[];
  completed?: string;
  error?: string;
}

type Action = (request: Request, call: Call, info: Deno.ServeHandlerInfo) => unknown;

/** How long `/report` waits for answers that are under way. */
const REPORT_MS = 2_000;

const encoder = new TextEncoder();
const calls: Call[] = [];
const pending: Promise<void>[] = [];
let begun = Promise.withResolvers<void>(), held = Promise.withResolvers<void>();

function textOf(error: unknown): string {
  const { name, message } = error as Error;
  return message === undefined ? String(error) : `${name}: ${message}`;
}

/** A body that gives out its pieces one by one, and then ends or fails. */
function stream(pieces: readonly unknown[], failure?: Error): ReadableStream<Uint8Array> {
  const left = pieces.map((piece) => typeof piece === "string" ? encoder.encode(piece) : piece);
  return new ReadableStream({
    async pull(controller) {
      await Promise.resolve();
      if (left.length > 0) controller.enqueue(left.shift() as Uint8Array);
      else if (failure !== undefined) controller.error(failure);
      else controller.close();
    },
  });
}

const answer = (body?: BodyInit | null, init?: ResponseInit) => () => new Response(body, init);

const headers = (...all: [string, string][]) => answer("x", { headers: all });

const ACTIONS: Readonly<Record<string, Action>> = {
  text: answer("text"),
  none: answer(),
  "empty text": answer(""),
  bytes: answer(new Uint8Array([104, 105])),
  form: answer(new URLSearchParams({ a: "1" })),
  blob: answer(new Blob(["blob"], { type: "text/x-blob" })),
  json: () => Response.json({ a: 1 }),
  long: answer("long ".repeat(40_000)),
  stream: () => new Response(stream(["str", "eam"])),
  "stream with length": () =>
    new Response(stream(["stream"]), { headers: { "content-length": "6" } }),
  "stream beyond length": () =>
    new Response(stream(["stream", "more"]), { headers: { "content-length": "6" } }),
  "stream below length": () =>
    new Response(stream(["str"]), { headers: { "content-length": "6" } }),
  "stream of nothing": () => new Response(stream([])),
  "stream with empty pieces": () => new Response(stream(["", "a", "", "b"])),
  "stream of text": () => new Response(stream([5])),
  "stream that fails": () => new Response(stream(["begun"], new Error("a broken body"))),
  "stream that fails at once": () => new Response(stream([], new Error("a broken body"))),
  "stream that waits": () => {
    held = Promise.withResolvers();
    return new Response(
      new ReadableStream({
        async pull(controller) {
          await held.promise;
          controller.enqueue(encoder.encode("late"));
          controller.close();
        },
      }),
    );
  },
  "204": answer(null, { status: 204 }),
  "205": answer(null, { status: 205 }),
  "304": answer(null, { status: 304, headers: { etag: '"x"' } }),
  "404": answer("none", { status: 404 }),
  "418": answer("tea", { status: 418 }),
  "599": answer("x", { status: 599, statusText: "Odd" }),
  reason: answer("x", { statusText: "Fine" }),
  redirect: () => Response.redirect("http://test/elsewhere", 307),
  "204 with length": answer(null, { status: 204, headers: { "content-length": "5" } }),
  "304 with length": answer(null, { status: 304, headers: { "content-length": "5" } }),
  "wrong length": answer("text", { headers: { "content-length": "99" } }),
  cookies: headers(["set-cookie", "a=1"], ["set-cookie", "b=2"]),
  latin: headers(["x-latin", "caf\u00e9"]),
  date: headers(["date", "Thu, 01 Jan 1970 00:00:00 GMT"]),
  server: headers(["server", "me"]),
  close: headers(["connection", "close"]),
  chunked: headers(["transfer-encoding", "chunked"]),
  hop: headers(["keep-alive", "timeout=9"], ["upgrade", "foo"], ["trailer", "x-t"]),
  subclass: () => new (class extends Response {})("sub"),
  thenable: () => ({ then: (resolve: (given: Response) => void) => resolve(new Response("x")) }),
  throw: () => {
    throw new Error("thrown");
  },
  "throw text": () => {
    throw "a text";
  },
  reject: () => Promise.reject(new TypeError("rejected")),
  undefined: () => undefined,
  null: () => null,
  "a text": () => "text",
  "an object": () => ({ status: 200, body: "x", headers: new Headers() }),
  "an object with 101": () => ({ status: 101 }),
  "a promise of undefined": () => Promise.resolve(),
  "a thenable of a number": () => ({ then: (resolve: (given: number) => void) => resolve(5) }),
  "an error response": () => Response.error(),
  "a used response": async () => {
    const response = new Response("used");
    await response.text();
    return response;
  },
  "a false response": () => Object.create(Response.prototype),
  "an error in onError": () => {
    throw new Error("onError throws");
  },
  "nothing from onError": () => {
    throw new Error("onError returns nothing");
  },
  "a used response from onError": () => {
    throw new Error("onError returns a used response");
  },
  read: async (request, { notes }) => {
    try {
      notes.push(await request.text());
    } catch (error) {
      notes.push((error as Error).name);
      throw error;
    }
    return new Response("read");
  },
  size: async (request) => new Response(`${(await request.arrayBuffer()).byteLength}`),
  echo: (request) => new Response(request.body),
  clone: async (request, { notes }) => {
    const other = request.clone();
    notes.push(other.url, other.method, await other.text(), await request.text());
    return new Response("x");
  },
  body: (request, { notes }) => {
    notes.push(`${request.body === null ? "no" : "a"} body`, `used ${request.bodyUsed}`);
    return new Response("x");
  },
  cancel: async (request) => {
    await request.body?.cancel();
    return new Response("x");
  },
  "read a part": async (request) => {
    await request.body!.getReader().read();
    return new Response("x");
  },
  request: (request, { notes }, info) => {
    const { cache, credentials, destination, integrity, keepalive, mode, redirect } = request;
    const { referrer, signal } = request;
    notes.push(...[cache, credentials, destination, integrity, keepalive, mode].map(String));
    notes.push(redirect, referrer, `aborted ${signal.aborted}`);
    notes.push(
      `${request instanceof Request} ${Object.keys(info)} ${info.completed === info.completed}`,
    );
    for (
      const change of [() => request.headers.set("x", "1"), () => request.headers.delete("host")]
    ) {
      try {
        change();
        notes.push("changed");
      } catch (error) {
        notes.push(textOf(error));
      }
    }
    return new Response("x");
  },
  "look later": async (request, { notes }, info) => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    notes.push(request.url, request.method, `${request.headers.get("x-do")}`);
    notes.push(info.remoteAddr.transport);
    return new Response("later");
  },
  signal: (request, { notes }) => {
    request.signal.addEventListener("abort", () => notes.push(textOf(request.signal.reason)));
    return new Response("x");
  },
  hold: async (request, { notes }) => {
    held = Promise.withResolvers();
    request.signal.addEventListener("abort", () => {
      notes.push(textOf(request.signal.reason));
      held.resolve();
    });
    await held.promise;
    return new Response("held");
  },
  upgrade: (request) => Deno.upgradeWebSocket(request).response,
};

/** What the test asks for; undefined for any other request. */
async function control(pathname: string): Promise<Response | undefined> {
  switch (pathname) {
    case "/probe":
      return new Response("probed");
    case "/begun":
      await begun.promise;
      return new Response("begun");
    case "/release":
      held.resolve();
      return new Response("released");
    case "/report": {
      let timer;
      const late = new Promise((resolve) => timer = setTimeout(resolve, REPORT_MS));
      await Promise.race([Promise.all(pending.splice(0)), late]);
      clearTimeout(timer);
      begun = Promise.withResolvers();
      return Response.json(calls.splice(0));
    }
  }
}

function handler(request: Request, info: Deno.ServeHandlerInfo): Response | Promise<Response> {
  const path = /^[a-z+]+:\/\/[^/]*(\/\w*)$/.exec(request.url)?.[1] ?? "";
  if (["/probe", "/begun", "/release", "/report"].includes(path)) {
    return control(path) as Promise<Response>;
  }
  const { method, url } = request;
  const call: Call = {
    method,
    url,
    headers: [...request.headers],
    remote: info.remoteAddr,
    notes: [],
  };
  calls.push(call);
  pending.push(
    info.completed.then(
      () => void (call.completed = "sent"),
      (error) => void (call.completed = (error as Error).name),
    ),
  );
  begun.resolve();
  return ACTIONS[request.headers.get("x-do") ?? "text"](request, call, info) as Response;
}

async function onError(error: unknown): Promise<Response> {
  await Promise.resolve();
  const call = calls.at(-1);
  if (call !== undefined) call.error = textOf(error);
  switch ((error as Error).message) {
    case "onError throws":
      throw new Error("a fault in onError");
    case "onError returns nothing":
      return undefined as unknown as Response;
    case "onError returns a used response": {
      const response = new Response("used");
      await response.text();
      return response;
    }
  }
  return new Response(`onError: ${textOf(error)}`, { status: 502 });
}

const [flag, address, certFile, keyFile] = Deno.args;
if (flag === "--native") {
  const common = { onError, onListen: () => console.log("serving") };
  const tls = certFile === undefined
    ? {}
    : { cert: Deno.readTextFileSync(certFile), key: Deno.readTextFileSync(keyFile) };
  if (address.startsWith("/")) Deno.serve({ path: address, ...common }, handler);
  else Deno.serve({ hostname: "127.0.0.1", port: Number(address), ...tls, ...common }, handler);
} else {
  Deno.exit(
    await coroutineServerMain({
      serviceRegister(service, fd, fdType) {
        const [certFile, keyFile] = ["cert-file", "key-file"].map((key) =>
          defaultConfig.getStr(key)
        );
        const tls = service === "tls" ? { tls: { certFile, keyFile } } : {};
        serveHttp(fd, fdType, handler, { onError, ...tls });
        zinfo("serviceRegister");
      },
    }),
  );
}
