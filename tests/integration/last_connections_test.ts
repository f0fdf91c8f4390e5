import { assertEquals } from "@std/assert";
import { Client, isRefused, type Target } from "../support/client.ts";
import { type Master, MODES, Site } from "../support/master.ts";
import { HttpClient } from "../server/http_client.ts";
import { eventually } from "../support/wait.ts";

/** Clients that wait in a queue. */
const CROWD = 30;

/** How an address comes to its end. */
const ENDS: Readonly<Record<string, (site: Site, master: Master) => Promise<void>>> = {
  "a reload that removes its service": async (site, master) => {
    site.remove("a.cf");
    await master.reload();
  },
  "an upgrade that removes its service": async (site, master) => {
    site.remove("a.cf");
    await master.upgrade();
  },
  "a stop of the master": (_site, master) => {
    master.signal("SIGTERM");
    return Promise.resolve();
  },
};

/** Lets clients and the end of their address gather before a server that is stopped meanwhile. */
async function gather(
  { site, master, end }: { site: Site; master: Master; end: keyof typeof ENDS },
  connect: () => Promise<unknown>,
): Promise<void> {
  const pid = Number((await master.logs(/a\.cf: .*ready is process (\d+)/))[1]);
  Deno.kill(pid, "SIGSTOP");
  try {
    for (let count = 0; count < CROWD; count++) await connect();
    await ENDS[end](site, master);
    await master.logs(new RegExp(`softstop of process ${pid}`));
  } finally {
    Deno.kill(pid, "SIGCONT");
  }
}

for (const end of Object.keys(ENDS)) {
  for (const mode of MODES) {
    for (const kind of ["inet", "unix"] as const) {
      Deno.test(`${mode} mode, ${kind}: who waits at an address is served after ${end}`, async () => {
        await using site = new Site();
        const port = site.port(), path = site.socket("sock");
        const target: Target = kind === "inet" ? port : path;
        site.serve("a.cf", { mode, service: kind === "inet" ? port : path });
        site.serve("b.cf", { mode, service: site.port() });
        const master = await site.start();
        await Promise.all([master.serving("a.cf", 1), master.serving("b.cf", 1)]);
        const clients: Client[] = [];
        await gather({ site, master, end }, async () => clients.push(await Client.connect(target)));
        for (const client of clients) {
          await client.line();
          assertEquals(await client.ask("quit"), "bye");
          client.close();
        }
        await eventually(() => isRefused(target), { what: "the address to be closed" });
        if (end.startsWith("a stop")) await master.stopped();
        else await master.stop();
      });
    }
  }

  const programs = {
    "HTTP": "examples/http_server.ts",
    "a program that knows nothing of its master": "tests/support/servers/unchanged/application.ts",
  };
  for (const [what, program] of Object.entries(programs)) {
    Deno.test(`${what}: who waits at an address is served after ${end}`, async () => {
      await using site = new Site();
      const port = site.port();
      site.write("a.cf", {
        "server-command": new URL(`../../${program}`, import.meta.url).pathname,
        "server-service": `127.0.0.1:${port}`,
      });
      site.serve("b.cf", { mode: "aio", service: site.port() });
      const master = await site.start();
      await master.serving("b.cf", 1);
      const clients: HttpClient[] = [];
      await gather({ site, master, end }, async () => clients.push(await HttpClient.connect(port)));
      for (const client of clients) {
        assertEquals((await client.get("/")).status, 200);
        client[Symbol.dispose]();
      }
      if (end.startsWith("a stop")) await master.stopped();
      else await master.stop();
    });
  }
}
