/**
 * A project as `zc init` makes it, with this package in the place of the published one.
 *
 * @module
 */
import { existsSync } from "@std/fs/exists";
import { denoDir } from "../../src/os/process/deno_dir.ts";
import { HttpClient } from "../server/http_client.ts";
import { startDeno } from "../support/processes.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

/** Answers a POST when the whole request has come. */
const ANSWER = `export async function answer(request: Request): Promise<Response> {
  if (request.method === "POST") return new Response(await request.text());
  return new Response(request.url.endsWith("/pid") ? String(Deno.pid) : "hello");
}
`;

function copy(from: string, to: string): void {
  const { success } = new Deno.Command("cp", { args: ["-r", from, to] }).outputSync();
  if (!success) throw new Error(`Cannot copy ${from} to ${to}`);
}

/**
 * Makes a project.
 *
 * @param project Its directory, which is made.
 */
export async function makeProject(project: string): Promise<void> {
  Deno.mkdirSync(project);
  await using init = startDeno(["run", "-A", `${ROOT}master.ts`, "init"], { cwd: project });
  await init.succeeds();
  Deno.mkdirSync(`${project}/zc`);
  const { exports } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`));
  for (const name of ["src", "links", "deno.json", ...Object.values<string>(exports)]) {
    copy(`${ROOT}${name}`, `${project}/zc`);
  }
  const manifest = JSON.parse(Deno.readTextFileSync(`${project}/deno.json`));
  manifest.links = ["./zc", "./zc/links/std_assert"];
  Deno.writeTextFileSync(`${project}/deno.json`, JSON.stringify(manifest));
  Deno.writeTextFileSync(`${project}/answer.ts`, ANSWER);
}

/**
 * Sets the address of the project's service.
 *
 * @param project Its directory.
 * @param service The address.
 */
export function setService(project: string, service: string): void {
  const path = `${project}/conf/web.cf`, text = Deno.readTextFileSync(path);
  Deno.writeTextFileSync(
    path,
    text.replace(/^server-service = .*$/m, `server-service = ${service}`),
  );
}

/**
 * Puts the packages that the project uses into a DENO_DIR, as if they had been fetched.
 *
 * @param directory The DENO_DIR, which is made.
 */
export function fetchPackages(directory: string): void {
  const npm = `${denoDir()}/npm`;
  // A folder for each registry.
  for (const { name } of Deno.readDirSync(npm)) {
    if (!existsSync(`${npm}/${name}/deno-std`)) continue;
    Deno.mkdirSync(`${directory}/npm/${name}`, { recursive: true });
    copy(`${npm}/${name}/deno-std`, `${directory}/npm/${name}`);
  }
}

/**
 * A client whose request is under way: the server of the project waits for the rest of its body, `def`.
 *
 * @param port The port of the service.
 */
export async function inMidRequest(port: number): Promise<HttpClient> {
  const client = await HttpClient.connect(port);
  await client.post("/", 6);
  await client.send("abc");
  return client;
}
