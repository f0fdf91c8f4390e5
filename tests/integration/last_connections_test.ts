import { assertEquals } from "@std/assert";
import { Client, isRefused, type Target } from "../support/client.ts";
import { example, type Master, MODES, Site } from "../support/master.ts";
import { HttpClient } from "../server/http_client.ts";
import { eventually } from "../support/wait.ts";

/** Clients that wait in a queue. */
const CROWD = 30;

/** How an address comes to its end, with its service. */
const ENDS: Readonly<
  Record<string, (site: Site, master: Master, services: readonly Service[]) => Promise<void>>
> = {
  "a reload that removes its service": async (site, master, services) => {
    for (const { file } of services) site.remove(file);
    await master.reload();
  },
  "an upgrade that removes its service": async (site, master, services) => {
    for (const { file } of services) site.remove(file);
    await master.upgrade();
  },
  "a stop of the master": (_site, master) => {
    master.signal("SIGTERM");
    return Promise.resolve();
  },
};

/** A service that clients wait for, and what they do. */
interface Service {
  readonly file: string;
  readonly target: Target;
  /** Connects, and returns what fails unless the client is served. */
  readonly connect: () => Promise<() => Promise<void>>;
}

async function connectLines(target: Target): Promise<() => Promise<void>> {
  const client = await Client.connect(target);
  return async () => {
    await client.line();
    assertEquals(await client.ask("quit"), "bye");
    client.close();
  };
}

async function connectHttp(port: number): Promise<() => Promise<void>> {
  const client = await HttpClient.connect(port);
  // A connection without a request is closed as idle, a second after it was accepted.
  await client.request("/");
  return async () => {
    assertEquals((await client.answer()).status, 200);
    client[Symbol.dispose]();
  };
}

/** Programs that answer HTTP: one of this project, and one that knows nothing of its master. */
const HTTP_PROGRAMS = {
  "http.cf": example("http_server.ts"),
  "unchanged.cf": new URL("../support/servers/unchanged/application.ts", import.meta.url).pathname,
};

/** Writes the settings of a service of each mode on each kind of address, and of those of HTTP. */
function writeServices(site: Site): Service[] {
  const services = MODES.flatMap((mode) =>
    [["inet", site.port()], ["unix", site.socket(`${mode}.sock`)]].map(
      ([kind, target]): Service => {
        const file = `${mode}_${kind}.cf`;
        site.serve(file, { mode, service: target });
        return { file, target, connect: () => connectLines(target) };
      },
    )
  );
  for (const [file, program] of Object.entries(HTTP_PROGRAMS)) {
    const port = site.port();
    site.write(file, { "server-command": program, "server-service": `127.0.0.1:${port}` });
    services.push({ file, target: port, connect: () => connectHttp(port) });
  }
  return services;
}

for (const [end, comes] of Object.entries(ENDS)) {
  Deno.test(`both modes, inet, unix and HTTP: who waits at an address is served after ${end}`, async () => {
    await using site = new Site();
    const services = writeServices(site);
    site.serve("stays.cf", { mode: "aio", service: site.port() });
    const master = await site.start();
    await master.serving("stays.cf", 1);
    const pids = await Promise.all(
      services.map(async ({ file }) =>
        Number((await master.logs(new RegExp(`${file}: .*ready is process (\\d+)`)))[1])
      ),
    );
    const clients: (() => Promise<void>)[][] = services.map(() => []);
    // The clients and the end of their address gather before a server that is stopped meanwhile.
    for (const pid of pids) Deno.kill(pid, "SIGSTOP");
    try {
      for (const [index, { connect }] of services.entries()) {
        for (let count = 0; count < CROWD; count++) clients[index].push(await connect());
      }
      await comes(site, master, services);
      for (const pid of pids) await master.logs(new RegExp(`softstop of process ${pid}`));
    } finally {
      for (const pid of pids) Deno.kill(pid, "SIGCONT");
    }
    await Promise.all(services.map(async ({ file }, index) => {
      try {
        for (const isServed of clients[index]) await isServed();
      } catch (cause) {
        throw new Error(`a client of ${file} was not served`, { cause });
      }
    }));
    for (const { file, target } of services) {
      await eventually(() => isRefused(target), { what: `the address of ${file} to be closed` });
    }
    if (end.startsWith("a stop")) await master.stopped();
    else await master.stop();
  });
}
