/**
 * Contenders that are one process: what one writes without a process manager; and Deno's own threads.
 *
 * @module
 */
import { NAMES } from "../bars.ts";
import { type Contender, deno, server } from "./contender.ts";

function inDeno(
  name: string,
  speaks: Contender["speaks"],
  [file, ...args]: readonly [string, ...string[]],
): Contender {
  return {
    name,
    speaks,
    counts: "one",
    start: (_count, { site, cpu }) => site.start(deno(file, ...args), { cpu }),
  };
}

function inNode(name: string, speaks: Contender["speaks"], file: string): Contender {
  return {
    name,
    speaks,
    counts: "one",
    needs: "node",
    start: (_count, { site, tools, cpu }) => site.start([tools.node!, server(file)], { cpu }),
  };
}

/** All of them. */
export const BY_HAND: readonly Contender[] = [
  inDeno(NAMES.denoServe, "http", ["deno_serve.ts"]),
  inDeno(NAMES.denoHttp, "http", ["http.mjs"]),
  inDeno(NAMES.denoListen, "lines", ["deno_listen.ts"]),
  inDeno(NAMES.denoPipe, "lines", ["deno_listen.ts", "pipe"]),
  inDeno(NAMES.denoNet, "lines", ["lines.mjs"]),
  inNode(NAMES.nodeHttp, "http", "http.mjs"),
  inNode(NAMES.nodeNet, "lines", "lines.mjs"),
  {
    name: NAMES.denoParallel,
    speaks: "http",
    counts: "several",
    start(count, { site, cpu }) {
      const listen = ["--host", "127.0.0.1", "--port", String(site.port)];
      const argv = [Deno.execPath(), "serve", "-A", "--parallel", ...listen];
      const env = { DENO_JOBS: String(count) };
      site.start([...argv, server("deno_serve_export.ts")], { env, cpu });
    },
  },
];
