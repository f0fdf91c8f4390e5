/**
 * Random lives of many connections at once: whatever clients and callbacks do, each client gets back its own bytes in
 * their order, no callback comes at the wrong time or to the wrong `Aio`, and no descriptor stays open.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { type Aio, AioBase } from "../../../aio_server.ts";
import { aioServerGeneralAioRegister } from "../../../src/server/aio/service.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { FUZZ_SEED, pick, type Random, seededRandom } from "../../support/random.ts";
import { TempDir } from "../../support/temp.ts";
import { eventually, within } from "../../support/wait.ts";
import { connectTo, inetSocket, type ServiceSocket, unixSocket } from "../service_sockets.ts";
import { pattern } from "./aio_support.ts";

const WORLDS = 6, STEPS = 400, MOST_CLIENTS = 30;
/** More than a socket holds, so that writes have to wait. */
const LARGE = 400_000;

/** What clients send, each from another place on. */
const BYTES = pattern(8 * 1024 * 1024);

/** One connection. */
class Life {
  readonly sends: Uint8Array<ArrayBuffer>;
  readonly client: Deno.Conn;
  /** The server's end; undefined until it is accepted. */
  aio: Aio | undefined;
  sent = 0;
  got = 0;
  /** Whether all that was sent comes back: nobody has closed it early. */
  intact = true;
  ended = false;
  isPaused = false;
  /** The number of the operation that is pending, for the check of callbacks. */
  pending = 0;
  reading: Promise<void> | undefined;

  constructor(id: number, client: Deno.Conn) {
    this.sends = BYTES.subarray(id * 4_099);
    this.client = client;
  }

  /** Receives until the end, and compares. */
  async receive(): Promise<void> {
    const room = new Uint8Array(64 * 1024);
    for (;;) {
      await eventually(() => !this.isPaused, { what: "the end of a pause" });
      const count = await this.client.read(room).catch(() => null);
      if (count === null) return;
      const expected = this.sends.subarray(this.got, this.got + count);
      assert(
        expected.length === count && expected.every((byte, index) => byte === room[index]),
        `other bytes after ${this.got} than were sent`,
      );
      this.got += count;
    }
  }
}

/** A server and its clients. */
class World {
  readonly base: AioBase;
  readonly lives: Life[] = [];
  readonly errors: unknown[] = [];
  readonly #random: Random;
  readonly #socket: ServiceSocket;
  readonly #service: { close(): void };
  readonly #accepted: ((aio: Aio) => void)[] = [];
  #operations = 0;
  #isAsking = false;
  #nextId = 1;

  constructor(random: Random, socket: ServiceSocket) {
    this.#random = random;
    this.#socket = socket;
    this.base = new AioBase({ onError: (error) => this.errors.push(error) });
    const { fd, fdType } = socket;
    this.#service = aioServerGeneralAioRegister(
      this.base,
      fd,
      fdType,
      (aio) => this.#accepted.shift()!(aio),
    );
  }

  #chance(percent: number): boolean {
    return this.#random(100) < percent;
  }

  async connect(): Promise<void> {
    const accepted = new Promise<Aio>((resolve) => this.#accepted.push(resolve));
    const life = new Life(this.#nextId++, await connectTo(this.#socket));
    life.aio = await within(accepted, { what: "an accept" });
    this.lives.push(life);
    life.reading = life.receive();
    // A failure is told by the one who waits for it.
    life.reading.catch(() => {});
    this.#next(life);
  }

  /** Asks for something, and checks that the callback comes once, later, and while it is wanted. */
  #ask(life: Life, start: (callback: (aio: Aio) => void) => void, then: (result: number) => void) {
    const operation = life.pending = ++this.#operations;
    this.#isAsking = true;
    start((aio) => {
      assert(!this.#isAsking, "called back inside of the call");
      assertEquals(life.pending, operation, "called back for what is not pending");
      assert(aio === life.aio, "called back with another Aio");
      life.pending = 0;
      if (aio.result < 0 && aio.error === undefined) throw new Error("failed without an error");
      then(aio.result);
    });
    this.#isAsking = false;
  }

  #next(life: Life): void {
    const aio = life.aio!;
    aio.setReadWaitTimeout(this.#chance(10) ? 0.001 : -1);
    aio.setWriteWaitTimeout(this.#chance(10) ? 0.001 : -1);
    if (this.#chance(10)) {
      this.#ask(life, (callback) => aio.gets(1000, callback), () => {});
      aio.disable();
    }
    if (this.#chance(5)) {
      const seconds = this.#random(2) / 1000;
      return this.#ask(life, (callback) => aio.sleep(callback, seconds), () => this.#next(life));
    }
    const starts: ((callback: (aio: Aio) => void) => void)[] = [
      (callback) => aio.gets(1 + this.#random(3000), callback),
      (callback) => aio.readDelimiter(this.#random(256), 1 + this.#random(3000), callback),
      (callback) => aio.read(1 + this.#random(200_000), callback),
      (callback) => aio.read(1 + this.#random(200_000), callback),
      (callback) => aio.readn(1 + this.#random(300), callback),
      (callback) => aio.readable(callback),
    ];
    this.#ask(life, pick(this.#random, starts), (result) => this.#afterRead(life, result));
  }

  #afterRead(life: Life, result: number): void {
    const aio = life.aio!;
    const ended = result === 0 || (result < 0 && !(aio.error instanceof Deno.errors.TimedOut) &&
      !(aio.error instanceof RangeError));
    // What is there is echoed, whatever the operation says of it.
    const length = aio.readCacheSize;
    if (length > 0) this.#echo(aio, this.#chance(50) ? length : 1 + this.#random(length));
    if (this.#chance(2)) return this.#give(life);
    if (this.#chance(2)) this.closeEarly(pick(this.#random, [life, ...this.lives]));
    if (life.aio === undefined) return;
    if (ended && aio.readCacheSize === 0) return this.#flush(life, () => this.#close(life));
    if (this.#chance(70)) return this.#flush(life, () => this.#next(life));
    this.#next(life);
  }

  #echo(aio: Aio, length: number): void {
    switch (this.#random(4)) {
      case 0:
        return aio.cacheWrite(aio.getReadCache(length));
      case 1:
        return aio.cacheWriteDirect(aio.getReadCache(length));
      case 2:
        // Not direct in both ways, since the next read may come before the flush.
        return aio.cacheWrite(aio.getReadCacheDirect(length));
      default:
        for (const byte of aio.getReadCache(Math.min(length, 100))) {
          aio.cacheWrite(new Uint8Array([byte]));
        }
    }
  }

  #flush(life: Life, then: () => void): void {
    const aio = life.aio!;
    this.#ask(life, (callback) => aio.cacheFlush(callback), (result) => {
      if (result === 1) return then();
      if (result === -2) return this.#flush(life, then);
      this.#close(life);
    });
  }

  #close(life: Life): void {
    life.pending = -1;
    life.aio?.close();
    life.aio?.close();
    life.aio = undefined;
    life.ended = true;
  }

  /** Closes the server's end of a connection, in whatever state it is. */
  closeEarly(life: Life): void {
    if (life.aio === undefined) return;
    life.intact = false;
    this.#close(life);
  }

  /** Lets a connection go, and goes on with it by promises. */
  #give(life: Life): void {
    const aio = life.aio!;
    if (aio.readCacheSize > 0 || aio.writeCacheSize > 0) {
      return this.#flush(life, () => this.#next(life));
    }
    let conn: Deno.Conn;
    try {
      conn = aio.release() as Deno.Conn;
    } catch (error) {
      assert(error instanceof Deno.errors.Busy, `${error}`);
      return this.#next(life);
    }
    life.pending = -1;
    life.aio = undefined;
    conn.readable.pipeTo(conn.writable).catch(() => life.intact = false)
      .finally(() => life.ended = true);
  }

  async step(): Promise<void> {
    const life = this.lives.length > 0 ? pick(this.#random, this.lives) : undefined;
    const action = this.#random(100);
    if (life === undefined || (action < 12 && this.lives.length < MOST_CLIENTS)) {
      await this.connect();
    } else if (action < 60) {
      await this.#send(life);
    } else if (action < 68) {
      life.isPaused = !life.isPaused;
    } else if (action < 72) {
      this.closeEarly(life);
    } else if (action < 78) {
      life.intact = false;
      // With bytes that were not read this is a reset.
      await this.end(life, () => life.client.close());
    } else if (action < 84) {
      await this.end(life, () => life.client.closeWrite());
    } else {
      await new Promise((resolve) => setTimeout(resolve, this.#random(3)));
    }
  }

  async #send(life: Life): Promise<void> {
    const length = this.#chance(8) ? LARGE : this.#chance(40) ? 3000 : 100;
    const bytes = life.sends.subarray(life.sent, life.sent + this.#random(length));
    if (bytes.length === 0) return;
    const written = life.client.write(bytes).then((count) => life.sent += count);
    // A peer that does not read holds it up: it must read on then.
    life.isPaused = false;
    await written.catch(() => life.intact = false);
  }

  /** Ends the client's side of a connection, and checks what it has received. */
  async end(life: Life, close: () => void | Promise<void>): Promise<void> {
    this.lives.splice(this.lives.indexOf(life), 1);
    life.isPaused = false;
    try {
      await close();
    } catch {
      life.intact = false;
    }
    await within(life.reading!, { what: "the end of a connection" });
    if (life.intact) assertEquals(life.got, life.sent, "all that was sent");
    await eventually(() => life.ended || this.errors.length > 0, { what: "the end at the server" });
    try {
      life.client.close();
    } catch {
      // It is closed already.
    }
  }

  async finish(): Promise<void> {
    while (this.lives.length > 0) {
      const life = this.lives[0]!;
      await this.end(life, () => life.client.closeWrite());
    }
    this.#service.close();
    assertEquals([this.base.connectionCount, this.errors], [0, []]);
  }
}

async function live(seed: number, socket: ServiceSocket): Promise<void> {
  const world = new World(seededRandom(seed), socket);
  try {
    for (let step = 0; step < STEPS; step++) await world.step();
    await world.finish();
  } catch (cause) {
    throw new Error(`seed ${seed} (ZC_FUZZ_SEED): ${(cause as Error).message}; ${world.errors}`, {
      cause,
    });
  }
}

for (const kind of ["inet", "unix"] as const) {
  Deno.test(`Aio on descriptors (${kind}) echoes to each client its own bytes, whatever happens`, async () => {
    using dir = new TempDir();
    const open = (name: string) => kind === "inet" ? inetSocket() : unixSocket(dir.file(name));
    await live(FUZZ_SEED, open("first"));
    await leavesNothingOpen(async () => {
      for (let world = 1; world < WORLDS; world++) await live(FUZZ_SEED + world, open(`${world}`));
    });
  });
}
