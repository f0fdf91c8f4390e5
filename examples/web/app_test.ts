import { assertEquals } from "@std/assert";
import { createApp } from "./app.ts";
import type { Database } from "./database.ts";
import type { Draft } from "./draft.ts";
import type { Feed } from "./feed.ts";

const HOST = "board.test:8840";

Deno.test("the board takes nothing from a page of another site", async () => {
  const posted: Draft[] = [];
  const database = { post: (draft: Draft) => Promise.resolve(posted.push(draft)) };
  const app = createApp({
    database: database as Partial<Database> as Database,
    feed: { newest: 0 } as Partial<Feed> as Feed,
    uploadBytes: 1_000,
  });
  const statusOf = async (path: string, init: RequestInit, origin?: string) => {
    const headers = new Headers(init.headers);
    if (origin !== undefined) headers.set("origin", origin);
    const { status, body } = await app.request(`http://${HOST}${path}`, { ...init, headers });
    await body?.cancel();
    return status;
  };
  const form = () => {
    const body = new FormData();
    for (const [name, value] of [["author", "a"], ["text", "b"]]) body.append(name, value);
    return { method: "POST", body };
  };
  const socket = { headers: { upgrade: "websocket", connection: "upgrade" } };
  for (const origin of ["http://evil.test", `http://evil.test:8840`, "http://board.test", "null"]) {
    assertEquals(await statusOf("/", form(), origin), 403, origin);
    assertEquals(await statusOf("/api/messages", form(), origin), 403, origin);
    assertEquals(await statusOf("/live", socket, origin), 403, origin);
  }
  assertEquals(posted, []);
  for (const origin of [`http://${HOST}`, `https://${HOST}`, undefined]) {
    assertEquals(await statusOf("/api/messages", form(), origin), 201, origin);
    assertEquals(await statusOf("/live", {}, origin), 426, origin);
  }
  assertEquals(posted.length, 3);
});
