import { assertEquals } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { Site } from "../support/master.ts";
import { descriptorsOf } from "../support/proc.ts";
import { eventually } from "../support/wait.ts";

/** How many restarts and reloads a leak would have to hide in. */
const RESTARTS = Number(Deno.env.get("ZC_RESTARTS") ?? 200);
const RELOADS = Number(Deno.env.get("ZC_RELOADS") ?? 50);

/** A program that starts fast and never says that it is ready. */
const SLEEPER = `sh -c 'exec sleep 60'`;
const SLEEPERS = 10;

Deno.test("a server starts with 0, 1, 2 and its control socket, whatever its master was given", async () => {
  await using site = new Site();
  const report = site.dir.file("report");
  // A program that tells of its descriptors before it does anything else, and then stays.
  const lister = `ls -l /proc/self/fd > ${report}.new; mv ${report}.new ${report}; exec sleep 60`;
  site.write("a.cf", {
    "server-command": `sh -c '${lister}'`,
    "server-service": `127.0.0.1:${site.port()}`,
    "server-protocol": "control",
  });
  site.serve("b.cf", { mode: "coroutine", service: site.port(), "server-proc-count": 3 });
  // The shell leaves two descriptors open for the master.
  await site.start({ prefix: ["sh", "-c", 'exec 7</dev/null 9>/dev/null; exec "$@"', "sh"] });
  const text = await eventually(() => existsSync(report) && Deno.readTextFileSync(report), {
    what: "the report",
  });
  // ls itself has the directory open.
  const found = [...text.matchAll(/(\d+) -> (?!\/proc)(.*)$/gm)].map(([, fd, target]) =>
    Number(fd) < 3 ? fd : target.replace(/\d+/g, "N")
  );
  assertEquals(found, ["0", "1", "2", "socket:[N]"]);
});

Deno.test(`a master holds as many descriptors after ${RESTARTS} restarts and ${RELOADS} reloads as before`, async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const master = await site.start();
  await master.serving("a.cf", 1);
  const before = descriptorsOf(master.pid).size;
  site.write("b.cf", {
    "server-command": SLEEPER,
    "server-service": `127.0.0.1:${site.port()}`,
    "server-protocol": "control",
    "server-proc-count": SLEEPERS,
  });
  await master.reload();
  const sleepers = async (others: readonly number[]) =>
    await eventually(() => {
      const pids = master.servers().filter(({ argv }) => argv[0] === "sleep").map(({ pid }) => pid);
      return pids.length === SLEEPERS && !pids.some((pid) => others.includes(pid)) && pids;
    }, { what: `${SLEEPERS} other sleepers` });
  let pids = await sleepers([]);
  for (let restarts = 0; restarts < RESTARTS; restarts += SLEEPERS) {
    for (const pid of pids) Deno.kill(pid, "SIGKILL");
    pids = await sleepers(pids);
  }
  site.remove("b.cf");
  for (let reloads = 1; reloads < RELOADS; reloads++) await master.reload();
  await eventually(() => master.servers().length === 1, {
    what: "the end of the old processes",
    withinMs: 60_000,
  });
  await eventually(() => descriptorsOf(master.pid).size === before, {
    what: `${before} descriptors of ${[...descriptorsOf(master.pid)].join(" ")}`,
  });
  await master.stop();
});
