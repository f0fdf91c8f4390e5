import { assert, assertEquals, assertRejects } from "@std/assert";
import { Config, setFrom } from "../../../src/config/config.ts";
import { ConfigError, formatProblem, type Problem } from "../../../src/config/errors.ts";
import { type IniFile, type IniFiles, parseIni } from "../../../src/config/ini.ts";
import { loadServices, type ServiceSource } from "../../../src/master/services/load.ts";
import { type FakeFile, fakeLookup } from "../../fakes/fake_lookup.ts";
import { TempDir } from "../../support/temp.ts";

const SOURCE: ServiceSource = {
  cwd: "/srv",
  lookup: fakeLookup({ "/srv/good": { executable: "" }, "/srv/notes": "file" }),
};

/** The program of the service of metrics. */
const METRICS_PROGRAM = new URL("../../../src/metrics/main.ts", import.meta.url).pathname;

const GOOD = "server-command = ./good\n";

/** The problems, sorted as users see them, with `DIR` for the directory. */
function told(problems: readonly Problem[], dir = ""): string[] {
  const sorted = problems.length === 0 ? [] : new ConfigError(problems).problems;
  return sorted.map((problem) => formatProblem(problem).replaceAll(dir || "\0", "DIR"));
}

/** INI files without problems. */
function iniOf(...files: readonly IniFile[]): IniFiles {
  return { files, problems: [] };
}

/** The services of a hook. */
function hooked(...settings: Readonly<Record<string, string>>[]): () => Config[] {
  return () =>
    settings.map((given) => {
      const config = new Config();
      for (const [key, value] of Object.entries(given)) config.set(key, value);
      return config;
    });
}

Deno.test("loadServices() reads a directory: its services, its shared settings, its warnings", async () => {
  using dir = new TempDir();
  dir.write("a.cf", `${GOOD}server-service = 0:80\n`);
  dir.write("b.cf", "just = notes\n");
  dir.write("z.gcf", "debug = yes\nserver-protocol = libzc\n");
  const loaded = await loadServices({ ...SOURCE, directory: dir.path });
  assertEquals(told(loaded.problems), []);
  assertEquals(loaded.services.map(({ id, protocol }) => [id, protocol]), [["a.cf", "libzc"]]);
  assertEquals([...loaded.shared], [["debug", "yes"], ["server-protocol", "libzc"]]);
  assertEquals(loaded.warnings.map(({ file }) => file), [dir.file("b.cf")]);
});

Deno.test("loadServices() reports all problems of a directory at once", async () => {
  using dir = new TempDir();
  dir.write(
    "a.cf",
    "server-proc-count = -1\nserver-command = bin/none -x\nserver-service = 0:80\n",
  );
  dir.write("b.cf", "server-command = ./notes\nserver-service = 0:80 0:0\n");
  dir.write("c.cf", `${GOOD}server-service = 0:81\n`);
  dir.write("d.cf", `server-servics = 0:82\n${GOOD}`);
  dir.write("z.gcf", "server-log = paper\n");
  const { problems, services } = await loadServices({ ...SOURCE, directory: dir.path });
  assertEquals(told(problems, dir.path), [
    'DIR/a.cf:1: server-proc-count: Cannot read "-1": below 0, ' +
    "expected a whole number from 0 to 10000",
    'DIR/a.cf:2: server-command: Cannot run "bin/none": no such program /srv/bin/none, ' +
    "expected an executable file",
    'DIR/b.cf:1: server-command: Cannot run "./notes": a file that may not be executed, ' +
    "expected an executable file",
    'DIR/b.cf:2: server-service: Cannot listen on "0:0": a port out of range, ' +
    "expected a port from 1 to 65535",
    'DIR/b.cf:2: server-service: Cannot listen on "0:80": already named in DIR/a.cf:3 as "0:80", ' +
    "expected each address once",
    'DIR/d.cf:1: server-servics: Cannot use as a service "d.cf": no server-service, ' +
    'but "server-servics", expected server-command and server-service',
    'DIR/z.gcf:1: server-log: Cannot read "paper": none of the forms, ' +
    "expected syslog,FACILITY[,IDENT] or masterlog,SOCKET or stdout",
  ]);
  assertEquals(services.map(({ id }) => id), ["c.cf"]);
});

Deno.test("loadServices() refuses a settings file outside of the new root of its servers", async () => {
  using dir = new TempDir();
  dir.write(
    "a.cf",
    `server-command = /good\nserver-service = 0:80\nmaster-chroot = ${dir.path}/jail\n`,
  );
  const lookup = fakeLookup({
    [dir.file("jail")]: "directory",
    [dir.file("jail/good")]: { executable: "" },
  });
  const { problems } = await loadServices({ ...SOURCE, lookup, directory: dir.path });
  assertEquals(told(problems, dir.path), [
    'DIR/a.cf:3: master-chroot: Cannot pass on "DIR": a path outside, ' +
    "expected one inside of DIR/jail",
  ]);
});

Deno.test("loadServices() refuses a root or directory that its servers can't change to", async () => {
  using dir = new TempDir();
  dir.write(
    "a.cf",
    "server-command = /good\nserver-service = 0:80\nmaster-chroot = none\nmaster-chdir = /tmp\n",
  );
  dir.write("b.cf", `server-command = /good\nserver-service = 0:81\nmaster-chroot = ${dir.path}\n`);
  const lookup = fakeLookup(
    {
      ...{ "/srv/none/good": { executable: "" }, [dir.path]: "directory" },
      [dir.file("good")]: { executable: "" },
    },
    { mayChangeRoot: () => false },
  );
  const { problems } = await loadServices({ ...SOURCE, lookup, directory: dir.path });
  assertEquals(told(problems, dir.path), [
    'DIR/a.cf:3: master-chroot: Cannot change the root to "none": no such directory, ' +
    "expected a directory",
    'DIR/a.cf:3: master-chroot: Cannot pass on "DIR": a path outside, ' +
    "expected one inside of /srv/none",
    'DIR/a.cf:4: master-chdir: Cannot change the directory to "/tmp": no such directory, ' +
    "expected a directory, seen from the new root",
    'DIR/b.cf:3: master-chroot: Cannot change the root to "DIR": not permitted, ' +
    "expected a master that runs as root",
  ]);
});

Deno.test("loadServices() names files whose names end in nearly .cf where no service is found", async () => {
  using dir = new TempDir();
  for (const name of ["web.conf", "a.cfg", "notes.txt", ".b.conf"]) dir.write(name, "");
  const { problems, warnings } = await loadServices({ ...SOURCE, directory: dir.path });
  assertEquals(problems, []);
  assertEquals(told(warnings, dir.path), [
    'DIR: Cannot serve "DIR": no service in it (a.cfg web.conf: no name that ends in .cf), so ' +
    "nothing is served until a reload (SIGHUP) finds one, expected a file DIR/NAME.cf with " +
    "server-command and server-service",
  ]);
});

Deno.test("loadServices() speaks of a new root only where there is one", async () => {
  using dir = new TempDir();
  dir.write("a.cf", `server-command = /srv/good\nserver-service = 0:80\nmaster-chdir = /none\n`);
  const { problems } = await loadServices({ ...SOURCE, directory: dir.path });
  assertEquals(told(problems, dir.path), [
    'DIR/a.cf:3: master-chdir: Cannot change the directory to "/none": no such directory, ' +
    "expected a directory",
  ]);
});

Deno.test("loadServices() warns of a directory without any service", async () => {
  using dir = new TempDir();
  const { problems, warnings } = await loadServices({ ...SOURCE, directory: dir.path });
  assertEquals(problems, []);
  assertEquals(told(warnings, dir.path), [
    'DIR: Cannot serve "DIR": no service in it, so nothing is served until a reload (SIGHUP) ' +
    "finds one, expected a file DIR/NAME.cf with server-command and server-service",
  ]);
});

Deno.test("loadServices() refuses to remove all current services", async () => {
  using dir = new TempDir();
  const serving = new Set(["a.cf", "b.cf"]);
  const emptied = await loadServices({ ...SOURCE, directory: dir.path, serving });
  assertEquals(told(emptied.problems, dir.path), [
    'DIR: Cannot go on with "DIR": no service in it, while 2 are running, ' +
    "expected at least one; zc stop ends all of them",
  ]);
  assertEquals(emptied.warnings, []);
  const hook = await loadServices({ ...SOURCE, hook: hooked(), serving: new Set(["hook:1"]) });
  assertEquals(told(hook.problems), [
    'loadConfig: Cannot go on with "loadConfig": no service in it, while 1 is running, ' +
    "expected at least one; zc stop ends all of them",
  ]);
  const one = hooked({ "server-command": "./good", "server-service": "0:81" }, {});
  const left = await loadServices({ ...SOURCE, hook: one, serving: new Set(["hook:1", "hook:2"]) });
  assertEquals(told(left.problems), [
    'hook:2: Cannot use as a service "hook:2": no setting in it, but it serves now, ' +
    "expected server-command and server-service, or no such file",
  ]);
});

Deno.test("loadServices() reports a missing directory once", async () => {
  using dir = new TempDir();
  const { problems } = await loadServices({ ...SOURCE, directory: dir.file("none") });
  assertEquals(told(problems, dir.path), [
    'DIR/none: Cannot read settings directory "DIR/none": no such file or directory, ' +
    "expected a directory that may be read",
  ]);
});

Deno.test("loadServices() requires a directory where there is no hook", async () => {
  assertEquals(told((await loadServices(SOURCE)).problems), [
    'Cannot read argument "-C": it is missing, ' +
    "expected -C DIR, the directory of settings files, or -config FILE.ini; see --help",
  ]);
});

Deno.test("loadServices() calls a hook instead of reading the directory, whose *.gcf are still read", async () => {
  using dir = new TempDir();
  dir.write("a.cf", `${GOOD}server-service = 0:80\n`);
  dir.write("z.gcf", "server-protocol = systemd\n");
  const hook = hooked(
    { "server-command": "./good", "server-service": "0:81", "colour": "red" },
    { "server-command": "./good", "server-service": "0:82" },
  );
  const loaded = await loadServices({ ...SOURCE, directory: dir.path, hook });
  assertEquals(told(loaded.problems), []);
  assertEquals(
    loaded.services.map(({ id, file, protocol }) => [id, file, protocol]),
    [["hook:1", undefined, "systemd"], ["hook:2", undefined, "systemd"]],
  );
  assertEquals(loaded.services[0].settings.get("colour"), "red");
  assertEquals([...loaded.shared.keys()], ["server-protocol"]);
});

Deno.test("loadServices() needs no directory for a hook, which may be asynchronous", async () => {
  const hook = () => Promise.resolve([]);
  const loaded = await loadServices({ ...SOURCE, hook });
  assertEquals([loaded.services, loaded.problems, loaded.warnings], [[], [], []]);
});

Deno.test("loadServices() reports all problems of a hook's services at once", async () => {
  using dir = new TempDir();
  dir.write("z.gcf", "server-protocol = none\n");
  const hook = hooked(
    { "server-command": "./none", "server-service": "0:80", "server-proc-count": "x" },
    { "server-command": "./good", "server-service": "0:80" },
    { "server-service": "0:82" },
    { "server-command": "./good", "server-service": "0:81", "-x": "1" },
  );
  const { problems, services } = await loadServices({ ...SOURCE, directory: dir.path, hook });
  assertEquals(told(problems, dir.path), [
    'DIR/z.gcf:1: server-protocol: Cannot read "none": an unknown word, ' +
    "expected one of auto, control, deno, inherit, libzc, systemd",
    'hook:1: server-proc-count: Cannot read "x": not a whole number, ' +
    "expected a whole number from 0 to 10000",
    'hook:1: server-command: Cannot run "./none": no such program /srv/none, ' +
    "expected an executable file",
    'hook:2: server-service: Cannot listen on "0:80": already named in hook:1 as "0:80", ' +
    "expected each address once",
    'hook:3: server-command: Cannot use as a service "hook:3": no server-command, ' +
    "expected server-command and server-service",
    'hook:4: -x: Cannot hand on setting "-x": a name that is no argument, ' +
    "expected a name and a value that fit into -name value",
  ]);
  assertEquals(services.map(({ id }) => id), ["hook:2"]);
});

Deno.test("loadServices() refuses a world-writable file that a hook has read", async () => {
  using dir = new TempDir();
  const path = dir.write("a.cf", `${GOOD}server-service = 0:80\n`);
  const lookup = fakeLookup({ "/srv/good": { executable: "" } }, {
    looseMode: (one) => one === path ? 0o666 : undefined,
  });
  const hook = () => [new Config().loadFile(path), new Config().loadFile(path)];
  const { problems } = await loadServices({ ...SOURCE, lookup, hook });
  assertEquals(told(problems, dir.path).filter((line) => line.includes("every user")), [
    'DIR/a.cf: Cannot read settings from "DIR/a.cf": every user may write to it (mode 0666), ' +
    "expected a mode without write permission for others, since the master runs as root",
  ]);
});

Deno.test("loadServices() rethrows the error of a hook", async () => {
  const hook = () => Promise.reject(new Error("the database is down"));
  await assertRejects(() => loadServices({ ...SOURCE, hook }), Error, "the database is down");
});

Deno.test("loadServices() changes a fingerprint only with the settings and with the command's files", async () => {
  using dir = new TempDir();
  const files: Record<string, FakeFile> = {
    "/srv/good": { executable: "" },
    "/srv/serve.ts": { executable: "one" },
    "/srv/data": { executable: "one" },
  };
  const fingerprint = async () => {
    const source = { cwd: "/srv", lookup: fakeLookup(files), directory: dir.path };
    const { services: [service], problems } = await loadServices(source);
    assertEquals(told(problems), []);
    return service.fingerprint;
  };
  const write = (own: string) =>
    dir.write("a.cf", `server-command = ./good serve.ts -x\nserver-service = 0:80\n${own}`);
  write("");
  const known = [await fingerprint()];
  const isNew = async () => {
    const next = await fingerprint();
    const isKnown = known.includes(next);
    known.push(next);
    return !isKnown;
  };
  assert(!await isNew(), "nothing has changed");
  files["/srv/data"] = { executable: "two" };
  assert(!await isNew(), "a file that is not in the command");
  dir.write("b.gcf", "");
  assert(!await isNew(), "a file without a setting");
  write("# a remark\n");
  assert(!await isNew(), "a remark");
  files["/srv/serve.ts"] = { executable: "two" };
  assert(await isNew(), "a script among the words of the command");
  files["/srv/good"] = { executable: "two" };
  assert(await isNew(), "the program");
  write("own = 1\n");
  assert(await isNew(), "a setting of its own");
  dir.write("b.gcf", "shared = 1\n");
  assert(await isNew(), "a shared setting");
});

Deno.test("loadServices() adds the sections of INI files to a directory, to a hook, or alone", async () => {
  using dir = new TempDir();
  dir.write("a.cf", `${GOOD}server-service = 0:80\n`);
  const ini = iniOf(parseIni(`[b]\n${GOOD}server-service = 0:81\n`, "s.ini"));
  const hook = hooked({ "server-command": "./good", "server-service": "0:82" });
  const ids = async (more: Partial<ServiceSource>) => {
    const { problems, warnings, services } = await loadServices({ ...SOURCE, ini, ...more });
    assertEquals(told([...problems, ...warnings]), []);
    return services.map(({ id, file }) => [id, file]);
  };
  assertEquals(await ids({}), [["b", undefined]]);
  assertEquals(await ids({ directory: dir.path }), [["a.cf", dir.file("a.cf")], ["b", undefined]]);
  assertEquals(await ids({ directory: dir.path, hook }), [["hook:1", undefined], ["b", undefined]]);
});

Deno.test("loadServices() refuses names and addresses of a section that are there already", async () => {
  using dir = new TempDir();
  dir.write("a.cf", `${GOOD}server-service = 0:80\n`);
  const section = (name: string, port: number) =>
    parseIni(`[${name}]\n${GOOD}server-service = 0:${port}\n`, `${name}.ini`);
  const ini = iniOf(section("a.cf", 81), section("b", 80));
  const { problems } = await loadServices({ ...SOURCE, directory: dir.path, ini });
  assertEquals(told(problems, dir.path), [
    `a.cf.ini:1: Cannot use as a service "a.cf": DIR/a.cf has the same name, expected each name once`,
    'b.ini:3: server-service: Cannot listen on "0:80": already named in DIR/a.cf:2 as "0:80", ' +
    "expected each address once",
  ]);
});

Deno.test("loadServices() names the lines of a section, also for what the program itself shows", async () => {
  const text = "server-user = nobody\n[b]\nserver-command = ./none\nserver-service = 0:81\n";
  const { problems } = await loadServices({ ...SOURCE, ini: iniOf(parseIni(text, "s.ini")) });
  assertEquals(told(problems).map((line) => line.split(": Cannot")[0]), [
    "s.ini:3: server-command",
  ]);
});

Deno.test("loadServices() warns of an INI file without a section where nothing else is named", async () => {
  const { warnings } = await loadServices({ ...SOURCE, ini: iniOf(parseIni("x = 1\n", "s.ini")) });
  assertEquals(told(warnings), [
    's.ini: Cannot serve "/srv/s.ini": no service in it, so nothing is served until a reload ' +
    "(SIGHUP) finds one, expected a section with server-command and server-service",
  ]);
});

Deno.test("loadServices() adds the variables of server-env-file, which server-env overrides", async () => {
  using dir = new TempDir();
  const service = `${GOOD}server-reload = changed\nserver-service`;
  dir.write("all.gcf", `server-env-file = ${dir.file("all.env")}\nserver-env = A=gcf`);
  dir.write("a.cf", `${service} = 0:80\nserver-env = B=own`);
  dir.write("b.cf", `${service} = 0:81`);
  const load = async (text: string) => {
    dir.write("all.env", text);
    const { services, problems } = await loadServices({ ...SOURCE, directory: dir.path });
    assertEquals(told(problems), []);
    return services;
  };
  const [a, b] = await load("A=file\nB=file\nC=file");
  assertEquals([...a.environment], [["A", "file"], ["B", "own"], ["C", "file"]]);
  assertEquals([...b.environment], [["A", "gcf"], ["B", "file"], ["C", "file"]]);
  const [same] = await load("C=file # note\nB=file\nA=file");
  assertEquals(same.fingerprint, a.fingerprint);
  const [changed] = await load("C=other\nB=file\nA=file");
  assert(changed.fingerprint !== a.fingerprint);
});

Deno.test("loadServices() says what is wrong with a file of variables, and where", async () => {
  using dir = new TempDir();
  const service = `${GOOD}server-service`;
  dir.write("a.cf", `${service} = 0:80\nserver-env-file = ${dir.file("none.env")}`);
  dir.write("b.cf", `${service} = 0:81\nserver-env-file = ${dir.path}`);
  dir.write("c.cf", `${service} = 0:82\nserver-env-file = ${dir.file("bad.env")}`);
  dir.write("d.cf", `${service} = 0:83\nserver-env-file = ${dir.file("loose.env")}`);
  dir.write("e.cf", `${service} = 0:84\nserver-env-file = ${dir.file("long.env")}`);
  dir.write("bad.env", "A=1\nB\n");
  dir.write("loose.env", "A=1\n");
  dir.write("long.env", `A=${"x".repeat(130_000)}\n`);
  const lookup = fakeLookup({ "/srv/good": { executable: "" } }, {
    looseMode: (path) => path.endsWith("loose.env") ? 0o666 : undefined,
  });
  const { problems } = await loadServices({ ...SOURCE, lookup, directory: dir.path });
  const file = "expected a regular file that may be read";
  assertEquals(told(problems, dir.path), [
    `DIR/a.cf:3: server-env-file: Cannot read file of variables "DIR/none.env": no such file or directory, ${file}`,
    `DIR/b.cf:3: server-env-file: Cannot read file of variables "DIR": a directory, ${file}`,
    'DIR/bad.env:2: Cannot read a variable: no "=" in its line, expected KEY=VALUE, or a comment that begins with #',
    'DIR/d.cf:3: server-env-file: Cannot read settings from "DIR/loose.env": every user may write to it (mode 0666), ' +
    "expected a mode without write permission for others, since the master runs as root",
    'DIR/e.cf:3: server-env-file: Cannot start "e.cf": 130010 bytes of variables, expected at most 122880',
  ]);
});

Deno.test("loadServices() refuses DENO_DIR for a server that must open no caches", async () => {
  using dir = new TempDir();
  dir.write("a.env", "DENO_DIR=/tmp/x");
  const script = "server-command = ./x.ts\nserver-permissions = --allow-net\nserver-service";
  dir.write("a.cf", `${script} = 0:80\nserver-env = DENO_DIR=/tmp/x`);
  dir.write("b.cf", `${script} = 0:81\nserver-env-file = ${dir.file("a.env")}`);
  dir.write("c.cf", `${GOOD}server-service = 0:82\nserver-env = DENO_DIR=/tmp/x`);
  const lookup = fakeLookup({ "/srv/good": { executable: "" }, "/srv/x.ts": "file" });
  const { problems } = await loadServices({ ...SOURCE, lookup, directory: dir.path });
  const message = 'Cannot set variable "DENO_DIR": a server with fewer rights later or by its ' +
    "permissions, which would open caches there, expected DENO_DIR in the environment of the master";
  assertEquals(told(problems, dir.path), [
    `DIR/a.cf:4: server-env: ${message}`,
    `DIR/b.cf:4: server-env-file: ${message}`,
  ]);
});

Deno.test("loadServices() names the setting metrics where its address is a slip, or named already", async () => {
  const files = { "/srv/good": { executable: "" }, [METRICS_PROGRAM]: "file" } as const;
  const lookup = fakeLookup(files, { mayChangeUser: () => false });
  const loaded = async (text: string, own = new Config()) => {
    using dir = new TempDir();
    dir.write("a.cf", `${GOOD}server-service = 0:80\n`);
    dir.write("z.gcf", text);
    const { problems, warnings } = await loadServices(
      { cwd: "/srv", directory: dir.path, own, lookup },
    );
    return told([...problems, ...warnings], dir.path);
  };
  const slip = 'metrics: Cannot take for host:port "9100": no colon in it, so it is a socket ' +
    "file, expected 0:9100, or ./9100 if that is meant";
  assertEquals(await loaded("metrics = 9100\n"), [`DIR/z.gcf:1: ${slip}`]);
  const argument = setFrom(new Config(), "metrics", "9100", "argument");
  assertEquals(await loaded("", argument), [`argument -${slip}`]);
  assertEquals(await loaded("metrics = :80\n"), [
    'DIR/z.gcf:1: metrics: Cannot listen on ":80": already named in DIR/a.cf:2 as "0:80", ' +
    "expected each address once",
  ]);
});

Deno.test("loadServices() warns of the service of metrics where it would run as root", async () => {
  const warned = async (
    shared: string,
    { isRoot = true, own = { metrics: "127.0.0.1:9100" } }: {
      readonly isRoot?: boolean;
      readonly own?: Readonly<Record<string, string>>;
    } = {},
  ) => {
    using dir = new TempDir();
    dir.write("a.cf", `${GOOD}server-service = 0:80\n`);
    dir.write("z.gcf", shared);
    const config = new Config();
    for (const [key, value] of Object.entries(own)) setFrom(config, key, value, "argument");
    const files = { "/srv/good": { executable: "" }, [METRICS_PROGRAM]: "file" } as const;
    const lookup = fakeLookup(files, { mayChangeUser: () => isRoot, mayChangeRoot: () => isRoot });
    const { problems, warnings } = await loadServices({
      ...{ cwd: "/srv", directory: dir.path, own: config, lookup },
    });
    assertEquals(told(problems), []);
    return told(warnings.filter(({ key }) => key === "metrics"), dir.path);
  };
  const text =
    'metrics: Cannot confine "metrics": no server-user, so the service metrics runs as ' +
    "root, expected server-user = USER in a .gcf file or in the head of an INI file";
  assertEquals(await warned(""), [`argument -${text}`]);
  assertEquals(await warned("server-group = mail\n"), [`argument -${text}`]);
  assertEquals(await warned("metrics = 127.0.0.1:9100\n", { own: {} }), [
    `DIR/z.gcf:1: ${text}`,
  ]);
  assertEquals(await warned("server-user = www\n"), []);
  assertEquals(await warned("", { isRoot: false }), []);
  const own = { metrics: "127.0.0.1:9100", "run-user": "www" };
  assertEquals(await warned("", { own }), []);
});
