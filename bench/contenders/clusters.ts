/**
 * The contenders on node:cluster, in Node and in Deno, and PM2.
 *
 * @module
 */
import { NAMES } from "../bars.ts";
import type { Site } from "../bench.ts";
import {
  type Contender,
  deno,
  server,
  type Start,
  underMaster,
  workersThatSaidReady,
} from "./contender.ts";

/** Does what is common to all that cluster.mjs manages. */
function cluster(
  name: string,
  options: Pick<Contender, "speaks"> & { readonly in: "node" | "deno"; readonly policy?: string },
): Contender {
  const file = server(options.speaks === "http" ? "http.mjs" : "lines.mjs");
  const common: Contender = {
    name,
    speaks: options.speaks,
    start(count, { site, tools, cpu }) {
      const args = [file, String(count)];
      const argv = options.in === "node"
        ? [tools.node!, server("cluster.mjs"), ...args]
        : deno("cluster.mjs", ...args);
      const env = { NODE_CLUSTER_SCHED_POLICY: options.policy ?? "rr" };
      site.start(argv, { env, cpu });
    },
    pids: underMaster,
    reload: ({ site }) => Deno.kill(site.pid, "SIGHUP"),
  };
  return options.in === "node" ? { ...common, needs: "node" } : common;
}

/** Runs PM2's command line, with a daemon for this place alone. */
function pm2({ site, tools, cpu }: Start, ...args: readonly string[]): Promise<void> {
  const env = { PM2_HOME: `${site.dir}/pm2`, PM2_DISABLE_VERSION_CHECK: "true" };
  return site.run([tools.node!, tools.pm2!, ...args], { env, cpu });
}

function pm2Daemon(site: Site): number {
  return Number(Deno.readTextFileSync(`${site.dir}/pm2/pm2.pid`));
}

const PM2: Contender = {
  name: NAMES.pm2,
  speaks: "http",
  needs: "pm2",
  start: (count, start) =>
    pm2(start, "start", server("http.mjs"), "--name", "bench", "-i", String(count)),
  pids: (site) => ({ ...workersThatSaidReady(site), master: pm2Daemon(site) }),
  reload: ({ site, tools }) => pm2({ site, tools }, "reload", "bench"),
};

/** All of them. */
export const CLUSTERS: readonly Contender[] = [
  cluster(NAMES.nodeCluster, { speaks: "http", in: "node" }),
  PM2,
  cluster(NAMES.denoCluster, { speaks: "http", in: "deno" }),
  cluster(NAMES.nodeClusterLines, { speaks: "lines", in: "node" }),
  cluster(NAMES.nodeClusterShared, { speaks: "lines", in: "node", policy: "none" }),
  cluster(NAMES.denoClusterLines, { speaks: "lines", in: "deno" }),
];
