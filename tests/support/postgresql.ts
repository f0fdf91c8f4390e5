/**
 * A PostgreSQL server of its own, for one test: on a unix socket in a directory, without a port, and without a wait for
 * the disk.
 *
 * @module
 */
import { postgresqlPrograms } from "../../tools/test_programs.ts";
import { TestProcess } from "./processes.ts";
import { TempDir } from "./temp.ts";

/** The password of its one user. */
const PASSWORD = "wide open";

/** PostgreSQL refuses to run as root. */
const USER = "nobody", GROUP = "nogroup";

/** How long a cluster may take to be made, on a busy machine. */
const INIT_MS = 120_000;

/** What costs time and saves nothing that a test has. */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: "",
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  shared_buffers: "16MB",
  max_connections: "40",
};

function asOrdinaryUser(): string[] {
  if (Deno.uid() !== 0) return [];
  return ["setpriv", `--reuid=${USER}`, `--regid=${GROUP}`, "--clear-groups", "--"];
}

/** A server with an empty database. Declare it with `await using`. */
export class PostgreSql implements AsyncDisposable {
  readonly #dir = new TempDir();
  readonly #programs: string;
  #process: TestProcess | undefined;

  private constructor(programs: string) {
    this.#programs = programs;
  }

  /**
   * Starts one.
   *
   * @returns It, or undefined where PostgreSQL is not installed.
   */
  static async start(): Promise<PostgreSql | undefined> {
    const programs = postgresqlPrograms();
    if (programs === undefined) return undefined;
    const server = new PostgreSql(programs);
    try {
      await server.#make();
      await server.start();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The variable with the password, for clients: it is not in the URL. */
  readonly env: Readonly<Record<string, string>> = { PGPASSWORD: PASSWORD };

  /** Where a client of the driver connects. */
  get url(): string {
    return `postgres://board@localhost/postgres?host=${this.#dir.path}`;
  }

  async #make(): Promise<void> {
    if (Deno.uid() === 0) await this.#run(["chown", `${USER}:${GROUP}`, this.#dir.path]);
    const passwordFile = this.#dir.write("password", PASSWORD);
    await this.#run([
      ...asOrdinaryUser(),
      ...[`${this.#programs}/initdb`, "-D", this.#dir.file("data"), "-U", "board"],
      ...[
        "-A",
        "scram-sha-256",
        `--pwfile=${passwordFile}`,
        "-E",
        "UTF8",
        "--no-locale",
        "--no-sync",
        "--no-instructions",
      ],
    ]);
  }

  async #run(argv: readonly string[]): Promise<void> {
    await using process = new TestProcess(argv);
    await process.succeeds(INIT_MS);
  }

  /** Starts it again, on what it has stored. */
  async start(): Promise<void> {
    const settings = Object.entries(SETTINGS).flatMap((
      [name, value],
    ) => ["-c", `${name}=${value}`]);
    this.#process = new TestProcess([
      ...asOrdinaryUser(),
      ...[`${this.#programs}/postgres`, "-D", this.#dir.file("data")],
      ...["-k", this.#dir.path, ...settings],
    ]);
    await this.#process.complains(/ready to accept connections/);
  }

  /** Ends it at once, with all connections. */
  async stop(): Promise<void> {
    this.#process?.signal("SIGINT");
    await this.#process?.ended();
    this.#process = undefined;
  }

  /**
   * Asks it.
   *
   * @param sql A query.
   * @returns The rows, without any layout.
   */
  async query(sql: string): Promise<string> {
    await using psql = new TestProcess([
      ...[`${this.#programs}/psql`, "-h", this.#dir.path, "-U", "board", "-d", "postgres"],
      ...["-X", "-A", "-t", "-c", sql],
    ], { env: this.env });
    return (await psql.succeeds()).trim();
  }

  /** Ends it, and removes all that it has stored. */
  async [Symbol.asyncDispose](): Promise<void> {
    // By a signal of its own, since its processes share memory.
    await this.stop().catch(() => {});
    await this.#process?.[Symbol.asyncDispose]();
    this.#dir[Symbol.dispose]();
  }
}
