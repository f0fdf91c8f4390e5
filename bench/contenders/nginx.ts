/**
 * nginx, with an answer from its configuration.
 *
 * @module
 */
import { NAMES } from "../bars.ts";
import { type Site, until } from "../bench.ts";
import { childrenOf, isRunning } from "../proc.ts";
import { type Contender, hasEventLoop } from "./contender.ts";

/** No limit on the requests of a connection, as the others have none. */
function configuration(site: Site, count: number): string {
  return `daemon off;
worker_processes ${count};
pid ${site.dir}/nginx.pid;
error_log stderr error;
${Deno.uid() === 0 ? "user root;" : ""}
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path ${site.dir};
  proxy_temp_path ${site.dir};
  fastcgi_temp_path ${site.dir};
  uwsgi_temp_path ${site.dir};
  scgi_temp_path ${site.dir};
  server {
    listen 127.0.0.1:${site.port};
    location / { return 200 "hello from $pid\\n"; }
  }
}
`;
}

/** One that leaves has closed what it listened on, and may still have connections. */
function workers(site: Site): number[] {
  return childrenOf(site.pid).filter((pid) => {
    try {
      const title = Deno.readTextFileSync(`/proc/${pid}/cmdline`);
      return title.startsWith("nginx: worker process\0") || /^nginx: worker process *$/.test(title);
    } catch {
      // It has ended meanwhile.
      return false;
    }
  }).filter(isRunning);
}

/** nginx. */
export const NGINX: Contender = {
  name: NAMES.nginx,
  speaks: "http",
  needs: "nginx",
  start(count, { site, tools, cpu }) {
    const path = `${site.dir}/nginx.conf`;
    Deno.writeTextFileSync(path, configuration(site, count));
    const { path: program, env } = tools.nginx!;
    site.start([program, "-p", site.dir, "-e", "stderr", "-c", path], { env, cpu });
  },
  pids: (site) => ({ master: site.pid, workers: workers(site) }),
  async untilReady(count, site) {
    await until(() => workers(site).filter(hasEventLoop).length >= count, {
      what: `${count} processes of nginx; the output was: ${site.output()}`,
    });
  },
  // What `nginx -s reload` sends.
  reload: ({ site }) => Deno.kill(site.pid, "SIGHUP"),
};
