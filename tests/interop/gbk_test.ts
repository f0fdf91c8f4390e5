/** Installations in GBK: their bytes reach the system and C programs as they are, and Deno programs as text. */
import { assert, assertEquals } from "@std/assert";
import { encodeText } from "../../src/os/ffi/byte_text.ts";
import { listPath } from "../../src/os/fs/path.ts";
import { greeted } from "../support/client.ts";
import { pidIn, SERVERS, Site } from "../support/master.ts";
import { CMaster, denoExecutable, peer, withDenoInPath } from "../support/peers.ts";
import { eventually } from "../support/wait.ts";

/** Some words in GBK, as text that stands for their bytes. */
const MAIL = gbk(0xd3, 0xca, 0xbc, 0xfe), RED = gbk(0xba, 0xec), HERE = gbk(0xb1, 0xbe, 0xb5, 0xd8);
/** A character whose second byte is a backslash. */
const SLASHED = gbk(0x81, 0x5c);

function gbk(...bytes: number[]): string {
  return String.fromCharCode(...bytes.map((byte) => 0xdc00 + byte));
}

/** For a shell: a word of any bytes. */
function shellWord(text: string): string {
  const octal = Array.from(encodeText(text), (byte) => `\\${byte.toString(8).padStart(3, "0")}`);
  return `"$(printf '${octal.join("")}')"`;
}

/** Runs a command of a shell to its end. */
async function shell(script: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("sh", { args: ["-c", script] })
    .output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** Writes a file of any name, in a directory that is made. */
async function write(directory: string, name: string, text: string): Promise<void> {
  const from = Deno.makeTempFileSync();
  Deno.writeFileSync(from, encodeText(text));
  const words = [directory, `${directory}/${name}`].map(shellWord);
  await shell(`mkdir -p ${words[0]} && mv ${from} ${words[1]} && chmod 755 ${words[1]}`);
}

/** Whether the command line of a process has these bytes. */
function hasArgument(pid: number, text: string): boolean {
  const latin1 = new TextDecoder("latin1");
  return latin1.decode(Deno.readFileSync(`/proc/${pid}/cmdline`))
    .includes(latin1.decode(encodeText(text)));
}

/** Connects to the socket file of a path that is not UTF-8, and gives the first line of the answer. */
function connected(path: string): Promise<string> {
  const script = "import socket, sys, os\\ns = socket.socket(socket.AF_UNIX)\\n" +
    "s.connect(os.fsencode(sys.argv[1]))\\nprint(s.makefile(errors='replace').readline(), end='')";
  return shell(`python3 -c "$(printf "${script}")" ${shellWord(path)}`);
}

Deno.test("a master runs C programs and Deno programs of an installation in GBK", async () => {
  await using site = new Site();
  const ports = [site.port(), site.port()];
  const directory = `${site.dir.path}/${SLASHED}`;
  // It goes on, since a reload takes no version that ends.
  const script =
    'console.error("ran by its name", import.meta.url); setInterval(() => {}, 60_000);\n';
  await write(directory, "x.ts", script);
  await shell(`cp ${peer("server")} ${shellWord(`${directory}/${MAIL}`)}`);
  // Quoted as in a shell, and the backslash among its bytes is none.
  await write(
    site.conf,
    `${MAIL}.cf`,
    `# ${MAIL}\nserver-command = "${directory}/${MAIL}"\nmaster-chdir = ${directory}\n` +
      `server-service = ${MAIL}://127.0.0.1:${ports[0]}, ${HERE}://${directory}/${HERE}.sock\n` +
      `color = ${RED}\n`,
  );
  await write(
    site.conf,
    "deno.cf",
    `server-command = ${SERVERS.coroutine}\nserver-service = ${MAIL}://127.0.0.1:${ports[1]}\n` +
      `color = ${RED}\n`,
  );
  await write(
    site.conf,
    "script.cf",
    `server-command = ${directory}/x.ts\nserver-service = ./x.sock\nserver-protocol = systemd\n`,
  );
  await write(site.conf, "all.gcf", `shared = ${RED}\n`);
  const master = await site.start();
  const client = await greeted(ports[0]);
  const pid = pidIn(client);
  for (const argument of [`${MAIL}:i5,${HERE}:u6`, `${site.conf}/${MAIL}.cf`]) {
    assert(hasArgument(pid, argument), argument);
  }
  client.close();
  assertEquals(
    await connected(`${directory}/${HERE}.sock`),
    `c ${pid} \ufffd\ufffd\ufffd\ufffd unix\n`,
  );
  using other = await greeted(ports[1]);
  assertEquals(other.greeting, `coroutine ${pidIn(other)} 邮件 inet`);
  assertEquals(await other.ask("setting color"), "红");
  assertEquals(await other.ask("setting shared"), "红");
  await master.logs(/ran by its name file:\/\/\S*\/%81%5C\/x\.ts/);
  await master.logs(/ warn \S+ .*\/邮件\.cf:2: Cannot read as UTF-8 ".*\/乗\/邮件/);
  assertEquals(master.logged(/ warn \S+ .*Cannot read as UTF-8/), 4);
  await master.reload();
  assert(listPath(directory).includes(`${HERE}.sock`));
  await master.logs(/listeners: 4 kept/);
  other.close();
  await master.stop();
  assert(!listPath(directory).includes(`${HERE}.sock`));
});

Deno.test("a server under a master in C, and one by hand, know names and values in GBK", async () => {
  await using site = new Site();
  const [port, alone] = [site.port(), site.port()];
  const command = denoExecutable(site, SERVERS.aio);
  const text = `server-command = ${command}\nserver-service = ${MAIL}://127.0.0.1:${port}\n`;
  await write(site.conf, "x.cf", `${text}color = ${RED}\n`);
  const master = await CMaster.start(site);
  {
    using client = await greeted(port);
    assertEquals(client.greeting, `aio ${pidIn(client)} 邮件 inet`);
    assertEquals(await client.ask("setting color"), "红");
  }
  await master.stop();
  const words = `-server-service ${shellWord(`${MAIL}://127.0.0.1:${alone}`)} -color ${
    shellWord(RED)
  }`;
  const server = site.execute(["sh", "-c", `exec deno run -A ${SERVERS.aio} alone ${words}`], {
    env: withDenoInPath(site),
  });
  await server.complains(/serviceRegister 邮件 inet/);
  using client = await greeted(alone);
  assertEquals(await client.ask("setting color"), "红");
  client.close();
  server.signal("SIGTERM");
  assertEquals((await server.ended()).code, 0);
  await eventually(() => site.processes().length === 0, { what: "the end of all" });
});

Deno.test("a master takes a directory of settings and a pid file whose names are in GBK", async () => {
  await using site = new Site();
  const port = site.port(), directory = `${site.dir.path}/${MAIL}`;
  const text = `server-command = ${SERVERS.aio}\nserver-service = 127.0.0.1:${port}\n`;
  await write(directory, "x.cf", text);
  const words = [directory, `${directory}/${HERE}.pid`].map(shellWord);
  const program = new URL("../../master.ts", import.meta.url).pathname;
  const script = `exec deno run -A ${program} -C ${words[0]} -pid-file ${words[1]}`;
  const process = site.execute(["sh", "-c", script], { env: withDenoInPath(site) });
  await process.complains(/listeners: opened /);
  (await greeted(port)).close();
  assert(listPath(directory).includes(`${HERE}.pid`));
  process.signal("SIGTERM");
  assertEquals((await process.ended()).code, 0);
});
