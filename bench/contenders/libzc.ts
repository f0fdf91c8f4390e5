/**
 * LIB-ZC, in C: its master, and servers that were built with its library. No package has them, so they take
 * part only where the variable `BENCH_LIBZC` names their directory: see tools.ts.
 *
 * @module
 */
import { NAMES } from "../bars.ts";
import { type Site, until } from "../bench.ts";
import { childrenOf, isRunning } from "../proc.ts";
import { type Contender, hasEventLoop } from "./contender.ts";
import { writeService } from "./master.ts";

function workers(site: Site): number[] {
  return childrenOf(site.pid).filter(isRunning).filter(hasEventLoop);
}

/** A contender whose server is a program of the directory. */
function libzc(name: string, options: Pick<Contender, "speaks"> & { program: string }): Contender {
  const { speaks, program } = options;
  return {
    name,
    speaks,
    needs: "libzc",
    start(count, { site, tools, cpu }) {
      const directory = tools.libzc!;
      writeService(site, "bench.cf", {
        "server-command": `${directory}/${program}`,
        "server-service": `127.0.0.1:${site.port}`,
        "server-proc-count": count,
        // In seconds.
        "server-stop-on-softstop-after": 2,
      });
      const args = ["-C", `${site.dir}/conf`, "-pid-file", `${site.dir}/master.pid`];
      site.start([`${directory}/master`, ...args], { cpu });
    },
    pids: (site) => ({ master: site.pid, workers: workers(site) }),
    async untilReady(count, site) {
      await until(() => workers(site).length >= count, {
        what: `${count} servers of LIB-ZC; the output was: ${site.output()}`,
      });
    },
    reload: ({ site }) => Deno.kill(site.pid, "SIGHUP"),
  };
}

/** Both. */
export const LIBZC: readonly Contender[] = [
  libzc(NAMES.libzcHttp, { speaks: "http", program: "http" }),
  libzc(NAMES.libzcAio, { speaks: "lines", program: "lines" }),
];
