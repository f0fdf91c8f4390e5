/**
 * New messages for everybody who follows the board, in whichever process they were posted.
 *
 * @module
 */
import type { Database, Message } from "./database.ts";
import { logFailure } from "./failures.ts";

/** How many messages are kept in memory for followers, and how many are read at once. */
const KEPT = 200;

/** One for each process. */
export class Feed {
  readonly #database: Database;
  /** The newest messages, as far as they came while this process ran. */
  #recent: readonly Message[] = [];
  /** `#recent` has every message with a greater id than this. */
  #from = 0;
  #newest = 0;
  #isReading = false;
  #isBehind = false;
  #changed = Promise.withResolvers<void>();

  private constructor(database: Database) {
    this.#database = database;
  }

  /** Begins to listen. */
  static async open(database: Database): Promise<Feed> {
    const feed = new Feed(database);
    const [last] = await database.newest(1);
    feed.#from = feed.#newest = last?.id ?? 0;
    await database.listen(() => void feed.#catchUp());
    return feed;
  }

  /** The id of the newest message. */
  get newest(): number {
    return this.#newest;
  }

  /**
   * Gives the messages after one of them, and each further one when it comes.
   *
   * @param id The last one that the follower has.
   * @param signal Ends it.
   */
  async *follow(id: number, signal: AbortSignal): AsyncGenerator<readonly Message[], void> {
    const ended = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    for (let seen = id; !signal.aborted;) {
      const changed = this.#changed.promise;
      const messages = seen < this.#newest ? await this.#after(seen) : [];
      if (messages.length > 0) {
        yield messages;
        seen = messages.at(-1)!.id;
      } else await Promise.race([changed, ended]);
    }
  }

  async #after(id: number): Promise<readonly Message[]> {
    if (id < this.#from) return await this.#database.after(id, KEPT);
    return this.#recent.filter((message) => message.id > id);
  }

  /** Reads what is new; what is told of meanwhile is read after that. */
  async #catchUp(): Promise<void> {
    this.#isBehind = true;
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      while (this.#isBehind) {
        this.#isBehind = false;
        const messages = await this.#database.after(this.#newest, KEPT);
        if (messages.length > 0) this.#add(messages);
        this.#isBehind ||= messages.length === KEPT;
      }
    } catch (error) {
      // The connection that listens tells when the database is back, and this is called again.
      logFailure("Cannot read new messages", error as Error);
    } finally {
      this.#isReading = false;
    }
  }

  #add(messages: readonly Message[]): void {
    const all = [...this.#recent, ...messages], recent = all.slice(-KEPT);
    if (recent.length < all.length) this.#from = all.at(-KEPT - 1)!.id;
    this.#recent = recent;
    this.#newest = recent.at(-1)!.id;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
