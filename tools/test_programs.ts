/**
 * The programs beside Deno and Node that tests start: which tests need them, and how to get them.
 *
 * @module
 */
import { existsSync } from "@std/fs/exists";

/** A program, and what is left out of the tests without it. */
interface Program {
  /** The packages of Debian that have it. */
  readonly packages: string;
  /** Whether its tests find out by themselves that it is missing, and try the rest. */
  readonly isOptional?: boolean;
}

/** All of them, by name. */
export const PROGRAMS: Readonly<Record<string, Program>> = {
  "gcc": { packages: "gcc libc6-dev" },
  "python3": { packages: "python3" },
  "openssl": { packages: "openssl" },
  "lighttpd": { packages: "lighttpd", isOptional: true },
  "tini": { packages: "tini", isOptional: true },
  "dumb-init": { packages: "dumb-init", isOptional: true },
  "prometheus": { packages: "prometheus" },
  "chromium": { packages: "chromium" },
  "systemd-analyze": { packages: "systemd", isOptional: true },
  "logrotate": { packages: "logrotate" },
  "curl": { packages: "curl", isOptional: true },
  "fetchmail": { packages: "fetchmail", isOptional: true },
  "swaks": { packages: "swaks libnet-ssleay-perl", isOptional: true },
  "initdb": { packages: "postgresql", isOptional: true },
};

const IMPORT = /^(?:import|export|\}).* from "(\.{1,2}\/[^"]+\.ts)";$/gm;

/**
 * The programs that a test file, or a file of tests that it imports, starts.
 *
 * @param file The absolute path.
 * @returns Their names.
 */
export function programsOf(file: string): Set<string> {
  const files = new Set([file]), found = new Set<string>();
  for (const path of files) {
    const text = Deno.readTextFileSync(path);
    for (const name of Object.keys(PROGRAMS)) {
      if (new RegExp(`["\`/]${name}["\` ]`).test(text)) found.add(name);
    }
    for (const [, specifier] of text.matchAll(IMPORT)) {
      const { pathname } = new URL(specifier, `file://${path}`);
      if (pathname.includes("/tests/")) files.add(pathname);
    }
  }
  return found;
}

/** Where Debian has the programs of PostgreSQL, the newest version: they are not in the PATH. */
export function postgresqlPrograms(): string | undefined {
  const all = "/usr/lib/postgresql";
  if (!existsSync(all)) return undefined;
  const versions = Array.from(Deno.readDirSync(all), ({ name }) => Number(name));
  return versions.sort((a, b) => b - a).map((version) => `${all}/${version}/bin`)
    .find((directory) => existsSync(`${directory}/initdb`));
}

/** The programs that this machine lacks. */
export function missingPrograms(): string[] {
  const directories = [
    ...(Deno.env.get("PATH") ?? "").split(":"),
    "/usr/sbin",
    ...[postgresqlPrograms() ?? []].flat(),
  ];
  return Object.keys(PROGRAMS).filter((name) =>
    !directories.some((directory) => existsSync(`${directory}/${name}`))
  );
}
