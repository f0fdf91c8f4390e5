/**
 * Proves that imports go down the layers only, that the system is reached in `src/os` alone, that no timer
 * is set but by the clock, and that a server's backend alone decides how sockets are reached.
 *
 * It reads the text of the files and runs none of them. It looks at the published files and the
 * examples; tests and tools may import what they like, but nobody imports them.
 *
 * Run by `deno task check`; alone: `deno run --allow-read tools/check_layers.ts`.
 *
 * @module
 */
import { existsSync } from "@std/fs/exists";
import { walkSync } from "@std/fs/walk";

/** One broken rule. */
export interface Violation {
  /** Path of the file, from the root. */
  readonly file: string;
  /** Line of the import or call, from 1. */
  readonly line: number;
  /** What is wrong, and what would be right. */
  readonly why: string;
}

interface Import {
  readonly line: number;
  /** Path of the imported file from the root, or the bare specifier. */
  readonly target: string;
  readonly isFile: boolean;
}

type Graph = ReadonlyMap<string, readonly Import[]>;

/** The layers from the lowest to the highest; two in one row may not import each other. */
const LAYERS: readonly (readonly string[])[] = [
  ["src/os"],
  ["src/config"],
  ["src/log"],
  ["src/ipc", "src/control"],
  ["src/master", "src/server"],
  ["src/metrics"],
  ["src/commands", "src/serve"],
  ["mod.ts", "master.ts", "aio_server.ts", "coroutine_server.ts", "serve.ts", "control.ts"],
];
/**
 * The folders of each layer, and which folders of the same layer each one may import. Each may import
 * all layers below its own.
 */
export const FOLDERS: Readonly<Record<string, readonly string[]>> = {
  "src/os/ffi": [],
  "src/os/user": ["ffi"],
  "src/os/fd": ["ffi"],
  "src/os/clock": ["ffi"],
  "src/os/fs": ["fd", "ffi"],
  "src/os/net": ["clock", "fd", "ffi", "fs"],
  "src/os/adopt": ["clock", "fd", "ffi", "net"],
  "src/os/process": ["clock", "fd", "ffi", "fs", "net", "user"],
  "src/config": [],
  "src/log": [],
  "src/ipc": [],
  "src/control": [],
  "src/master/counters": [],
  "src/master/policy": [],
  "src/master/services": ["policy"],
  "src/master/outputs": ["policy"],
  "src/master/workers": ["outputs", "policy", "services"],
  "src/master/listeners": ["policy", "services"],
  "src/master/upgrade": ["listeners", "policy"],
  "src/master/supervisor": [
    "counters",
    "listeners",
    "outputs",
    "policy",
    "services",
    "upgrade",
    "workers",
  ],
  "src/master/control": ["counters", "outputs", "policy", "supervisor"],
  "src/master": [
    "control",
    "counters",
    "listeners",
    "outputs",
    "policy",
    "services",
    "supervisor",
    "upgrade",
    "workers",
  ],
  "src/metrics": [],
  "src/commands": [],
  "src/serve": [],
  "src/server/lifecycle": [],
  "src/server/backend": ["lifecycle"],
  "src/server/listen": ["backend", "lifecycle"],
  "src/server/tls": ["backend", "lifecycle", "listen"],
  "src/server/fifo": ["backend", "lifecycle"],
  "src/server/aio": ["backend", "fifo", "lifecycle", "listen", "tls"],
  "src/server/coroutine": ["fifo", "lifecycle", "listen", "tls"],
  "src/server/http": ["backend", "lifecycle", "listen"],
  "src/server/http1": ["backend", "http", "lifecycle", "listen", "tls"],
  "src/server/runtime": ["backend", "http1", "lifecycle", "listen"],
  "src/server": ["backend", "http", "http1", "lifecycle", "listen", "runtime", "tls"],
  "src/server/unchanged": [".", "backend", "http", "lifecycle", "listen", "runtime", "tls"],
};

/** What publishes each public name again may import its neighbours. */
const ENTRY_POINTS = LAYERS.at(-1) as readonly string[];
/** Built on the entry points, so above all layers. */
const EXAMPLES = "examples";
/** The files that are pure data: the states of workers and of a master. */
const STATES: readonly string[] = ["src/master/policy/states.ts", "src/master/phase.ts"];

const IMPORT =
  /\b(?:import|export)\b[^;"'()]*?\bfrom\s*(["'])(.+?)\1|\bimport\b\s*\(?\s*(["'])(.+?)\3/g;
const SYSTEM = /\bDeno\s*\.\s*(?:dlopen|kill|Unsafe\w+)\b|\bprocess\s*\.\s*kill\b|\blibc\s*\(/g;
const NOT_CODE = /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|\/\/.*|\/\*[^]*?\*\//g;

/** The timer that does not keep a process running. */
const EXIT_TIMER = "src/os/clock/exit_later.ts";
/** What loads node's timers into a process, which most have no use for; see src/os/clock/alarm.ts. */
const NODE_TIMERS = /\bset(?:Timeout|Interval)\b/g;

/** What a server's backend alone decides by, and the folder that has the backends. */
const BACKEND_CHOICE = /\b(?:mayUseFfi|instanceof\s+AdoptError)\b/g;
const BACKENDS = "src/server/backend";

/** Blanks out comments and template literals, so that every line keeps its number. */
function codeOf(text: string): string {
  return text.replace(
    NOT_CODE,
    (part) => /^["']/.test(part) ? part : part.replace(/[^\n]/g, " "),
  );
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}

/** The layer of a file: the name of a folder or of an entry point; undefined if it has none. */
function layerOf(file: string): string | undefined {
  if (ENTRY_POINTS.includes(file)) return file;
  return [EXAMPLES, ...LAYERS.flat()].find((name) => file.startsWith(`${name}/`));
}

/** How high a layer is; the higher imports the lower. */
function heightOf(layer: string): number {
  return LAYERS.findIndex((row) => row.includes(layer));
}

function importsOf(file: string, code: string): Import[] {
  return Array.from(code.matchAll(IMPORT), (match) => {
    const specifier = (match[2] ?? match[4]) as string;
    const isFile = /^(?:\.{0,2}\/|file:)/.test(specifier);
    // The keyword, not the name, is where a reader looks.
    const line = lineAt(code, match.index);
    if (!isFile) return { line, target: specifier, isFile };
    const url = new URL(specifier, new URL(file, "file:///"));
    return { line, target: decodeURIComponent(url.pathname).slice(1), isFile };
  });
}

/** Why this import is wrong, or undefined. */
function faultOf(file: string, { target, isFile }: Import): string | undefined {
  const from = layerOf(file);
  if (STATES.includes(file)) return `imports "${target}", expected no import: it is pure data`;
  if (!isFile || from === undefined) return undefined;
  const to = layerOf(target);
  const imports = `imports ${target}`;
  if (from === EXAMPLES) {
    if (to === EXAMPLES || ENTRY_POINTS.includes(target)) return undefined;
    return `${imports}, expected an entry point: examples use what users use`;
  }
  // The package's own name and version.
  if (target === "deno.json") return undefined;
  if (to === undefined) return `${imports}, which is not published`;
  if (to === from) return folderFault(file, target);
  if (to === EXAMPLES) return `${imports}, expected no import of ${to}`;
  if (heightOf(to) > heightOf(from)) return `${imports}, expected only layers below ${from}`;
  if (heightOf(to) === heightOf(from) && !ENTRY_POINTS.includes(from)) {
    return `${imports}, expected ${from} and ${to} to know nothing of each other`;
  }
  return undefined;
}

/** Why a file may not import another one of its own layer, or undefined. */
function folderFault(file: string, target: string): string | undefined {
  const from = folderOf(file), to = folderOf(target);
  const layer = layerOf(file) as string;
  const allowed = FOLDERS[from]?.map((name) => name === "." ? layer : `${layer}/${name}`);
  if (from === to || allowed === undefined || allowed.includes(to)) return undefined;
  const wanted = allowed.length === 0 ? "of its own folder" : `from ${allowed.join(", ")}`;
  return `imports ${target}, expected of ${layer} only files ${wanted}`;
}

function folderOf(file: string): string {
  return file.slice(0, Math.max(file.lastIndexOf("/"), 0));
}

/**
 * The table of what each folder may import, as text.
 *
 * @returns The lines, each with its end.
 */
export function renderFolders(): string {
  const lines = LAYERS.map((row) => {
    const folders = Object.entries(FOLDERS).filter(([folder]) =>
      row.some((layer) => folder === layer || folder.startsWith(`${layer}/`))
    );
    if (folders.length === 0) return row.map((name) => `${name}\n`).join("");
    return folders.map(([folder, allowed]) =>
      `${folder.padEnd(24)}${allowed.join(" ")}`.trimEnd() + "\n"
    )
      .join("");
  });
  return lines.join("\n");
}

/** Each cycle once, at the import that closes it. */
function cyclesOf(graph: Graph): Violation[] {
  const found: Violation[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string) => {
    path.push(file);
    for (const { target, line } of graph.get(file) ?? []) {
      const start = path.indexOf(target);
      if (start >= 0) {
        const cycle = [...path.slice(start), target].join(" → ");
        found.push({ file, line, why: `closes the cycle ${cycle}` });
      } else if (!done.has(target)) {
        visit(target);
      }
    }
    path.pop();
    done.add(file);
  };
  for (const file of graph.keys()) {
    if (!done.has(file)) visit(file);
  }
  return found;
}

/** The files that the rules are for, from the root, in order. */
function filesOf(root: string): string[] {
  const files = ENTRY_POINTS.filter((file) => existsSync(`${root}/${file}`));
  for (const folder of ["src", EXAMPLES]) {
    if (!existsSync(`${root}/${folder}`)) continue;
    for (const { path } of walkSync(`${root}/${folder}`, { exts: [".ts"], includeDirs: false })) {
      files.push(path.slice(root.length + 1));
    }
  }
  return files.sort();
}

/**
 * Finds every broken rule of a source tree.
 *
 * Needs `--allow-read`.
 *
 * @param root Absolute path of the tree, normalized, without a slash at its end.
 * @returns The violations, in the order of files and lines.
 *
 * @example
 * ```ts
 * import { checkLayers } from "./check_layers.ts";
 *
 * for (const { file, line, why } of checkLayers(Deno.cwd())) console.error(`${file}:${line}: ${why}`);
 * ```
 */
export function checkLayers(root: string): Violation[] {
  const violations: Violation[] = [];
  const graph = new Map<string, Import[]>();
  for (const file of filesOf(root)) {
    const code = codeOf(Deno.readTextFileSync(`${root}/${file}`));
    const layer = layerOf(file);
    if (layer === undefined) {
      const folders = LAYERS.slice(0, -1).flat().join(", ");
      violations.push({ file, line: 1, why: `is in no layer, expected one of ${folders}` });
    }
    if (layer?.startsWith("src/") && FOLDERS[folderOf(file)] === undefined) {
      const wanted = "a folder that FOLDERS of tools/check_layers.ts names";
      violations.push({ file, line: 1, why: `is in ${folderOf(file)}, expected ${wanted}` });
    }
    const imports = importsOf(file, code);
    graph.set(file, imports);
    for (const found of imports) {
      const why = faultOf(file, found);
      if (why !== undefined) violations.push({ file, line: found.line, why });
    }
    if (layer?.startsWith("src/") && file !== EXIT_TIMER) {
      for (const { 0: call, index } of code.matchAll(NODE_TIMERS)) {
        const line = lineAt(code, index);
        violations.push({
          file,
          line,
          why: `uses ${call}, expected the clock of src/os/clock/clock.ts`,
        });
      }
    }
    if (layer === "src/server" && folderOf(file) !== BACKENDS) {
      for (const { 0: found, index } of code.matchAll(BACKEND_CHOICE)) {
        violations.push({
          file,
          line: lineAt(code, index),
          why: `uses ${found}, expected the backend of ${BACKENDS}/chosen.ts`,
        });
      }
    }
    if (layer === "src/os") continue;
    for (const { 0: call, index } of code.matchAll(SYSTEM)) {
      violations.push({
        file,
        line: lineAt(code, index),
        why: `uses ${call}, expected it in src/os`,
      });
    }
  }
  violations.push(...cyclesOf(graph));
  return violations.sort((a, b) => a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line);
}

if (import.meta.main) {
  if (Deno.args.includes("--table")) {
    console.log(renderFolders());
    Deno.exit();
  }
  const violations = checkLayers(new URL("..", import.meta.url).pathname.slice(0, -1));
  for (const { file, line, why } of violations) console.error(`${file}:${line}: ${why}`);
  if (violations.length > 0) Deno.exit(1);
}
