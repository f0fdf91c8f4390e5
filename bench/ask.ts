/**
 * One HTTP request at a time, for what is not a matter of load: which process answers, and when.
 *
 * @module
 */

const decoder = new TextDecoder();

/** A kept connection. Declare it with `using`. */
export class Asker implements Disposable {
  readonly #conn: Deno.Conn;
  readonly #request: Uint8Array;
  readonly #room = new Uint8Array(4096);

  private constructor(conn: Deno.Conn, port: number) {
    this.#conn = conn;
    this.#request = new TextEncoder().encode(`GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
  }

  /**
   * Connects.
   *
   * @param port To which port of 127.0.0.1.
   */
  static async connect(port: number): Promise<Asker> {
    return new Asker(await Deno.connect({ hostname: "127.0.0.1", port }), port);
  }

  /**
   * Asks which process answers.
   *
   * @returns Its id.
   * @throws {Error} When the connection ends before the answer.
   */
  async pid(): Promise<number> {
    await this.#conn.write(this.#request);
    let text = "";
    for (;;) {
      const count = await this.#conn.read(this.#room);
      if (count === null) throw new Error("Cannot read an answer: the connection has ended");
      text += decoder.decode(this.#room.subarray(0, count));
      // The body stands behind the header, or behind the length of a chunk.
      const [, pid] = /\r\nhello from (\d+)\n/.exec(text) ?? [];
      if (pid !== undefined) return Number(pid);
    }
  }

  [Symbol.dispose](): void {
    this.#conn.close();
  }
}

/**
 * Asks over a connection of its own which process answers.
 *
 * @param port The port of the server.
 * @param withinMs How long it may take.
 * @returns The process, or undefined when no answer came.
 */
export async function answeringPid(port: number, withinMs: number): Promise<number | undefined> {
  let asker: Asker | undefined, late = false;
  const timer = setTimeout(() => {
    late = true;
    asker?.[Symbol.dispose]();
  }, withinMs);
  try {
    asker = await Asker.connect(port);
    return await asker.pid();
  } catch {
    // Refused, reset, ended or too late: there is no answer.
    return undefined;
  } finally {
    clearTimeout(timer);
    if (!late) asker?.[Symbol.dispose]();
  }
}
