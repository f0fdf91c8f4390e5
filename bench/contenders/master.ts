/**
 * This project's contenders: a master with one service.
 *
 * @module
 */
import { NAMES } from "../bars.ts";
import type { Site } from "../bench.ts";
import { type Contender, server, type Start, underMaster } from "./contender.ts";

const MASTER = new URL("../../master.ts", import.meta.url).pathname;

/**
 * Writes a settings file of a master.
 *
 * @param site Where.
 * @param name The file.
 * @param settings Its settings.
 */
export function writeService(
  site: Site,
  name: string,
  settings: Readonly<Record<string, string | number>>,
): void {
  const conf = `${site.dir}/conf`;
  Deno.mkdirSync(conf, { recursive: true });
  const lines = Object.entries(settings).map(([key, value]) => `${key} = ${value}\n`);
  Deno.writeTextFileSync(`${conf}/${name}`, lines.join(""));
}

/**
 * Starts a master with the settings files of a place.
 *
 * @param start Where, and how.
 */
export function startMaster({ site, cpu }: Pick<Start, "site" | "cpu">): void {
  const args = ["-C", `${site.dir}/conf`, "-pid-file", `${site.dir}/master.pid`];
  site.start([Deno.execPath(), "run", "-A", MASTER, ...args], { cpu });
}

/**
 * A contender that is a master with one service.
 *
 * @param name Its name.
 * @param options Its server, what that speaks, and further settings of the service.
 */
function master(
  name: string,
  options: Pick<Contender, "speaks"> & {
    readonly file: string;
    readonly settings?: Readonly<Record<string, string | number>>;
  },
): Contender {
  return {
    name,
    speaks: options.speaks,
    start(count, start) {
      writeService(start.site, "bench.cf", {
        "server-command": server(options.file),
        "server-service": `127.0.0.1:${start.site.port}`,
        "server-proc-count": count,
        ...options.settings,
      });
      startMaster(start);
    },
    pids: underMaster,
    reload: ({ site }) => Deno.kill(site.pid, "SIGHUP"),
  };
}

/** Kills follow each other faster than a process is healthy by default: no back-off. */
const OFTEN_KILLED = { "server-healthy-after": 0 };

/** With a process that waits until the other one dies; it makes a difference to nothing else. */
export const WITH_STANDBY: Contender = master(NAMES.masterStandby, {
  speaks: "http",
  file: "master_http.ts",
  settings: { ...OFTEN_KILLED, "server-standby-count": 1 },
});

/** All others. */
export const MASTERS: readonly Contender[] = [
  master(NAMES.masterHttp, {
    speaks: "http",
    file: "master_http.ts",
    settings: OFTEN_KILLED,
  }),
  master(NAMES.masterCoroutine, { speaks: "lines", file: "master_coroutine.ts" }),
  master(NAMES.masterAio, { speaks: "lines", file: "master_aio.ts" }),
];
