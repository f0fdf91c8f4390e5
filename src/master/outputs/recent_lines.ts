/**
 * The last lines of each service, for operators who ask for them.
 *
 * Pure: records in, records out.
 *
 * @module
 */
import type { KeptRecord } from "../../log/record.ts";

/** The most records of a service, and the characters of their texts; the oldest go first. */
export const RECENT_MAX = 1_000, RECENT_SIZE_MAX = 262_144;

/** The most services; the one whose last record is oldest goes first. */
export const SERVICES_MAX = 64;

/** The most characters of an answer. */
const ANSWER_SIZE_MAX = 1 << 20;

/** What a record counts beside its text. */
const RECORD_SIZE = 100;

/** The records of one service. */
interface Recent {
  readonly records: KeptRecord[];
  /** The index of the oldest one; those before it are removed from time to time. */
  first: number;
  size: number;
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
  add(id: string, record: KeptRecord): void {
    const recent = this.#services.get(id) ?? { records: [], first: 0, size: 0 };
    // The services stay in the order of their last records.
    this.#services.delete(id);
    this.#services.set(id, recent);
    if (this.#services.size > SERVICES_MAX) {
      this.#services.delete(this.#services.keys().next().value!);
    }
    const { records } = recent;
    insert(recent, record);
    recent.size += sizeOf(record);
    while (
      records.length - recent.first > RECENT_MAX ||
      recent.size > RECENT_SIZE_MAX && records.length - recent.first > 1
    ) recent.size -= sizeOf(records[recent.first++]);
    if (recent.first < RECENT_MAX) return;
    records.splice(0, recent.first);
    recent.first = 0;
  }

  /**
   * The last records, in the order of their times: a million characters at most.
   *
   * @param count The most records.
   * @param id Only those of this service.
   */
  last(count: number, id?: string): KeptRecord[] {
    const services = id === undefined ? [...this.#services.keys()] : [id];
    const all = services.flatMap((one) => this.#of(one))
      // Records of one time stay in their order.
      .sort((a, b) => a.timeMs - b.timeMs);
    let first = all.length, size = 0;
    while (first > 0 && all.length - first < count) {
      size += sizeOf(all[first - 1]);
      if (size > ANSWER_SIZE_MAX) break;
      first--;
    }
    return all.slice(first);
  }

  /** Whether records of a service are kept. */
  has(id: string): boolean {
    return this.#services.has(id);
  }

  #of(id: string): KeptRecord[] {
    const recent = this.#services.get(id);
    return recent === undefined ? [] : recent.records.slice(recent.first);
  }
}

/** Adds a record in the order of times: another master may send older ones. */
function insert({ records, first }: Recent, record: KeptRecord): void {
  let at = records.length;
  while (at > first && records[at - 1].timeMs > record.timeMs) at--;
  if (at === records.length) records.push(record);
  else records.splice(at, 0, record);
}

/** The size of a record, as far as it counts. */
export function sizeOf({ text }: Pick<KeptRecord, "text">): number {
  return text.length + RECORD_SIZE;
}
