/**
 * The check of the certificates that the settings of services name: whether their files can be read and belong
 * together, and how long they are valid. The server reads them itself; this tells the operator before it fails.
 *
 * @module
 */
import {
  CERTIFICATE,
  MOST_PEM_BYTES,
  pairFault,
  pemFault,
  type PemKind,
  PRIVATE_KEY,
  type Validity,
  validityOf,
} from "../../config/certificate.ts";
import {
  cannot,
  ConfigError,
  formatProblem,
  type Problem,
  problemAt,
  warningAt,
} from "../../config/errors.ts";
import { RUN_CHDIR, RUN_CHROOT, RUN_USER } from "../../config/settings.ts";
import type { TlsFiles } from "../../config/tls_files.ts";
import type { Located } from "./command.ts";
import { stampOf } from "./command_files.ts";
import { otherCredentials } from "./privileges.ts";
import { type ProgramLookup, type View, viewFrom } from "./program_lookup.ts";

/** How long before its end a certificate is warned about. */
const SOON_MS = 14 * 24 * 60 * 60 * 1000;

const OTHERS_READ = 0o004;

/** What was found out about the files of a service. */
interface Finding {
  readonly of: keyof TlsFiles;
  readonly message: string;
  readonly isWarning?: boolean;
  /** Whether the file is missing. */
  readonly isMissing?: boolean;
}

/** The problems, and the warnings. */
export interface CertificateFindings {
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/**
 * Checks the certificates of services. `user_access.ts` checks whether their users can read the files.
 *
 * @param services The services.
 */
export function checkCertificates(services: readonly Located[]): CertificateFindings {
  const seen = new Map<string, readonly Finding[]>();
  const told = services.flatMap((located) => {
    const { tls } = located.service;
    if (tls === undefined || changesPlace(located)) return [];
    // In another root the names mean other users.
    const isForOther = located.service.masterChroot !== undefined ||
      otherCredentials(located) !== undefined;
    const all = viewsOf(located).map((view) => {
      const files = { cert: view.outside(tls.cert.path), key: view.outside(tls.key.path) };
      // Many services share one certificate.
      const id = JSON.stringify([files, isForOther]);
      const found = seen.get(id) ?? lookAt(files, { lookup: view, isForOther });
      seen.set(id, found);
      return found;
    });
    return firstThatFits(all).map((finding) => placed(finding, tls, located));
  });
  // A shared setting is told once.
  const distinct = [...new Map(told.map((one) => [formatProblem(one), one])).values()];
  return {
    problems: distinct.filter(({ severity }) => severity !== "warning"),
    warnings: distinct.filter(({ severity }) => severity === "warning"),
  };
}

/** A certificate that is not valid, or not for long. */
export interface OutdatedCertificate {
  /** The path of its file, as the master sees it. */
  readonly path: string;
  readonly found: string;
  readonly expected: string;
}

/**
 * Finds the certificates of services whose time is over, has not begun, or is over soon.
 *
 * @param services The services.
 * @param soonMs How long before its end a certificate is named.
 */
export function outdatedCertificates(
  services: readonly Located[],
  soonMs: number,
): OutdatedCertificate[] {
  const found = new Map<string, OutdatedCertificate>();
  for (const located of services) {
    const { service: { tls }, place: { lookup } } = located;
    if (tls === undefined || changesPlace(located)) continue;
    for (const view of viewsOf(located)) {
      const path = view.outside(tls.cert.path);
      const cert = readPem(path, CERTIFICATE, { lookup: view, isForOther: true });
      // What can't be read is told by the check of the settings.
      if (typeof cert !== "string") continue;
      const fault = validityFault(validityOf(cert), { nowMs: lookup.timeOfDayMs(), soonMs });
      if (fault !== undefined) found.set(path, { path, ...fault });
    }
  }
  return [...found.values()];
}

/** A text that changes with the files of a service's certificate; undefined without a certificate. */
export function certificateStamp(located: Located): string | undefined {
  const { tls } = located.service;
  if (tls === undefined) return undefined;
  const paths = [tls.cert.path, tls.key.path];
  return viewsOf(located).map((view) => stampOf(paths, view)).join();
}

/** Whether its processes look for the files from a place, or as a user, that the master does not look up. */
function changesPlace({ service: { settings } }: Located): boolean {
  return [RUN_CHDIR, RUN_CHROOT, RUN_USER].some(({ name }) => settings.get(name));
}

/**
 * The file system as its processes see it when they read the files: at their start, and behind `server-chroot`,
 * since `beforeService` comes before the change of the root and `serviceRegister` after it.
 */
function viewsOf({ service: { chroot }, view, place }: Located): View[] {
  const later = chroot === undefined
    ? []
    : [viewFrom({ masterChroot: view.outside(chroot) }, place)];
  return [view, ...later];
}

function firstThatFits(all: readonly (readonly Finding[])[]): readonly Finding[] {
  const count = (found: readonly Finding[], what: (one: Finding) => unknown) =>
    found.filter(what).length;
  const missing = (found: readonly Finding[]) => count(found, ({ isMissing }) => isMissing);
  return all.find((found) => count(found, ({ isWarning }) => !isWarning) === 0) ??
    all.toSorted((one, other) => missing(one) - missing(other))[0];
}

/** The paths of a certificate and its key. */
type Paths = Readonly<Record<keyof TlsFiles, string>>;

interface Reader {
  readonly lookup: Pick<ProgramLookup, "fileMode" | "readForeignText" | "timeOfDayMs">;
  /** Whether the processes read the files as another user than the master's. */
  readonly isForOther: boolean;
}

function lookAt(paths: Paths, reader: Reader): Finding[] {
  const findings: Finding[] = [];
  const read = (of: keyof TlsFiles, kind: PemKind) => {
    const found = readPem(paths[of], kind, reader);
    if (typeof found === "string") return found;
    findings.push({ ...found, of });
    return undefined;
  };
  const { lookup } = reader, cert = read("cert", CERTIFICATE), key = read("key", PRIVATE_KEY);
  if (key !== undefined) findings.push(...openKey(paths.key, lookup.fileMode(paths.key)));
  if (cert === undefined || key === undefined) return findings;
  const fault = pairFault({ cert, key }, { certFile: paths.cert, keyFile: paths.key });
  if (fault !== undefined) return [...findings, { of: fault.of, message: fault.message }];
  return [...findings, ...outdated(paths.cert, validityOf(cert), lookup.timeOfDayMs())];
}

/** The text of a file, or what is wrong with it. */
function readPem(
  path: string,
  kind: PemKind,
  { lookup, isForOther }: Reader,
): string | Omit<Finding, "of"> {
  try {
    const text = lookup.readForeignText(path, { what: kind.name, most: MOST_PEM_BYTES });
    const message = pemFault(text, kind, path);
    return message === undefined ? text : { message };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const { cause, problems: [{ message }] } = error;
    // On a file system of the network root may have less access than the user.
    const isWarning = isForOther && cause instanceof Deno.errors.PermissionDenied;
    return { message, isWarning, isMissing: cause instanceof Deno.errors.NotFound };
  }
}

/** The warning of a key that everybody can read. */
function openKey(path: string, mode = 0): Finding[] {
  if ((mode & OTHERS_READ) === 0) return [];
  const found = `every user may read it (mode ${mode.toString(8).padStart(4, "0")})`;
  const expected = "a mode without read permission for others";
  return [{
    of: "key",
    message: cannot("keep secret", path, { found, expected }),
    isWarning: true,
  }];
}

/** The warning of a certificate whose time is over, has not begun, or is over soon. */
function outdated(path: string, validity: Validity | string, nowMs: number): Finding[] {
  const fault = validityFault(validity, { nowMs, soonMs: SOON_MS });
  if (fault === undefined) return [];
  return [{ of: "cert", message: cannot("rely on", path, fault), isWarning: true }];
}

/** What is wrong with the time of a certificate. */
function validityFault(
  validity: Validity | string,
  { nowMs, soonMs }: { readonly nowMs: number; readonly soonMs: number },
): { readonly found: string; readonly expected: string } | undefined {
  if (typeof validity === "string") {
    return { found: validity, expected: "a certificate with dates" };
  }
  const { startMs, endMs } = validity;
  const found = nowMs > endMs
    ? `it has expired on ${dateOf(endMs)}`
    : nowMs < startMs
    ? `it is not valid before ${dateOf(startMs)}`
    : endMs - nowMs < soonMs
    ? `it expires on ${dateOf(endMs)}`
    : undefined;
  if (found === undefined) return undefined;
  const isEarly = nowMs < startMs && nowMs <= endMs;
  const expected = isEarly
    ? "a certificate that is valid now"
    : "a renewed certificate, and a reload";
  return { found, expected };
}

function dateOf(timeMs: number): string {
  return `${new Date(timeMs).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/**
 * Puts a finding at the place of its setting. A file that is missing in the root or directory of one service is
 * only a warning for a shared setting: the service may serve no TLS.
 */
function placed(
  { of, message, isWarning, isMissing }: Finding,
  tls: TlsFiles,
  { service }: Located,
): Problem {
  const { key, origin, isShared } = tls[of];
  const isOwnPlace = [service.masterChroot, service.masterChdir].some(Boolean);
  const isOfService = isShared && isMissing && isOwnPlace;
  const at = isOfService ? service.place : origin;
  return (isWarning || isOfService ? warningAt : problemAt)(at, { key, message });
}
