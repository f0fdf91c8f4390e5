/**
 * The way of log records from an old master to the new one: in parts, when no other message waits. Of too many
 * records the oldest are dropped.
 *
 * @module
 */
import { counted } from "../../config/errors.ts";
import type { KeptRecord } from "../../log/record.ts";
import type { Clock, Timer } from "../../os/clock/clock.ts";
import { sizeOf } from "./recent_lines.ts";

/** The most text of one message: in JSON six times as much at most, with what is escaped. */
const MESSAGE_MAX = 98_304;
/** The most text that waits. */
const WAITING_MAX = 4 << 20;
/** How long it waits while the other master does not read. */
const RETRY_MS = 20;

/** Passes records on. */
export class RecordForwarding {
  readonly #clock: Clock;
  readonly #send: (records: readonly KeptRecord[]) => boolean;
  #waiting: KeptRecord[] = [];
  #size = 0;
  #dropped = 0;
  #timer?: Timer;

  /**
   * @param clock The source of time.
   * @param send Sends records; returns false if they have to wait.
   */
  constructor(clock: Clock, send: (records: readonly KeptRecord[]) => boolean) {
    this.#clock = clock;
    this.#send = send;
  }

  /** Passes a record on with those of this turn of the event loop. */
  add(record: KeptRecord): void {
    this.#waiting.push(record);
    this.#size += sizeOf(record);
    while (this.#size > WAITING_MAX && this.#waiting.length > 1) {
      this.#size -= sizeOf(this.#waiting.shift()!);
      this.#dropped++;
    }
    this.#timer ??= this.#clock.setTimer(0, () => this.#sendAll());
  }

  #sendAll(): void {
    this.#timer = undefined;
    while (this.#waiting.length > 0) {
      const records = this.#nextRecords();
      if (!this.#send([...this.#notice(), ...records])) {
        this.#timer = this.#clock.setTimer(RETRY_MS, () => this.#sendAll());
        return;
      }
      this.#waiting.splice(0, records.length);
      for (const record of records) this.#size -= sizeOf(record);
      this.#dropped = 0;
    }
  }

  /** As many records as a message may have. */
  #nextRecords(): KeptRecord[] {
    const records: KeptRecord[] = [];
    let size = 0;
    for (const record of this.#waiting) {
      size += sizeOf(record);
      if (size > MESSAGE_MAX && records.length > 0) break;
      records.push(record);
    }
    return records;
  }

  /** A line about the records that were dropped, if there are any. */
  #notice(): KeptRecord[] {
    if (this.#dropped === 0) return [];
    const { timeMs } = this.#waiting[0];
    const text = `${counted(this.#dropped, "line")} dropped on the way to the new master`;
    const source = { ident: "master", pid: Deno.pid };
    return [{ timeMs, level: "warn", ...source, text, key: `${Deno.pid}-dropped-${timeMs}` }];
  }
}
