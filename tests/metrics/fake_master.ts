/**
 * A master as its status socket shows it, for tests of the metrics service.
 *
 * @module
 */
import type { ControlEvent } from "../../src/control/messages.ts";
import type { Status } from "../../src/control/status.ts";
import { existsSync } from "@std/fs/exists";
import { TempDir } from "../support/temp.ts";
import { eventually } from "../support/wait.ts";

/** Listens on a unix socket until it is disposed. */
export class FakeMaster implements Disposable {
  readonly #dir = new TempDir();
  /** The path of the socket. */
  readonly path: string = this.#dir.file("status.sock");
  readonly #clients = new Set<Deno.Conn>();
  readonly #watchers = new Set<Deno.Conn>();
  #listener: Deno.UnixListener | undefined;
  /** How often the status was asked for. */
  asked = 0;
  /** Whether it reads requests and answers none, as a stopped process. */
  isStuck = false;

  /** @param status What it answers. */
  constructor(public status: Status) {
    this.open();
  }

  /** How many clients wait for events. */
  get watchers(): number {
    return this.#watchers.size;
  }

  /** Listens, as a new master at the same path does. */
  open(): void {
    this.#listener = Deno.listen({ transport: "unix", path: this.path });
    this.#accept(this.#listener);
  }

  /** Ends, with all connections, and waits until the runtime has removed the socket. */
  async close(): Promise<void> {
    this.#end();
    await eventually(() => !existsSync(this.path), { what: "the end of the socket" });
  }

  /** Tells all who wait for events. */
  async tell(event: ControlEvent): Promise<void> {
    for (const conn of this.#watchers) await this.#write(conn, { id: 1, event });
  }

  [Symbol.dispose](): void {
    this.#end();
    this.#dir[Symbol.dispose]();
  }

  #end(): void {
    this.#listener?.close();
    this.#listener = undefined;
    for (const conn of this.#clients) conn.close();
    this.#clients.clear();
    this.#watchers.clear();
  }

  async #accept(listener: Deno.UnixListener): Promise<void> {
    for await (const conn of listener) {
      this.#clients.add(conn);
      this.#serve(conn).catch(() => {}).finally(() => {
        this.#watchers.delete(conn);
        if (this.#clients.delete(conn)) conn.close();
      });
    }
  }

  async #serve(conn: Deno.Conn): Promise<void> {
    const room = new Uint8Array(4096);
    for (let count; (count = await conn.read(room)) !== null;) {
      const request = JSON.parse(new TextDecoder().decode(room.subarray(0, count)));
      if (this.isStuck) continue;
      if (request.do === "status") this.asked++;
      const result = request.do === "status" ? this.status : null;
      await this.#write(conn, { id: request.id, ok: true, result });
      if (request.do === "events") this.#watchers.add(conn);
    }
  }

  async #write(conn: Deno.Conn, answer: unknown): Promise<void> {
    let bytes = new TextEncoder().encode(`${JSON.stringify(answer)}\n`);
    while (bytes.length > 0) bytes = bytes.subarray(await conn.write(bytes));
  }
}
