/**
 * The environment of a service's processes: what the settings add to that of the master.
 *
 * @module
 */
import { resolvePath } from "../../config/address.ts";
import { readForeignText } from "../../config/cf.ts";
import { cannot, ConfigError, type Problem, problemAt } from "../../config/errors.ts";
import { originOf, type ServiceConfig } from "../../config/service.ts";
import { SERVER_ENV, SERVER_ENV_FILE } from "../../config/settings.ts";
import type { Variables } from "../../config/variables.ts";
import type { ResolvedService } from "../policy/resolved_service.ts";
import { parseVariablesFile } from "../../config/variables_file.ts";
import { encodeText } from "../../os/ffi/byte_text.ts";
import { type EnvironmentChange, environmentWith } from "../../os/process/environment.ts";
import type { ProgramLookup, ProgramPlace } from "./program_lookup.ts";
import { worldWritableProblems } from "./file_permissions.ts";

/** The size of all variables of a service: the shim gets them in one variable (MAX_ARG_STRLEN). */
const MAX_BYTES = 120 << 10;

/** The size of a file of variables, which has comments as well. */
const MOST_FILE_BYTES = 2 * MAX_BYTES;

/**
 * Reads the files of `server-env-file`, each once, and adds their variables to the services.
 *
 * @param services The services.
 * @param place Where to look.
 * @returns The services whose variables are known, and the problems of the others.
 */
export async function withEnvironments(
  services: readonly ServiceConfig[],
  { lookup, cwd }: ProgramPlace,
): Promise<{ readonly services: readonly ServiceConfig[]; readonly problems: readonly Problem[] }> {
  const files = new Map<string, Promise<Variables | ConfigError>>();
  const read = (path: string) => {
    const known = files.get(path) ?? readVariables(path, lookup);
    files.set(path, known);
    return known;
  };
  const problems: Problem[] = [], complete: ServiceConfig[] = [];
  for (const service of services) {
    const { environmentFile } = service;
    const path = environmentFile === undefined ? undefined : resolvePath(cwd, environmentFile);
    const found = path === undefined ? new Map() : await read(path);
    if (found instanceof ConfigError) {
      problems.push(...found.problems.map((problem) => placed(problem, service)));
      continue;
    }
    const environment: Variables = new Map([...found, ...service.environment]);
    problems.push(...environmentSizeProblems(service, environment));
    const fingerprint = path === undefined
      ? service.fingerprint
      : JSON.stringify([service.fingerprint, [...found].sort()]);
    complete.push({ ...service, environment, fingerprint });
  }
  return { services: complete, problems };
}

async function readVariables(
  path: string,
  lookup: ProgramLookup,
): Promise<Variables | ConfigError> {
  const untrusted = worldWritableProblems(path, lookup);
  if (untrusted.length > 0) return new ConfigError(untrusted);
  try {
    return await parseVariablesFile(
      readForeignText(path, { what: "file of variables", most: MOST_FILE_BYTES }),
      path,
    );
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
}

/** A file that can't be read is a mistake of the line that names it. */
function placed(problem: Problem, service: ServiceConfig): Problem {
  if (problem.line !== undefined) return problem;
  const key = SERVER_ENV_FILE.name;
  return problemAt(originOf(service, key), { key, message: problem.message });
}

function environmentSizeProblems(service: ServiceConfig, environment: Variables): Problem[] {
  const bytes = encodeText(JSON.stringify([...environment])).length;
  if (bytes <= MAX_BYTES) return [];
  const key = service.environmentFile === undefined ? SERVER_ENV.name : SERVER_ENV_FILE.name;
  const about = { found: `${bytes} bytes of variables`, expected: `at most ${MAX_BYTES}` };
  return [problemAt(originOf(service, key), { key, message: cannot("start", service.id, about) })];
}

/**
 * The variables of a service's processes, with those that name them for OpenTelemetry where the
 * processes export telemetry (OTEL_DENO). What the user has set stays.
 *
 * @param service The service, with its complete variables.
 * @param process Its generation, and its slot, which a standby gets only when it is activated.
 */
export function serverVariables(
  service: ResolvedService,
  { generation, slot }: { readonly generation: number; readonly slot?: number },
): EnvironmentChange {
  const own = Object.fromEntries(service.environment);
  const all = environmentWith(own);
  if (all.OTEL_DENO !== "true") return own;
  const given = all.OTEL_RESOURCE_ATTRIBUTES ?? "";
  const names = new Set(given.split(",").map((one) => one.split("=", 1)[0].trim()));
  const place = slot === undefined ? [] : [["zc.slot", `${slot}`]];
  const attributes = [["zc.service", service.id], ["zc.generation", `${generation}`], ...place]
    .filter(([name]) => !names.has(name))
    // Deno decodes nothing, so only what would end the value is encoded.
    .map(([name, value]) => `${name}=${value.toWellFormed().replace(/[,=]/g, encodeURIComponent)}`);
  // Our servers print what passes through `console` themselves: see `src/log/telemetry.ts`.
  const isOurs = service.protocol === "control" || service.protocol === "inherit";
  const exports = isOurs && all.OTEL_DENO_CONSOLE !== "ignore";
  const isNamed = all.OTEL_SERVICE_NAME || names.has("service.name");
  return {
    ...own,
    ...(!isNamed && { OTEL_SERVICE_NAME: service.id.replace(/\.cf$/i, "") }),
    ...(exports && { OTEL_DENO_CONSOLE: "replace" }),
    OTEL_RESOURCE_ATTRIBUTES: [...given === "" ? [] : [given], ...attributes].join(","),
  };
}
