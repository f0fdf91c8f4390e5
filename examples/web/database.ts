/**
 * The messages of the board in PostgreSQL, and the steps that made its tables.
 *
 * @module
 */
import postgres from "postgres";
import type { Attachment, Draft } from "./draft.ts";

/** A message, as everybody sees it. */
export interface Message {
  /** Grows in the order in which messages are committed. */
  readonly id: number;
  readonly author: string;
  readonly text: string;
  /** The time as ISO 8601. */
  readonly at: string;
  /** The name of the file that belongs to it. */
  readonly fileName: string | null;
}

/** Exit codes of sysexits.h: the master starts a program again after the first one, and not after the second. */
const EX_UNAVAILABLE = 69, EX_CONFIG = 78;

/** What PostgreSQL and the resolver say when another try can't help: a password, a database, a host, a schema. */
const LASTING = new Set(["28P01", "28000", "3D000", "42501", "ENOTFOUND"]);

/** How long an answer of the database may take before it counts as out of reach, in seconds. */
const CONNECT_SECONDS = 5;

/** The pause before a lost connection is opened again, in seconds. */
const RETRY_SECONDS = 1;

/** How long the last queries may take when a pool is closed, in seconds. */
const CLOSE_SECONDS = 5;

const CHANNEL = "message";

/** Each step is run once, and never changed: processes of the version before it still run while it does. */
const STEPS: readonly string[] = [
  `create table message (
    id integer generated always as identity primary key,
    key uuid not null unique,
    author text not null,
    text text not null,
    at timestamptz not null default now()
  )`,
  `alter table message add column file_name text, add column file_type text, add column file bytea`,
];

/** The database can't be used. Its message is for the operator, and has no password. */
export class DatabaseError extends Error {
  /** The exit code of a program that ends for it. */
  readonly exitCode: number;

  constructor(message: string, { exitCode, cause }: { exitCode: number; cause?: unknown }) {
    super(message, { cause });
    this.exitCode = exitCode;
  }
}

/** The messages, over a few connections. */
export class Database {
  readonly #sql: postgres.Sql;

  private constructor(sql: postgres.Sql) {
    this.#sql = sql;
  }

  /**
   * Opens the database, which has to be there, with the schema of this version.
   *
   * @param url Where it is.
   * @param connections The most connections, besides the one that listens.
   * @throws {DatabaseError} When it can't be used.
   */
  static async open(url: string, connections: number): Promise<Database> {
    return await withPool(url, connections, async (sql) => {
      const version = await versionOf(sql);
      if (version >= STEPS.length) return new Database(sql);
      throw new DatabaseError(
        `Cannot use the database of web-database: its schema is at step ${version}, expected ` +
          `${STEPS.length}; run "deno run -A examples/web/migrate.ts" first`,
        { exitCode: EX_CONFIG },
      );
    });
  }

  /** The newest messages, the oldest of them first. */
  async newest(count: number): Promise<Message[]> {
    const sql = this.#sql;
    const found = await sql<Message[]>`
      select ${this.#columns} from message order by id desc limit ${count}`;
    return found.toReversed();
  }

  /** The messages after one of them, in their order. */
  async after(id: number, count: number): Promise<Message[]> {
    return await this.#sql<Message[]>`
      select ${this.#columns} from message where id > ${id} order by id limit ${count}`;
  }

  /**
   * Posts a message, or finds it, if a message with this key was posted before.
   *
   * @returns Its id.
   */
  async post({ key, author, text, file }: Draft): Promise<number> {
    return await this.#sql.begin(async (sql) => {
      // Ids grow in the order of commits then: who has seen 7 can't miss a 6 that comes later.
      await sql`lock table message in share row exclusive mode`;
      const [posted] = await sql<{ id: number }[]>`
        insert into message (key, author, text, file_name, file_type, file)
        values (${key}, ${author}, ${text}, ${file?.name ?? null}, ${file?.type ?? null}, ${
        file?.bytes ?? null
      })
        on conflict (key) do nothing returning id`;
      if (posted === undefined) {
        const [before] = await sql<{ id: number }[]>`select id from message where key = ${key}`;
        return before.id;
      }
      // Sent to all processes at the commit. The driver's own notify() would take another connection.
      await sql`select pg_notify(${CHANNEL}, ${String(posted.id)})`;
      return posted.id;
    });
  }

  /** The file of a message. */
  async file(id: number): Promise<Attachment | undefined> {
    const [found] = await this.#sql<Attachment[]>`
      select file_name as name, file_type as type, file as bytes
      from message where id = ${id} and file is not null`;
    return found;
  }

  /** Fails if the database does not answer. */
  async ping(): Promise<void> {
    await this.#sql`select 1`;
  }

  /**
   * Calls back when another message is there, whoever has posted it, and also when the connection that listens is
   * back: what was posted meanwhile has been missed.
   */
  async listen(onNews: () => void): Promise<void> {
    await this.#sql.listen(CHANNEL, onNews, onNews);
  }

  /** Ends all connections when their queries have ended. */
  async close(): Promise<void> {
    await this.#sql.end({ timeout: CLOSE_SECONDS });
  }

  get #columns() {
    return this.#sql`id, author, text, to_json(at)#>>'{}' as at, file_name as "fileName"`;
  }
}

/**
 * Brings the schema to this version. It may run beside processes of this version or of the one before.
 *
 * @param url Where the database is.
 * @returns How many steps were run.
 * @throws {DatabaseError} When it can't be used.
 */
export async function migrate(url: string): Promise<number> {
  return await withPool(url, 1, async (sql) => {
    const done = await sql.begin(async (sql) => {
      // One at a time.
      await sql`select pg_advisory_xact_lock(hashtext('board schema'))`;
      const version = await versionOf(sql);
      if (version === 0) await sql`create table if not exists board_schema (version integer)`;
      for (const step of STEPS.slice(version)) await sql.unsafe(step);
      await sql`delete from board_schema`;
      await sql`insert into board_schema values (${Math.max(version, STEPS.length)})`;
      return Math.max(0, STEPS.length - version);
    });
    await sql.end();
    return done;
  });
}

/** How many steps the database has; 0 if it is empty. */
async function versionOf(sql: postgres.ISql): Promise<number> {
  const [{ isThere }] = await sql`select to_regclass('board_schema') is not null as "isThere"`;
  if (!isThere) return 0;
  const [{ version }] = await sql`select coalesce(max(version), 0) as version from board_schema`;
  return version;
}

function connect(url: string, max: number): postgres.Sql {
  if (!URL.canParse(url)) {
    throw new DatabaseError(
      "Cannot use the database of web-database: it is no URL, expected " +
        "postgres://user:password@host/database",
      { exitCode: EX_CONFIG },
    );
  }
  const where = new URL(url), host = where.searchParams.get("host");
  // The directory of a unix socket, as psql takes it: postgres://board@localhost/board?host=/var/run/postgresql
  where.searchParams.delete("host");
  return postgres(where.href, {
    ...(host !== null && { host }),
    max,
    connect_timeout: CONNECT_SECONDS,
    backoff: () => RETRY_SECONDS,
    onnotice: () => {},
  });
}

/** Opens a pool and calls `use` with it; the pool is closed only if that fails. */
async function withPool<T>(
  url: string,
  max: number,
  use: (sql: postgres.Sql) => Promise<T>,
): Promise<T> {
  let sql: postgres.Sql | undefined;
  try {
    sql = connect(url, max);
    return await use(sql);
  } catch (error) {
    await sql?.end({ timeout: 0 });
    throw error instanceof DatabaseError ? error : asDatabaseError(error as Error);
  }
}

/** What the operator can do about an error of the driver. */
function asDatabaseError(cause: Error & { readonly code?: string }): DatabaseError {
  const { code = "", message } = cause;
  const isLasting = LASTING.has(code) || code.startsWith("42");
  const advice = isLasting
    ? "correct web-database, and reload"
    : "start PostgreSQL, or correct web-database";
  return new DatabaseError(
    `Cannot use the database of web-database: ${
      message || code
    }; ${advice} (examples/web/README.md)`,
    { exitCode: isLasting ? EX_CONFIG : EX_UNAVAILABLE, cause },
  );
}
