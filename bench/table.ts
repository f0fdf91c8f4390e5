/**
 * What a measure comes to: a table of samples, a row for each contender and scale.
 *
 * @module
 */

/** Which row: whose figures, and with how much of it. */
export interface RowKey {
  /** The contender, or a process of it. */
  readonly who: string;
  /** Such as `2 processes`. */
  readonly scale: string;
  /** The commit whose program it is; undefined: that of this checkout, or of others. */
  readonly commit?: string;
}

/** The samples of one row: column → a sample for each round. */
export interface Row extends RowKey {
  readonly samples: ReadonlyMap<string, number[]>;
}

/** The result of one measure. */
export class Table {
  /** The rows in the order of their first samples. */
  readonly rows: Row[] = [];
  /** What a reader must know beside the figures. */
  readonly notes: string[] = [];

  /**
   * @param id By which it is chosen and found.
   * @param title Its heading.
   * @param how What was measured, in a few sentences.
   */
  constructor(readonly id: string, readonly title: string, readonly how: string) {}

  /**
   * Adds a sample of each of these figures to a row.
   *
   * @param key Which row.
   * @param figures Column → sample.
   */
  add(key: RowKey, figures: Readonly<Record<string, number>>): void {
    const samples = (this.find(key) ?? this.#append(key)).samples as Map<string, number[]>;
    for (const [column, value] of Object.entries(figures)) {
      samples.get(column)?.push(value) ?? samples.set(column, [value]);
    }
  }

  /**
   * Adds a note, once.
   *
   * @param text What it says.
   */
  note(text: string): void {
    if (!this.notes.includes(text)) this.notes.push(text);
  }

  /**
   * Adds a note on what could not be measured.
   *
   * @param key Whose figures.
   * @param error Why.
   */
  noteError(key: RowKey, error: unknown): void {
    this.note(`${rowText(key)}: ${(error as Error).message.split("\n")[0]}`);
  }

  /**
   * Finds a row.
   *
   * @param key Which one.
   */
  find({ who, scale, commit }: RowKey): Row | undefined {
    return this.rows.find((row) => row.who === who && row.scale === scale && row.commit === commit);
  }

  /** The names of all columns, in the order of their first samples. */
  columns(): string[] {
    return [...new Set(this.rows.flatMap(({ samples }) => [...samples.keys()]))];
  }

  #append(key: RowKey): Row {
    const row = { ...key, samples: new Map() };
    this.rows.push(row);
    return row;
  }
}

/**
 * A row in words, for notes.
 *
 * @param key Which one.
 */
export function rowText({ who, scale, commit }: RowKey): string {
  return commit === undefined ? `${who}, ${scale}` : `${who}, ${scale}, at ${commit}`;
}

/**
 * The words for a number of processes.
 *
 * @param count How many.
 */
export function processes(count: number): string {
  return count === 1 ? "1 process" : `${count} processes`;
}
