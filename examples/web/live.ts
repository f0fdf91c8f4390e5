/**
 * One WebSocket of the board: messages in both directions.
 *
 * @module
 */
import { softstopSignal } from "@zc/master/serve";
import type { Database } from "./database.ts";
import { DraftError, draftOf, fieldsOf } from "./draft.ts";
import { logFailure } from "./failures.ts";
import type { Feed } from "./feed.ts";

/** Codes of RFC 6455: the server goes away, and the client reads too slowly to be kept. */
const GOING_AWAY = 1001, TRY_AGAIN_LATER = 1013;

/** How much a client may be behind. */
const MOST_UNSENT_BYTES = 1_048_576;

/** What a client is given, and may change. */
interface Followed {
  readonly database: Database;
  readonly feed: Feed;
}

/**
 * Serves one client until it leaves, or until the soft stop.
 *
 * @param socket Its WebSocket.
 * @param followed Where messages are.
 * @param after The last message that the client has.
 */
export function follow(socket: WebSocket, { database, feed }: Followed, after: number): void {
  const gone = new AbortController(), stop = softstopSignal();
  const leave = () => socket.close(GOING_AWAY, "another process serves");
  const send = (value: unknown) => {
    if (socket.readyState !== WebSocket.OPEN) return;
    if (socket.bufferedAmount > MOST_UNSENT_BYTES) socket.close(TRY_AGAIN_LATER, "too slow");
    else socket.send(JSON.stringify(value));
  };

  socket.onopen = async () => {
    // It may have been in the queue of the listener until now.
    if (stop.aborted) return leave();
    stop.addEventListener("abort", leave);
    send({ process: Deno.pid });
    try {
      for await (const messages of feed.follow(after, gone.signal)) send({ messages });
    } catch (error) {
      logFailure("Cannot follow the board", error as Error);
      socket.close(TRY_AGAIN_LATER, "no database");
    }
  };
  socket.onclose = () => {
    stop.removeEventListener("abort", leave);
    gone.abort();
  };
  // The close event follows.
  socket.onerror = (event) => event.preventDefault();

  socket.onmessage = async ({ data }) => {
    let key: unknown;
    try {
      const given = fieldsOf(String(data));
      key = given.key;
      const id = await database.post(draftOf(given));
      send({ answered: key, id });
    } catch (error) {
      if (error instanceof DraftError) return send({ answered: key, error: error.message });
      // Without an answer the client sends it again, on its next connection.
      logFailure("Cannot post a message", error as Error);
      socket.close(TRY_AGAIN_LATER, "no database");
    }
  };
}
