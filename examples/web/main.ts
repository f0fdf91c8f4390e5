/**
 * The server of the board, under a master: `server-command = examples/web/main.ts`.
 *
 * @module
 */
import type { Hono } from "hono";
import { http, int, secret, serve, settings, size, string, zerror } from "@zc/master/serve";
import { createApp } from "./app.ts";
import { Database, DatabaseError } from "./database.ts";
import { Feed } from "./feed.ts";

const own = settings({
  webDatabase: secret(string()),
  webConnections: int(4, { min: 1 }),
  webUpload: size("5m"),
});

let database: Database, app: Hono;

/** A process that can't use its database never gets ready, so a reload goes on with the old ones. */
async function open(): Promise<void> {
  try {
    database = await Database.open(own.webDatabase, own.webConnections);
    const feed = await Feed.open(database);
    app = createApp({ database, feed, uploadBytes: own.webUpload });
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    zerror(error.message);
    Deno.exit(error.exitCode);
  }
}

if (import.meta.main) {
  const answer = (request: Request) => app.fetch(request);
  await serve({ web: answer, secure: http(answer, { tls: true }) }, {
    beforeService: open,
    // The last requests have been answered.
    afterService: () => database.close(),
  });
}
