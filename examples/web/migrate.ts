/**
 * Brings the schema of the database to this version: `deno run -A examples/web/migrate.ts [FILE]`, with the file
 * that has `web-database`. Run it before a reload of a version that needs another schema.
 *
 * @module
 */
import { Config } from "@zc/master/master";
import { DatabaseError, migrate } from "./database.ts";

/**
 * Migrates the database that a file names, and says so; ends the program if the database can't be used.
 *
 * @param path The file.
 */
export async function migrateFor(path: string): Promise<void> {
  try {
    const steps = await migrate(new Config().loadFile(path).getStr("web-database"));
    console.log(`Schema of the board: ${steps === 0 ? "up to date" : `${steps} steps more`}`);
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    console.error(error.message);
    Deno.exit(error.exitCode);
  }
}

if (import.meta.main) await migrateFor(Deno.args[0] ?? "examples/web/conf/web.cf");
