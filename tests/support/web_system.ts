/**
 * The board of the examples, run by its own start program with its own settings file, but for ports and database; and
 * the clients that load it.
 *
 * @module
 */
import { example, Master, Site } from "./master.ts";
import type { PostgreSql } from "./postgresql.ts";
import { TestProcess } from "./processes.ts";
import { TEST_CERT, TEST_KEY } from "./tls.ts";
import { eventually } from "./wait.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

/** The ports in the settings file. */
const WEB = 8840, SECURE = 8843;

/** A busy machine starts everything late. */
const CHANGE_MS = 60_000;

/** The board. Declare it with `await using`. */
export class WebSystem implements AsyncDisposable {
  readonly site = new Site();
  /** The ports for HTTP and for HTTPS. */
  readonly web = this.site.port();
  readonly secure = this.site.port();
  /** The certificate, which clients have to trust. */
  readonly certFile: string;

  /** @param database Where its messages are; a test may start it later. */
  constructor(readonly database: PostgreSql) {
    const text = Deno.readTextFileSync(`${ROOT}examples/web/conf/web.cf`)
      .replaceAll("examples/", example(""))
      .replaceAll(`:${WEB}`, `:${this.web}`).replaceAll(`:${SECURE}`, `:${this.secure}`)
      .replace(/^web-database = .*$/m, `web-database = ${database.url}`);
    this.site.dir.write("conf/web.cf", text);
    Deno.mkdirSync(this.site.dir.file("web-data/tls"), { recursive: true });
    this.certFile = this.site.dir.write("web-data/tls/web.crt", TEST_CERT);
    Deno.chmodSync(this.site.dir.write("web-data/tls/web.key", TEST_KEY), 0o600);
  }

  /** Starts it, and waits until all processes serve. */
  async start(): Promise<Master> {
    const process = this.site.run(["--conf", this.site.conf], {
      program: example("web/start.ts"),
      env: this.database.env,
    });
    await process.complains(/listeners: .*\n/);
    const master = new Master(this.site, process);
    await master.logs(/all services are ready/);
    return master;
  }

  /** Ends and removes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.site[Symbol.asyncDispose]();
  }
}

/** How the connection of a follower ended. */
export interface FollowerEnd {
  /** The code of a WebSocket; `end`, `cut` or an error code of an event stream. */
  readonly how: number | string;
  /** The process that it was connected to; undefined if to none. */
  readonly process?: number;
}

/** What the clients have seen so far. */
export interface WebReport {
  readonly answered: number;
  /** The ids of the messages that were posted. */
  readonly posted: readonly number[];
  readonly lost: readonly { readonly localPort: number; readonly error: string }[];
  readonly followers: readonly {
    readonly kind: "WebSocket" | "SSE";
    /** The process that it is connected to; undefined if to none. */
    readonly process?: number;
    /** The ids of the messages, as they came. */
    readonly ids: readonly number[];
    readonly ends: readonly FollowerEnd[];
  }[];
}

/** Clients of node, in one process. Declare it with `await using`. */
export class WebClients implements AsyncDisposable {
  readonly #process: TestProcess;

  /** @param port Where they connect. */
  constructor(port: number) {
    const script = `${ROOT}tests/peers/web_clients.mjs`;
    // From node 22 on it needs no flag.
    const flags = ["--experimental-websocket", "--no-warnings"];
    this.#process = new TestProcess(["node", ...flags, script, String(port)]);
  }

  /** What they have seen so far. */
  async report(): Promise<WebReport> {
    await this.#process.write("\n");
    return JSON.parse(await this.#process.nextLine());
  }

  /**
   * Waits until more uploads, messages and requests than before have been answered, and each follower has seen what
   * was posted in between.
   */
  async haveMore(): Promise<WebReport> {
    const before = await this.report(), enough = 12;
    let report = before;
    await eventually(async () => {
      report = await this.report();
      return report.answered >= before.answered + enough;
    }, { what: "answers", withinMs: CHANGE_MS });
    const last = Math.max(...report.posted);
    return await eventually(async () => {
      const { followers, ...rest } = await this.report();
      return followers.every(({ ids }) => (ids.at(-1) ?? 0) >= last) && { followers, ...rest };
    }, { what: "messages", withinMs: CHANGE_MS });
  }

  /** Ends them, when each has finished what it has begun. */
  async finish(): Promise<WebReport> {
    await this.#process.closeInput();
    const report = JSON.parse(await this.#process.nextLine());
    await this.#process.succeeds();
    return report;
  }

  /** Ends them. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}
