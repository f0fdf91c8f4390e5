import { assertEquals } from "@std/assert";
import { Site } from "../support/master.ts";
import { withOpenFileLimit } from "../support/processes.ts";
import { statusLine } from "../support/credentials.ts";

const LISTENERS = 200, PROCESSES = 8;

/** What bounds the descriptors in flight is not for a process with these (unix(7), ETOOMANYREFS). */
const WITHOUT_CAPABILITIES = Deno.uid() === 0
  ? ["setpriv", "--bounding-set", "-sys_resource,-sys_admin"]
  : [];

Deno.test("200 listeners for 8 processes start, reload and upgrade where 1024 descriptors may be in flight", async () => {
  await using site = new Site();
  const server = new URL("../../coroutine_server.ts", import.meta.url).href;
  const project = new URL("../../deno.json", import.meta.url).pathname;
  // It is not for what it serves.
  const script = site.dir.write(
    "idle.ts",
    `import { coroutineServerMain } from "${server}";
    Deno.exit(await coroutineServerMain({ serviceRegister() {} }));\n`,
  );
  site.write("a.cf", {
    "server-command": `deno run -A --config ${project} ${script}`,
    "server-service": Array.from({ length: LISTENERS }, (_, n) => site.socket(`s${n}`)).join(","),
    "server-proc-count": PROCESSES,
    "server-stop-on-softstop-after": 0,
  });
  const prefix = [...withOpenFileLimit(1024), ...WITHOUT_CAPABILITIES];
  const master = await site.start({ prefix });
  const capabilities = BigInt(`0x${statusLine(master.pid, "CapEff")}`);
  assertEquals(capabilities >> 24n & 1n, 0n, "CAP_SYS_RESOURCE");
  await master.logs(/ready is process/, PROCESSES);
  await master.reload();
  await master.upgrade();
  await master.logs(/ready is process/, 3 * PROCESSES);
  assertEquals(
    master.logged(/Cannot|broken|ended after|was not ready|out of reach/),
    0,
    master.log,
  );
  await master.stop();
});
