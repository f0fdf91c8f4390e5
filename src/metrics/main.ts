/**
 * The program of the service `metrics`: it shows the status of its master to Prometheus, to probes and to browsers.
 *
 * Not for import by users: a master with `-metrics ADDR` runs it. Its only argument of its own is the path of the
 * master's status socket.
 *
 * @module
 */
import { cannot } from "../config/errors.ts";
import { ControlClient } from "../control/client.ts";
import { ownArguments } from "../os/ffi/proc_self.ts";
import { serverLifecycle } from "../server/lifecycle/lifecycle.ts";
import { runServer } from "../server/runtime/runtime.ts";
import { openHttp } from "../server/serve_http.ts";
import { MetricsServer } from "./server.ts";

/** More than all viewers of the page, and few enough for each limit of open files. */
const MOST_CONNECTIONS = 256;

/** How long responses under way have at a stop; each takes milliseconds unless its client does not read. */
const STOP_SECONDS = 3;

/**
 * Runs the server until it is told to stop.
 *
 * @param path The path of the status socket.
 * @param args The command line, which the master supplies.
 * @returns The exit code.
 */
export function metricsServerMain(
  path: string,
  args: readonly string[] = ownArguments(),
): Promise<number> {
  const server = new MetricsServer({ connect: () => ControlClient.connect(path) });
  return runServer({
    serviceRegister(_service, fd, fdType) {
      server.start();
      openHttp(fd, fdType, (request, { completed }) => server.answer(request, completed), {
        mostConnections: MOST_CONNECTIONS,
      });
    },
    beforeSoftstop() {
      server.stop();
      serverLifecycle.stopNotify(STOP_SECONDS);
    },
  }, args);
}

if (import.meta.main) {
  const [path] = Deno.args;
  if (path === undefined) {
    console.error(cannot("start", "metrics", {
      found: "no path of a status socket",
      expected: "a start by a master with -metrics ADDR",
    }));
    Deno.exit(1);
  }
  Deno.exit(await metricsServerMain(path));
}
