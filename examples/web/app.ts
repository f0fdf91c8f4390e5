/**
 * The pages, the JSON API, the WebSocket and the event stream of the board.
 *
 * @module
 */
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { HTTPException } from "hono/http-exception";
import { secureHeaders } from "hono/secure-headers";
import { streamSSE } from "hono/streaming";
import { softstopSignal } from "@zc/master/serve";
import type { Database } from "./database.ts";
import { type Attachment, type Draft, DraftError, draftOf, fieldsOf } from "./draft.ts";
import { logFailure } from "./failures.ts";
import type { Feed } from "./feed.ts";
import { follow } from "./live.ts";
import { boardPage, wallPage } from "./page.ts";

/** What the application works with. */
export interface Board {
  readonly database: Database;
  readonly feed: Feed;
  /** The most bytes of a request. */
  readonly uploadBytes: number;
}

/** How many messages a page shows at first, and how many the API gives at most. */
const SHOWN = 50, MOST = 200;

/** What a browser may show by itself; it has to save everything else. */
const IMAGES = new Set(["image/gif", "image/jpeg", "image/png", "image/webp"]);

/** When a browser is to connect again to an event stream that has ended. */
const RETRY_MS = 300;

const STATIC: Readonly<Record<string, string>> = {
  "board.css": "text/css",
  "board.js": "text/javascript",
  "messages.js": "text/javascript",
  "wall.js": "text/javascript",
};

/**
 * Makes the application.
 *
 * @param board What it works with.
 */
export function createApp(board: Board): Hono {
  const { database, feed, uploadBytes } = board, app = new Hono();
  // A browser lets a page of any site open a WebSocket and send a form: it would read and post as its visitor.
  app.use(async ({ req }, next) => {
    const origin = req.header("origin"), { host } = new URL(req.url);
    if (origin !== undefined && URL.parse(origin)?.host !== host) {
      throw new HTTPException(403, { message: `expected a page of ${host}` });
    }
    await next();
  });
  // The answer to an upgrade can't be changed.
  app.get("/live", (c) => {
    if (c.req.header("upgrade")?.toLowerCase() !== "websocket") {
      throw new HTTPException(426, { message: "expected a WebSocket" });
    }
    // The request can't be read after its upgrade.
    const after = lastSeen(c, feed), { socket, response } = Deno.upgradeWebSocket(c.req.raw);
    follow(socket, board, after);
    return response;
  });

  app.use(secureHeaders({
    contentSecurityPolicy: { defaultSrc: ["'self'"], imgSrc: ["'self'", "data:"] },
    // It would hold for every port of localhost.
    strictTransportSecurity: false,
  }));
  app.use(async (c, next) => {
    await next();
    // Shows which process has answered.
    c.header("x-process", String(Deno.pid));
  });
  app.get("/", async (c) => c.html(boardPage(await database.newest(SHOWN))));
  app.get("/wall", async (c) => c.html(wallPage(await database.newest(SHOWN))));
  for (const [name, type] of Object.entries(STATIC)) {
    const content = Deno.readTextFileSync(new URL(`static/${name}`, import.meta.url));
    app.get(`/${name}`, (c) => c.body(content, { headers: { "content-type": type } }));
  }

  const onError = () => {
    throw new HTTPException(413, { message: `expected ${uploadBytes} bytes at most` });
  };
  const limit = bodyLimit({ maxSize: uploadBytes, onError });
  app.post("/", limit, async (c) => {
    await database.post(await receiveDraft(c));
    return c.redirect("/", 303);
  });
  app.post("/api/messages", limit, async (c) => {
    return c.json({ id: await database.post(await receiveDraft(c)) }, 201);
  });
  app.get("/api/messages", async (c) => {
    const after = c.req.query("after");
    const found = after === undefined ? database.newest(MOST) : database.after(idOf(after), MOST);
    return c.json(await found);
  });
  app.get("/api/health", async (c) => {
    await database.ping();
    return c.json({ ok: true });
  });

  app.get("/files/:id", async (c) => {
    const file = await database.file(idOf(c.req.param("id")));
    if (file === undefined) return c.notFound();
    const how = IMAGES.has(file.type) ? "inline" : "attachment";
    return c.body(new Uint8Array(file.bytes), {
      headers: {
        "content-type": file.type,
        "content-disposition": `${how}; filename*=UTF-8''${encodeURIComponent(file.name)}`,
      },
    });
  });

  app.get("/events", (c) => {
    const after = lastSeen(c, feed), gone = new AbortController();
    return streamSSE(c, async (stream) => {
      stream.onAbort(() => gone.abort());
      await stream.write(`retry: ${RETRY_MS}\n\n`);
      // It ends at the soft stop, and the browser connects to another process.
      const signal = AbortSignal.any([softstopSignal(), gone.signal]);
      for await (const messages of feed.follow(after, signal)) {
        for (const message of messages) {
          await stream.writeSSE({ id: String(message.id), data: JSON.stringify(message) });
        }
      }
    });
  });

  app.onError((error, c) => {
    if (error instanceof DraftError) return c.json({ error: error.message }, 400);
    if (error instanceof HTTPException) return c.json({ error: error.message }, error.status);
    logFailure(`${c.req.method} ${c.req.path}`, error);
    c.header("retry-after", "1");
    return c.json({ error: "the board can't answer now" }, 503);
  });
  return app;
}

/** The last message that a client has, as it says itself; the newest one if it does not. */
function lastSeen(c: Context, feed: Feed): number {
  const said = c.req.header("last-event-id") ?? c.req.query("after");
  return said === undefined ? feed.newest : idOf(said);
}

function idOf(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new HTTPException(400, { message: `Cannot read "${text}", expected a number` });
}

/** A message from a form, with or without a file, or from JSON. */
async function receiveDraft(c: Context): Promise<Draft> {
  const isJson = c.req.header("content-type")?.startsWith("application/json");
  let given: Readonly<Record<string, unknown>>;
  try {
    given = isJson ? fieldsOf(await c.req.text()) : await c.req.parseBody();
  } catch (error) {
    if (error instanceof HTTPException || error instanceof DraftError) throw error;
    throw new DraftError("Cannot read the message, expected a form or JSON");
  }
  return draftOf(given, await attachmentOf(given.file));
}

async function attachmentOf(file: unknown): Promise<Attachment | undefined> {
  // A form sends an empty file where nobody has chosen one.
  if (!(file instanceof File) || file.name === "") return undefined;
  return {
    name: file.name,
    type: IMAGES.has(file.type) ? file.type : "application/octet-stream",
    bytes: new Uint8Array(await file.arrayBuffer()),
  };
}
