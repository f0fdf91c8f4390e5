/** Servers that end themselves in order are replaced at once, however often they do. */
import { assertEquals } from "@std/assert";
import { greeted } from "../support/client.ts";
import { MODES, pidIn, Site } from "../support/master.ts";

/** More than the start limit of the tests; a delay shows from the second end on. */
const ROUNDS = 7;

const DELAYED = /the next one is started in (?!0\.1 s|\d+ ms)/;

for (const mode of MODES) {
  Deno.test(`${mode} mode: a server that ends after each client is not slowed down`, async () => {
    await using site = new Site();
    const port = site.port();
    site.serve("a.cf", { mode, service: port, "server-start-limit": "5/1h" });
    const master = await site.start();
    const pids = new Set<number>();
    for (let round = 0; round < ROUNDS; round++) {
      using client = await greeted(port);
      pids.add(pidIn(client));
      await client.write("exit 0\n");
      assertEquals(await client.ending(), "end of file");
    }
    assertEquals(pids.size, ROUNDS);
    assertEquals(master.logged(DELAYED), 0, master.log);
    await master.stop();
  });
}

Deno.test("a server with exit-after that nobody uses is not slowed down", async () => {
  await using site = new Site();
  const port = site.port();
  // Much longer than a master must have seen it ready, also if that is late on a busy machine.
  site.serve("a.cf", { mode: "coroutine", service: port, "exit-after": 2 });
  const master = await site.start();
  await master.logs(/a\.cf: process \d+ ended after \S+ \S+: exit code 0/, 5);
  assertEquals(master.logged(/the next one is started in/), 0, master.log);
  (await greeted(port)).close();
  await master.stop();
});

Deno.test("an HTTP server that ends after each answer is not slowed down", async () => {
  await using site = new Site();
  const port = site.port();
  const server = new URL("../../coroutine_server.ts", import.meta.url).href;
  const project = new URL("../../deno.json", import.meta.url).pathname;
  const script = site.dir.write(
    "once.ts",
    `import { coroutineServerMain, serveHttp } from "${server}";
    Deno.exit(await coroutineServerMain({
      serviceRegister: (_service, fd, fdType) =>
        serveHttp(fd, fdType, (_request, { completed }) => {
          completed.then(() => setTimeout(() => Deno.exit(0), 10));
          return new Response(String(Deno.pid));
        }),
    }));\n`,
  );
  site.write("a.cf", {
    "server-command": `deno run -A --config ${project} ${script}`,
    "server-service": `127.0.0.1:${port}`,
  });
  const master = await site.start();
  const ended = /a\.cf: process \d+ ended after \S+ \S+: exit code 0/;
  while (master.logged(ended) < ROUNDS) {
    // One that comes to a server just before its end is lost with it.
    await fetch(`http://127.0.0.1:${port}/`).then((answer) => answer.text(), () => {});
  }
  assertEquals(master.logged(DELAYED), 0, master.log);
  await master.stop();
});
