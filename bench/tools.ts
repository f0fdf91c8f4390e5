/**
 * The programs of others that the benchmarks need: the load client, which is built, and the peers,
 * which are taken from where they are installed or brought into a cache folder outside of the project. Nothing is
 * installed into the system.
 *
 * @module
 */
import { existsSync } from "@std/fs/exists";

const PM2_VERSION = "7.0.4";
/**
 * The variable with the directory of LIB-ZC's programs: `master`, its master; `http`, which answers `hello from PID`;
 * and `lines`, an aio server that sends each line back. Nothing here builds them.
 */
const LIBZC_VARIABLE = "BENCH_LIBZC";
const LIBZC_PROGRAMS = ["master", "http", "lines"] as const;
/** What is taken from Debian's packages. */
const DEBIAN = ["nginx", "wrk"] as const;

/** Where each program is; one that is missing has none. */
export interface Tools {
  /** The load client. */
  readonly client: string;
  readonly node?: string;
  /** The script of PM2's command line. */
  readonly pm2?: string;
  readonly nginx?: Tool;
  readonly wrk?: Tool;
  /** The directory of LIB-ZC's programs. */
  readonly libzc?: string;
  /** Why what is missing is missing. */
  readonly missing: readonly string[];
}

/** A program with what it needs in its environment. */
export interface Tool {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Runs a command to its end.
 *
 * @param argv The program and its arguments.
 * @param options See `Deno.CommandOptions`.
 * @returns Its output.
 * @throws {Error} With its error output, when it fails.
 */
export async function run(
  argv: readonly string[],
  options: Pick<Deno.CommandOptions, "cwd" | "env"> = {},
): Promise<string> {
  const [program, ...args] = argv as [string, ...string[]];
  const { success, stdout, stderr } = await new Deno.Command(program, { ...options, args })
    .output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`Cannot run "${argv.join(" ")}": ${decoder.decode(stderr).trim()}`);
  return decoder.decode(stdout);
}

/**
 * Finds a program in `PATH`.
 *
 * @param name Its name.
 */
function find(name: string): string | undefined {
  const folders = `${Deno.env.get("PATH")}:/usr/sbin:/sbin`.split(":");
  return folders.map((folder) => `${folder}/${name}`).find((path) => existsSync(path));
}

/**
 * Builds the client, and brings the peers.
 *
 * @param cache The folder to keep things in for the next time.
 * @param options Whether the peers are wanted.
 * @throws {Error} When the client can't be built: everything needs it.
 */
export async function prepareTools(
  cache: string,
  { peers }: { readonly peers: boolean },
): Promise<Tools> {
  await Deno.mkdir(cache, { recursive: true });
  const client = await buildClient(cache);
  if (!peers) return { client, missing: [] };
  const missing: string[] = [];
  const attempt = async <T>(name: string, bring: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await bring();
    } catch (error) {
      missing.push(`${name}: ${(error as Error).message.split("\n").at(-1)}`);
    }
  };
  const node = await attempt("Node", () => find("node") ?? fail("it is not installed"));
  const pm2 = node && await attempt("PM2", () => bringPm2(`${cache}/pm2-${PM2_VERSION}`));
  const debian = `${cache}/debian`;
  if (DEBIAN.some((name) => find(name) === undefined)) {
    await attempt("Debian packages", () => bringDebian(debian));
  }
  const nginx = await attempt("nginx", () => tool(debian, "nginx"));
  const wrk = await attempt("wrk", () => tool(debian, "wrk"));
  const libzc = await attempt("LIB-ZC", findLibzc);
  return { client, node, pm2, nginx, wrk, libzc, missing };
}

function findLibzc(): string {
  const directory = Deno.env.get(LIBZC_VARIABLE) ??
    fail(`no ${LIBZC_VARIABLE}, a directory with ${LIBZC_PROGRAMS.join(", ")}`);
  const absent = LIBZC_PROGRAMS.find((name) => !existsSync(`${directory}/${name}`));
  return absent === undefined ? directory : fail(`no "${absent}" in ${directory}`);
}

function fail(message: string): never {
  throw new Error(message);
}

async function buildClient(cache: string): Promise<string> {
  const source = new URL("client.c", import.meta.url).pathname;
  const client = `${cache}/client`;
  // Always anew: it takes less than a second, and can't be out of date.
  await run(["cc", "-O2", "-Wall", "-o", client, source]);
  return client;
}

async function bringPm2(folder: string): Promise<string> {
  const script = `${folder}/node_modules/pm2/bin/pm2`;
  if (!existsSync(script)) {
    await run([
      "npm",
      "install",
      "--prefix",
      folder,
      "--no-audit",
      "--no-fund",
      `pm2@${PM2_VERSION}`,
    ]);
  }
  return script;
}

/** Unpacks the packages, and those that they need, without installing them: nothing starts by itself. */
async function bringDebian(folder: string): Promise<void> {
  if (existsSync(`${folder}/usr`)) return;
  const archives = `${folder}/archives`;
  await Deno.mkdir(`${archives}/partial`, { recursive: true });
  if (Deno.uid() === 0) await run(["apt-get", "update", "-q"]);
  await run([
    ...[
      "apt-get",
      "install",
      "-q",
      "-y",
      "--download-only",
      "--no-install-recommends",
      "--reinstall",
    ],
    ...["-o", `Dir::Cache::archives=${archives}`, "-o", "Debug::NoLocking=1", ...DEBIAN],
  ]);
  for (const { name } of Deno.readDirSync(archives)) {
    if (name.endsWith(".deb")) await run(["dpkg-deb", "-x", `${archives}/${name}`, folder]);
  }
}

async function tool(folder: string, name: string): Promise<Tool> {
  const installed = find(name);
  if (installed !== undefined) return { path: installed, env: {} };
  const path = ["bin", "sbin"].map((bin) => `${folder}/usr/${bin}/${name}`)
    .find((path) => existsSync(path)) ?? fail("it is not installed, and could not be brought");
  const libraries = `${folder}/usr/lib/${Deno.build.arch}-linux-gnu`;
  const found = { path, env: { LD_LIBRARY_PATH: libraries } };
  const { stderr } = await new Deno.Command(path, { args: ["-v"], env: found.env }).output();
  const text = new TextDecoder().decode(stderr);
  return text.includes("shared libraries") ? fail(text.trim()) : found;
}

/**
 * The folder in which things are kept for the next time.
 *
 * @throws {Error} When there is no home folder.
 */
export function defaultCache(): string {
  const base = Deno.env.get("XDG_CACHE_HOME") ??
    `${Deno.env.get("HOME") ?? fail("no HOME")}/.cache`;
  return `${base}/zc_master_bench`;
}
