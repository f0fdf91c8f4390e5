/**
 * Builds the file tree of a container image by the instructions of a Dockerfile, without an engine.
 * In the place of each image of a registry stands a tree with programs of this machine.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { startContainer } from "./container.ts";
import type { Instruction } from "./deploy_files.ts";
import type { Site } from "../support/master.ts";
import type { TempDir } from "../support/temp.ts";

/** A tree, and how a process is started in it. */
export interface Image {
  /** Its root, as an absolute path. */
  readonly root: string;
  readonly env: Readonly<Record<string, string>>;
  readonly workdir: string;
  /** Empty: root. */
  readonly user: string;
  readonly entrypoint: readonly string[];
  readonly healthcheck: readonly string[];
  readonly stopSignal: string;
}

/** How to build. */
export interface BuildOptions {
  /** Where the trees are made. */
  readonly dir: TempDir;
  readonly instructions: readonly Instruction[];
  /** The directory from which COPY takes files. */
  readonly context: string;
  /** Names in its root that are not copied, in which `*` stands for anything. */
  readonly ignored: readonly string[];
  /** Makes the tree of an image of a registry. */
  readonly pull: (name: string, root: string) => void;
  /** Puts into the tree what a command of RUN would fetch, as no network is within reach. */
  readonly fetch: (root: string) => void;
}

/** Runs a program of the system, and fails with what it says. */
function run(program: string, ...args: string[]): string {
  const { success, stdout, stderr } = new Deno.Command(program, { args }).outputSync();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (!success) throw new Error(`Cannot run ${program} ${args.join(" ")}: ${text(stderr)}`);
  return text(stdout);
}

/** The words of an instruction in its JSON form, the only one that needs no shell. */
function words(args: string): string[] {
  return JSON.parse(args.replace(/^CMD /, ""));
}

/** The arguments of ENV. */
function variables(args: string): Record<string, string> {
  return Object.fromEntries(args.split(/\s+/).map((pair) => pair.split("=")));
}

/** Copies as COPY does: the content of a directory, or a file. */
function copy(from: string, to: string, isIgnored: (name: string) => boolean): void {
  if (!Deno.statSync(from).isDirectory) {
    run("mkdir", "-p", to.slice(0, to.lastIndexOf("/")));
    return void run("cp", "-a", from, to);
  }
  run("mkdir", "-p", to);
  for (const { name } of Deno.readDirSync(from)) {
    if (!isIgnored(name)) run("cp", "-a", `${from}/${name}`, `${to}/`);
  }
}

/**
 * Builds the last stage, and those before it.
 *
 * @param site What the commands of RUN belong to.
 * @param options How.
 */
export async function buildImage(site: Site, options: BuildOptions): Promise<Image> {
  const { dir, instructions, context, ignored, pull, fetch } = options;
  const patterns = ignored.map((name) =>
    new RegExp(`^${name.replaceAll(".", "\\.").replaceAll("*", ".*")}$`)
  );
  const stages = new Map<string, string>();
  let image: Image | undefined;
  for (const { keyword, flags, args } of instructions) {
    if (keyword === "FROM") {
      const [base, , name = ""] = args.split(" "), root = dir.file(`stage${stages.size}`);
      Deno.mkdirSync(root, { mode: 0o755 });
      pull(base, root);
      stages.set(name, root);
      const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
      image = {
        root,
        env: { PATH: path },
        workdir: "/",
        user: "",
        entrypoint: [],
        healthcheck: [],
        stopSignal: "SIGTERM",
      };
      continue;
    }
    if (image === undefined) throw new Error(`Cannot begin with ${keyword}, expected FROM`);
    const { root, workdir } = image;
    if (keyword === "COPY") {
      const source = flags.from === undefined ? context : stages.get(flags.from)!;
      const [from, to] = args.split(" ");
      const isIgnored = (name: string) =>
        flags.from === undefined && patterns.some((pattern) => pattern.test(name));
      const target = to.startsWith("/") ? to : `${workdir}/${to}`;
      copy(`${source}/${from}`.replace(/\/\.$/, ""), root + target.replace(/\/\.$/, ""), isIgnored);
    } else if (keyword === "ENV") image = { ...image, env: { ...image.env, ...variables(args) } };
    else if (keyword === "WORKDIR") {
      image = { ...image, workdir: args };
      run("mkdir", "-p", root + args);
    } else if (keyword === "USER") image = { ...image, user: args };
    else if (keyword === "STOPSIGNAL") image = { ...image, stopSignal: args };
    else if (keyword === "ENTRYPOINT") image = { ...image, entrypoint: words(args) };
    else if (keyword === "HEALTHCHECK") image = { ...image, healthcheck: words(args) };
    else if (keyword === "RUN") {
      fetch(root);
      const container = startContainer(site, image, { command: words(args), isReadOnly: false });
      const { code, stderr } = await container.process.ended(120_000);
      assertEquals(code, 0, stderr);
    } else if (keyword !== "EXPOSE") throw new Error(`Cannot carry out ${keyword}: not known here`);
  }
  return image!;
}

/** What a tree of Debian has that the master or its guardian runs, and how the test starts them. */
const PROGRAMS = ["/bin/sh", "/bin/sleep", "/usr/bin/env", "/usr/bin/setpriv"];

/** The libraries that Deno may need: Debian's image has these. */
const LIBRARIES = /^(linux-vdso|ld-linux|lib(c|m|dl|rt|pthread|gcc_s)\b)/;

/** The dynamic libraries of a program, as paths. */
function librariesOf(program: string): string[] {
  return run("ldd", program).split("\n").flatMap((line) => /(\/\S+) \(0x/.exec(line)?.[1] ?? []);
}

/**
 * Stands for `denoland/deno:bin-VERSION`: a tree with nothing but the program.
 *
 * @param root Where.
 */
export function pullDeno(root: string): void {
  const libraries = librariesOf(Deno.execPath()).map((path) =>
    path.slice(path.lastIndexOf("/") + 1)
  );
  assertEquals(libraries.filter((name) => !LIBRARIES.test(name)), []);
  run("cp", "-L", Deno.execPath(), `${root}/deno`);
  Deno.chmodSync(`${root}/deno`, 0o755);
}

/**
 * Stands for `debian:VERSION-slim`: its directories, its C library, and the few programs that are
 * run.
 *
 * @param root Where.
 */
export function pullDebian(root: string): void {
  for (const name of ["dev", "etc", "proc", "root", "run", "tmp", "usr/bin", "usr/local/bin"]) {
    run("mkdir", "-p", `${root}/${name}`);
  }
  for (const name of ["bin", "lib", "lib64"]) {
    run("mkdir", "-p", `${root}/usr/${name}`);
    Deno.symlinkSync(`usr/${name}`, `${root}/${name}`);
  }
  const accounts = "root:x:0:0:root:/root:/bin/sh\n";
  Deno.writeTextFileSync(`${root}/etc/passwd`, accounts);
  Deno.writeTextFileSync(`${root}/etc/group`, "root:x:0:\n");
  const files = new Set([...PROGRAMS, Deno.execPath()].flatMap(librariesOf));
  for (const path of [...PROGRAMS, ...files]) {
    run("mkdir", "-p", root + path.slice(0, path.lastIndexOf("/")));
    run("cp", "-L", path, root + path);
  }
  run("chmod", "-R", "a+rX,go-w", `${root}/etc`, `${root}/usr`);
}
