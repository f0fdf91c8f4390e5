/**
 * The last lines of each service, for operators who ask for them.
 *
 * Pure: records in, records out.
 *
 * @module
 */
import type { LogRecord } from "../../log/record.ts";

/** The most records of a service, and their size; the oldest go first. */
export const RECENT_MAX = 1_000, RECENT_BYTES_MAX = 262_144;

/** The most services; the one whose last record is oldest goes first. */
export const SERVICES_MAX = 256;

/** The most text of an answer. */
const ANSWER_BYTES_MAX = 1 << 20;

/** What a record takes beside its text. */
const RECORD_BYTES = 100;

/** The records of one service. */
interface Recent {
  readonly records: LogRecord[];
  /** The index of the oldest one; those before it are removed from time to time. */
  first: number;
  bytes: number;
}

/** Keeps the last records of each service. */
export class RecentLines {
  readonly #services = new Map<string, Recent>();

  /**
   * Adds a record.
   *
   * @param id The service.
   * @param record The record.
   */
  add(id: string, record: LogRecord): void {
    const recent = this.#services.get(id) ?? { records: [], first: 0, bytes: 0 };
    // The services stay in the order of their last records.
    this.#services.delete(id);
    this.#services.set(id, recent);
    if (this.#services.size > SERVICES_MAX) {
      this.#services.delete(this.#services.keys().next().value!);
    }
    const { records } = recent;
    records.push(record);
    recent.bytes += sizeOf(record);
    while (
      records.length - recent.first > RECENT_MAX ||
      recent.bytes > RECENT_BYTES_MAX && records.length - recent.first > 1
    ) recent.bytes -= sizeOf(records[recent.first++]);
    if (recent.first < RECENT_MAX) return;
    records.splice(0, recent.first);
    recent.first = 0;
  }

  /**
   * The last records, in the order of their times: a megabyte of text at most.
   *
   * @param count The most records.
   * @param id Only those of this service.
   */
  last(count: number, id?: string): LogRecord[] {
    const services = id === undefined ? [...this.#services.keys()] : [id];
    const all = services.flatMap((one) => this.#of(one))
      // Records of one time stay in their order.
      .sort((a, b) => a.timeMs - b.timeMs);
    let first = all.length, bytes = 0;
    while (first > 0 && all.length - first < count) {
      bytes += sizeOf(all[first - 1]);
      if (bytes > ANSWER_BYTES_MAX) break;
      first--;
    }
    return all.slice(first);
  }

  #of(id: string): LogRecord[] {
    const recent = this.#services.get(id);
    return recent === undefined ? [] : recent.records.slice(recent.first);
  }
}

/** The size of a record, as far as it counts. */
export function sizeOf({ text }: LogRecord): number {
  return text.length + RECORD_BYTES;
}
