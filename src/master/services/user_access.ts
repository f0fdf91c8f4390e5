/**
 * Checks the file access of a service's user: which files its processes need, and which they must
 * not be able to change. The kernel is asked, as that user, before anything is started.
 *
 * @module
 */
import { resolvePath } from "../../config/address.ts";
import { cannot, type Origin, type Problem, problemAt } from "../../config/errors.ts";
import { originOf } from "../../config/service.ts";
import type { TlsFile } from "../../config/tls_files.ts";
import type { Credentials } from "../../os/user/accounts.ts";
import type { CachePath } from "../../os/process/deno_dir_paths.ts";
import type { Access } from "../../os/process/file_access.ts";
import { changesItself, otherCredentials, startCredentials } from "./privileges.ts";
import type { Located } from "./command.ts";
import { isScriptFile } from "./wrappers.ts";
import type { ProgramLookup, ProgramPlace } from "./program_lookup.ts";

const KEY = "server-user";

/** Bits of the umask. */
const GROUP_WRITES = 0o020, OTHERS_WRITE = 0o002;

/** The problems and the warnings. */
export interface Reach {
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/** An access to a path that a user should have, or should not have. */
interface Rule {
  readonly access: Access;
  readonly path: string;
  readonly isForbidden?: boolean;
  /** The message if the rule is broken; `reason` begins with "not permitted". */
  readonly message: (reason: string) => string;
  /** Whether a broken rule is only a warning. */
  readonly isWarning?: boolean;
  /** The setting that names the file, if it is another one than the user's. */
  readonly setting?: TlsFile;
}

/** What is wrong, and what is expected. */
interface Fault {
  readonly found: string;
  readonly expected: string;
}

/** A rule for a service's user, and the origin of the user's name. */
interface PlacedRule extends Rule {
  readonly credentials: Credentials;
  readonly user: string;
  readonly origin: Origin;
}

/**
 * Finds which files the processes of services can't reach, and which they could change.
 *
 * @param services The services.
 * @param place Where to look.
 * @returns The first problem and the first warning of each service; a warning where the kernel can't
 * be asked.
 */
export function reachOf(services: readonly Located[], place: ProgramPlace): Reach {
  const ofOthers = services.flatMap((located) => {
    const credentials = credentialsToCheck(located);
    return credentials === undefined ? [] : [{ located, credentials }];
  });
  const caches = ofOthers.length === 0 ? [] : place.lookup.cachePaths();
  const byUser = Map.groupBy(ofOthers, ({ credentials }) => JSON.stringify(credentials));
  const broken = [...byUser.values()].flatMap((ofUser): PlacedRule[] => {
    const { credentials } = ofUser[0];
    const fault = faultOfCaches(credentials, caches, place.lookup);
    const rules = ofUser.flatMap(({ located }) => rulesOf(located, credentials, fault));
    const wanted = rules.map(({ access, path }) => [access, path] as const);
    const answers = place.lookup.accessAs(credentials, wanted);
    if (answers === undefined) return rules.filter(({ setting }) => !setting).map(unanswered);
    return rules.filter((rule, index) => answers[index] === (rule.isForbidden ?? false));
  });
  const [warnings = [], problems = []] = [true, false].map((isWarning) => {
    const some = broken.filter((rule) => (rule.isWarning ?? false) === isWarning);
    const byPlace = Map.groupBy(some, ({ origin }) => JSON.stringify(origin));
    return [...byPlace.values()].map(([rule]) => problemOf(rule, place));
  });
  return { problems, warnings };
}

/** A rule of which nothing is known. */
function unanswered(rule: PlacedRule): PlacedRule {
  const found = "the kernel does not answer (faccessat2(2)), so that neither its programs nor " +
    "DENO_DIR are checked";
  const message = () =>
    cannot("check access of user", rule.user, { found, expected: "Linux 5.8 or newer" });
  return { ...rule, message, isWarning: true };
}

/** The user of a service whose access is to be checked, if there is one. */
function credentialsToCheck(located: Located): Credentials | undefined {
  // In another root the names mean other users, and the files are others.
  if (located.service.masterChroot !== undefined) return undefined;
  const credentials = otherCredentials(located);
  // As root the service can access everything.
  return credentials?.uid ? credentials : undefined;
}

function rulesOf(located: Located, credentials: Credentials, caches?: Fault): PlacedRule[] {
  const { service } = located, { user = "" } = service;
  const rules = [
    ...(startCredentials(located) ? startRules(located) : []),
    ...(caches === undefined ? [] : [cacheRule(user, caches)]),
  ];
  return rules.map((rule) => ({
    ...rule,
    credentials,
    user,
    origin: rule.setting?.origin ?? originOf(service, KEY),
  }));
}

function problemOf(rule: PlacedRule, { lookup }: ProgramPlace): Problem {
  const { path, credentials, user, origin, message, setting } = rule;
  const closed = closedDirectory(credentials, lookup.realPath(path), lookup);
  const reason = `not permitted for user ${user}` +
    (closed === undefined ? "" : `, who may not enter "${closed}"`);
  return problemAt(origin, { key: setting?.key ?? KEY, message: message(reason) });
}

/** The first directory on the way to a path that a user may not enter. */
function closedDirectory(
  credentials: Credentials,
  path: string,
  { accessAs }: ProgramLookup,
): string | undefined {
  const names = path.split("/").slice(1, -1);
  const directories = names.map((_, index) => `/${names.slice(0, index + 1).join("/")}`);
  const answers = accessAs(credentials, directories.map((directory) => ["x", directory])) ?? [];
  return directories[answers.indexOf(false)];
}

/** The rules for a program that is started as the user. */
function startRules(located: Located): Rule[] {
  const { user, command, masterChdir, tls } = located.service, { lookup, cwd } = located.place;
  const outside = (path: string) => resolvePath(resolvePath(cwd, masterChdir ?? "."), path);
  const programs = new Set([located.program.path, located.inner.path]);
  const scripts = [
    ...command.filter((word) => isScriptFile(word) && lookup.isFile(outside(word))),
    ...(located.self !== undefined && located.script !== undefined ? [located.script] : []),
  ];
  const wish = changesItself(located) ? ", or server-start-user = master" : "";
  const message = (action: string, what: string) => (found: string) =>
    cannot(action, what, { found, expected: `a file that user ${user} may ${action}${wish}` });
  return [
    ...[...programs].map((path): Rule => {
      return { access: "x", path: outside(path), message: message("execute", path) };
    }),
    ...scripts.map((word): Rule => {
      return { access: "r", path: outside(word), message: message("read", word) };
    }),
    ...[tls?.cert ?? [], tls?.key ?? []].flat().filter(({ path }) => lookup.isFile(outside(path)))
      .map((setting): Rule => ({
        access: "r",
        path: outside(setting.path),
        message: message("read", outside(setting.path)),
        setting,
        // The service may serve no TLS.
        isWarning: setting.isShared,
      })),
    ...(located.denoArgs === undefined ? [] : [moduleRule(located)]),
  ];
}

/**
 * Deno also starts without its directory, but slowly, and without the modules that only it
 * contains.
 */
function moduleRule(located: Located): Rule {
  const { service: { user }, place: { lookup } } = located;
  const { home = "/" } = otherCredentials(located) ?? {};
  const path = located.isRestricted ? lookup.denoDir() : lookup.denoDir(home);
  const message = (reason: string) =>
    cannot("use", path, {
      found: `${reason}, so that modules of the network are missing and ` +
        "TypeScript is translated at each start",
      expected: `a DENO_DIR of the master that user ${user} may read`,
    });
  // A missing directory is created by the program itself.
  return lookup.isDirectory(path)
    ? { access: "r", path, message, isWarning: true }
    : { access: "w", path: home, message, isWarning: true };
}

/**
 * Why a user can change what the runtime caches, which runs with the master's privileges at its next start;
 * undefined if the user can't.
 */
function faultOfCaches(
  credentials: Credentials,
  caches: readonly CachePath[],
  { accessAs, umask }: ProgramLookup,
): Fault | undefined {
  const mask = umask(), { gid, groups } = credentials;
  const isOfRoot = gid === 0 || groups.includes(0);
  if ((mask & OTHERS_WRITE) === 0 || isOfRoot && (mask & GROUP_WRITES) === 0) {
    const digits = mask.toString(8).padStart(3, "0");
    const found =
      `by the master's umask ${digits} that user may write to new files in DENO_DIR, and ` +
      "what is cached there is run as root";
    return { found, expected: "a master with umask 022" };
  }
  const wanted = caches.map(({ path, mayHaveNewEntries }) =>
    [mayHaveNewEntries ? "w" : "c", path] as const
  );
  const answers = accessAs(credentials, wanted) ?? [true];
  const open = caches[answers.indexOf(true)];
  if (open === undefined) return undefined;
  return {
    found: `"${open.path}" can be written to by that user, and what is cached there is run as root`,
    expected: "a DENO_DIR of the master that no other user may write to",
  };
}

/** A rule that is broken. */
function cacheRule(user: string, fault: Fault): Rule {
  const message = () => cannot("run as", user, fault);
  return { access: "x", path: "/", isForbidden: true, message };
}
