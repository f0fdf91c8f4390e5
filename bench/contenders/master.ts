/**
 * This project's contenders: a master with one service.
 *
 * @module
 */
import { NAMES } from "../bars.ts";
import type { Site } from "../bench.ts";
import { type Checkout, THIS_CHECKOUT } from "../checkout.ts";
import { type Contender, server, type Start, underMaster } from "./contender.ts";

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
 * @param checkout Whose master it is.
 */
export function startMaster(
  { site, cpu }: Pick<Start, "site" | "cpu">,
  { root }: Checkout,
): void {
  const args = ["-C", `${site.dir}/conf`, "-pid-file", `${site.dir}/master.pid`];
  site.start([Deno.execPath(), "run", "-A", `${root}master.ts`, ...args], { cpu });
}

/**
 * A contender that is a master with one service.
 *
 * @param name Its name.
 * @param options Its sources, its server, what that speaks, and further settings of the service.
 */
function master(
  name: string,
  options: Pick<Contender, "speaks"> & {
    readonly checkout: Checkout;
    readonly file: string;
    readonly settings?: Readonly<Record<string, string | number>>;
  },
): Contender {
  const { speaks, checkout, file } = options;
  return {
    name,
    speaks,
    checkout,
    start(count, start) {
      writeService(start.site, "bench.cf", {
        "server-command": server(file, checkout),
        "server-service": `127.0.0.1:${start.site.port}`,
        "server-proc-count": count,
        ...options.settings,
      });
      startMaster(start, checkout);
    },
    pids: underMaster,
    reload: ({ site }) => Deno.kill(site.pid, "SIGHUP"),
  };
}

/** Kills follow each other faster than a process is healthy by default: no back-off. */
const OFTEN_KILLED = { "server-healthy-after": 0 };

/**
 * The master with a process that waits until the other one dies; that makes a difference to nothing else.
 *
 * @param checkout Its sources.
 */
export function withStandby(checkout: Checkout): Contender {
  return master(NAMES.masterStandby, {
    checkout,
    speaks: "http",
    file: "master_http.ts",
    settings: { ...OFTEN_KILLED, "server-standby-count": 1 },
  });
}

function mastersOf(checkout: Checkout): Contender[] {
  return [
    master(NAMES.masterHttp, {
      checkout,
      speaks: "http",
      file: "master_http.ts",
      settings: OFTEN_KILLED,
    }),
    master(NAMES.masterCoroutine, { checkout, speaks: "lines", file: "master_coroutine.ts" }),
    master(NAMES.masterAio, { checkout, speaks: "lines", file: "master_aio.ts" }),
  ];
}

/** All others. */
export const MASTERS: readonly Contender[] = mastersOf(THIS_CHECKOUT);

/**
 * The same masters of this checkout and of another one, in pairs.
 *
 * @param other The other one.
 */
export function masterPairs(other: Checkout): Contender[] {
  const others = mastersOf(other);
  return MASTERS.flatMap((master, index) => [master, others[index]!]);
}
