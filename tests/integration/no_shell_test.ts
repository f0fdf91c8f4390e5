/** No setting reaches a shell, whatever is written in it. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { greeted, isRefused } from "../support/client.ts";
import { type ModeName, SERVERS, Site } from "../support/master.ts";

/** What a shell would make of a text: each of these makes a file. */
function bait(path: string): string[] {
  const touch = `touch ${path}`;
  return [`; ${touch} ;`, `\`${touch}\``, `$(${touch})`, `&& ${touch}`, `| ${touch}`, `> ${path}`];
}

function filesOf(site: Site): string[] {
  return [...Deno.readDirSync(site.dir.path)].map(({ name }) => name).sort();
}

for (const protocol of ["control", "inherit"] as const) {
  Deno.test(`what a shell would run is plain words in a server-command, with the ${protocol} protocol`, async () => {
    await using site = new Site();
    const port = site.port(), made = site.dir.file("made"), words = bait(made).join(" ").split(" ");
    // The start of a program in another directory takes another way.
    const here = site.dir.file("$(touch made)");
    Deno.mkdirSync(here);
    site.serve("a.cf", {
      mode: "coroutine" satisfies ModeName,
      service: port,
      args: words,
      "server-protocol": protocol,
      "master-chdir": here,
      "own": bait(made).join(" "),
    });
    const before = filesOf(site);
    const master = await site.start();
    using client = await greeted(port);
    const [{ argv, pid }] = master.servers("a.cf");
    const at = argv.indexOf(SERVERS.coroutine) + 1;
    assertEquals(argv.slice(at, at + words.length), words);
    assertEquals(Deno.readLinkSync(`/proc/${pid}/cwd`), here);
    assertEquals(await client.ask("setting own"), bait(made).join(" "));
    client.close();
    await master.stop();
    assertEquals(filesOf(site), [...before, "master.pid"]);
    assertEquals([...Deno.readDirSync(here)], []);
  });
}

Deno.test("what a shell would run is refused as a program, a user, an address, a directory or a log", async () => {
  await using site = new Site();
  const port = site.port(), made = site.dir.file("made");
  for (const [index, text] of bait(made).entries()) {
    site.write(`${index}.cf`, {
      "server-command": `'${SERVERS.aio} ${text}' x`,
      "server-service": `127.0.0.1:${port}`,
      "server-user": text,
      "server-group": text,
      "server-chroot": text,
      "server-socket-owner": text,
      "server-permissions": text,
      "master-chroot": text,
      "master-chdir": text,
      "server-log": text,
      "server-soak": text,
    });
  }
  const before = filesOf(site);
  const args = ["-C", site.conf, "-pid-file", site.pidFile];
  const { code, stderr } = await site.run([...args, "-exit-after", `$(touch ${made})`]).ended();
  assertEquals(code, 1);
  assertStringIncludes(stderr, `argument -exit-after: Cannot read "$(touch ${made})"`);
  for (const index of bait(made).keys()) {
    assertStringIncludes(stderr, `${index}.cf:1: server-command: Cannot run`);
  }
  assertEquals(filesOf(site), before);
  assertEquals(await isRefused(port), true);
});
