/**
 * The last lines of each service, for operators who ask for them.
 *
 * Pure: records in, records out.
 *
 * @module
 */
import { isAbout, type KeptRecord } from "../../log/record.ts";

/** The most records of a service, and the characters of their texts; the oldest go first. */
export const RECENT_MAX = 1_000, RECENT_SIZE_MAX = 262_144;

/** The most services; the one whose last record is oldest goes first. */
export const SERVICES_MAX = 64;

/** The most characters of an answer. */
const ANSWER_SIZE_MAX = 1 << 20;

/** What a record counts beside its text. */
const RECORD_SIZE = 100;

/** A record in its place among all others. */
interface Placed {
  readonly record: KeptRecord;
  /** Its time, or that of an earlier record of its master, if the time of day was set back since. */
  readonly atMs: number;
  /** The order of arrival, which decides between equal times. */
  readonly serial: number;
}

/** The records of one service. */
interface Recent {
  readonly placed: Placed[];
  /** The index of the oldest one; those before it are removed from time to time. */
  first: number;
  size: number;
}

/** Keeps the last records of each service. */
export class RecentLines {
  readonly #services = new Map<string, Recent>();
  /** The place of the last record of this master, and of the old one. */
  readonly #lastMs = { own: -Infinity, old: -Infinity };
  #count = 0;

  /**
   * Adds a record. Each master makes its records in their order; those of the old one may come late.
   *
   * @param id The service.
   * @param record The record.
   * @param options `isOfOldMaster`: whether this master has replaced the one that has made it.
   */
  add(
    id: string,
    record: KeptRecord,
    { isOfOldMaster = false }: { readonly isOfOldMaster?: boolean } = {},
  ): void {
    const recent = this.#services.get(id) ?? { placed: [], first: 0, size: 0 };
    const maker = isOfOldMaster ? "old" : "own";
    const atMs = this.#lastMs[maker] = Math.max(this.#lastMs[maker], record.timeMs);
    // The services stay in the order of their last records.
    this.#services.delete(id);
    this.#services.set(id, recent);
    if (this.#services.size > SERVICES_MAX) {
      this.#services.delete(this.#services.keys().next().value!);
    }
    const { placed } = recent;
    insert(recent, { record, atMs, serial: this.#count++ });
    recent.size += sizeOf(record);
    while (
      placed.length - recent.first > RECENT_MAX ||
      recent.size > RECENT_SIZE_MAX && placed.length - recent.first > 1
    ) recent.size -= sizeOf(placed[recent.first++].record);
    if (recent.first < RECENT_MAX) return;
    placed.splice(0, recent.first);
    recent.first = 0;
  }

  /**
   * The last records, in the order of their times: a million characters at most.
   *
   * @param count The most records.
   * @param id Only those of this service, and those of the master about it.
   */
  last(count: number, id?: string): KeptRecord[] {
    const all = [...this.#services.keys()].flatMap((one) => this.#of(one))
      .filter(({ record }) => id === undefined || isAbout(record, id))
      .sort(order).map(({ record }) => record);
    let first = all.length, size = 0;
    while (first > 0 && all.length - first < count) {
      size += sizeOf(all[first - 1]);
      if (size > ANSWER_SIZE_MAX) break;
      first--;
    }
    return all.slice(first);
  }

  #of(id: string): Placed[] {
    const { placed, first } = this.#services.get(id)!;
    return placed.slice(first);
  }
}

/** Adds a record in its place: the old master may send older ones. */
function insert({ placed, first }: Recent, one: Placed): void {
  let at = placed.length;
  while (at > first && order(placed[at - 1], one) > 0) at--;
  if (at === placed.length) placed.push(one);
  else placed.splice(at, 0, one);
}

function order(a: Placed, b: Placed): number {
  return a.atMs - b.atMs || a.serial - b.serial;
}

/** The size of a record, as far as it counts. */
export function sizeOf({ text }: Pick<KeptRecord, "text">): number {
  return text.length + RECORD_SIZE;
}
