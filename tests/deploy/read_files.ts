/**
 * Reads the files in a folder such as deploy/ by packages from npm, and prints them as JSON with what the packages
 * find wrong. It is a program of its own, to be run with `--no-lock`: deno.lock names none of these
 * packages, so that no other start fetches them.
 *
 * @module
 */
import type { ComposeFile, DeployFiles, Instruction, Manifest } from "./deploy_files.ts";

const [DEPLOY] = Deno.args;

/** A specifier that is not a literal is not looked up by checks of the whole project. */
// deno-lint-ignore no-explicit-any
const npm = (name: string): Promise<any> => import(`npm:${name}`);

const problems: string[] = [];

async function readDockerfile(): Promise<Instruction[]> {
  const text = Deno.readTextFileSync(`${DEPLOY}Dockerfile`);
  const { validate } = await npm("dockerfile-utils@0.16.3");
  const { DockerfileParser } = await npm("dockerfile-ast@0.7.1");
  for (const { message, range } of validate(text)) {
    problems.push(`Dockerfile:${range.start.line + 1}: ${message}`);
  }
  // deno-lint-ignore no-explicit-any
  return DockerfileParser.parse(text).getInstructions().map((instruction: any) => ({
    keyword: instruction.getKeyword(),
    // deno-lint-ignore no-explicit-any
    flags: Object.fromEntries((instruction.getFlags?.() ?? []).map((flag: any) => [
      flag.getName(),
      flag.getValue(),
    ])),
    args: instruction.getRawArgumentsContent() ?? "",
  }));
}

async function readCompose(): Promise<ComposeFile> {
  const path = `${DEPLOY}compose.yaml`;
  const { DCLinter } = await npm("dclint@3.1.0");
  const linter = new DCLinter({
    rules: { "require-quotes-in-ports": [1, { quoteType: "double" }] },
    quiet: false,
    debug: false,
    exclude: [],
  });
  for (const { messages } of await linter.lintFiles([path], false)) {
    for (const { line, message } of messages) problems.push(`compose.yaml:${line}: ${message}`);
  }
  const { parse } = await npm("yaml@2.9.1");
  return parse(Deno.readTextFileSync(path));
}

async function readManifests(): Promise<Manifest[]> {
  const { parse } = await npm("yaml@2.9.1");
  const folder = `${DEPLOY}kubernetes/`, manifests: Manifest[] = [];
  for (const { name } of Deno.readDirSync(folder)) {
    const manifest: Manifest = parse(Deno.readTextFileSync(folder + name));
    const { [manifest.kind]: Model } = await npm(`${MODELS}/${manifest.apiVersion}`);
    try {
      new Model(manifest).validate();
    } catch (error) {
      problems.push(`kubernetes/${name}: ${(error as Error).message}`);
    }
    manifests.push(manifest);
  }
  problems.push(...unknownFields(manifests));
  return manifests;
}

/** The schemas of the API, of which validate() tells values, and the types which fields there are. */
const MODELS = "kubernetes-models@5.1.0";

/** The fields that the API server would refuse, as the type check finds them. */
function unknownFields(manifests: readonly Manifest[]): string[] {
  const directory = Deno.makeTempDirSync({ prefix: "zc_" });
  try {
    const path = `${directory}/manifests.ts`;
    const lines = manifests.map((manifest, index) =>
      `import type { I${manifest.kind} as T${index} } from "npm:${MODELS}/${manifest.apiVersion}";
       export const m${index}: T${index} = ${JSON.stringify(manifest, undefined, 1)};\n`
    );
    Deno.writeTextFileSync(path, lines.join(""));
    const args = ["check", "--no-lock", "--no-config", "--quiet", path];
    const { success, stderr } = new Deno.Command(Deno.execPath(), { args, cwd: directory })
      .outputSync();
    return success ? [] : [`kubernetes/: ${new TextDecoder().decode(stderr)}`];
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

if (import.meta.main) {
  const files: DeployFiles = {
    dockerfile: await readDockerfile(),
    compose: await readCompose(),
    manifests: await readManifests(),
    problems,
  };
  console.log(JSON.stringify(files));
}
