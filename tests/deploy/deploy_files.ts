/**
 * The files in deploy/, as tests use them: parsed, with the problems that the tools of others find.
 *
 * @module
 */
import { startDeno } from "../support/processes.ts";

/** Where they are, with a slash at the end. */
export const DEPLOY: string = new URL("../../deploy/", import.meta.url).pathname;

/** One instruction of the Dockerfile. */
export interface Instruction {
  /** In capital letters. */
  readonly keyword: string;
  /** Such as `from` with its value. */
  readonly flags: Readonly<Record<string, string>>;
  /** The text behind them. */
  readonly args: string;
}

/** One service of the compose file, as far as tests read it. */
export interface ComposeService {
  readonly read_only: boolean;
  readonly stop_grace_period: string;
  readonly tmpfs: readonly string[];
}

/** The compose file, as far as tests read it. */
export interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>;
}

/** A manifest of Kubernetes, whose `spec` depends on its kind. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  // deno-lint-ignore no-explicit-any
  readonly spec: any;
}

/** All of them. */
export interface DeployFiles {
  readonly dockerfile: readonly Instruction[];
  readonly compose: ComposeFile;
  readonly manifests: readonly Manifest[];
  /** What the schemas and linters find: file, and message. */
  readonly problems: readonly string[];
}

let ours: Promise<DeployFiles> | undefined;

/** Reads and checks the files of the project, once for each test process. */
export function deployFiles(): Promise<DeployFiles> {
  return ours ??= readFiles(DEPLOY);
}

/**
 * Reads and checks files.
 *
 * @param folder Where they are, with a slash at the end.
 */
export async function readFiles(folder: string): Promise<DeployFiles> {
  const program = new URL("read_files.ts", import.meta.url).pathname;
  await using reader = startDeno(["run", "-A", "--no-lock", program, folder]);
  // Some of the packages may have to be fetched first.
  return JSON.parse(await reader.succeeds(180_000));
}

/**
 * The manifest of a kind.
 *
 * @param files The files.
 * @param kind Such as `Deployment`.
 */
export function manifestOf({ manifests }: Pick<DeployFiles, "manifests">, kind: string): Manifest {
  const found = manifests.filter((manifest) => manifest.kind === kind);
  if (found.length !== 1) throw new Error(`Cannot find one ${kind}: there are ${found.length}`);
  return found[0];
}
