import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Client } from "../../support/client.ts";
import { type Ended, startDeno, startFunction } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";

const ROOT = new URL("../../..", import.meta.url).pathname;
const CONFIG = `${ROOT}deno.json`;

/** Runs a server whose hooks do nothing, until it ends by itself. */
async function run(...args: string[]): Promise<Ended> {
  await using child = startFunction(import.meta, async (args) => {
    const { coroutineServerMain } = await import("../../../coroutine_server.ts");
    Deno.exit(await coroutineServerMain({ serviceRegister() {} }, args));
  }, { arg: args });
  return await child.ended();
}

Deno.test("a server without the hook serviceRegister is told which one it needs, exit code 1", async () => {
  await using child = startFunction(import.meta, async () => {
    const { coroutineServerMain } = await import("../../../coroutine_server.ts");
    // As from a program that is not type-checked.
    const hooks = { serviceRegistr() {} } as never;
    Deno.exit(await coroutineServerMain(hooks, ["alone", "-server-service", "127.0.0.1:1"]));
  });
  const { code, stderr } = await child.ended();
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^\S+ error \S+ Cannot use hook "serviceRegistr": no such hook, expected serviceRegister\n$/,
  );
});

for (
  const { args, message } of [
    { args: [], message: /no mode, expected .* alone -server-service/ },
    { args: ["start"], message: /Cannot start "start": an unknown mode, expected .* alone/ },
    { args: ["alone", "-server-servce", "0:80"], message: /expected -server-service LIST/ },
    { args: ["alone", "--server-service", "0:80"], message: /expected -server-service LIST/ },
    { args: ["alone", "-server-service=0:80"], message: /expected -server-service LIST/ },
    { args: ["alone", "-server-service"], message: /-server-service/ },
    { args: ["alone", "-server-service", "127.0.0.1:http"], message: /127\.0\.0\.1:http/ },
    { args: ["alone", "-server-service", "a-host:80"], message: /a-host/ },
    { args: ["alone", "-config", "/no/such.cf"], message: /\/no\/such\.cf/ },
    { args: ["MASTER"], message: /Cannot start "MASTER": .*expected a start by a/ },
    { args: ["MASTER", "-server-control", "2"], message: /server-control/ },
    { args: ["MASTER", "-server-control", "999"], message: /not an open descriptor|EBADF/ },
  ]
) {
  Deno.test(`a server with the arguments "${args.join(" ")}" tells what is wrong, exit code 1`, async () => {
    const { code, stdout, stderr } = await run(...args);
    assertEquals([code, stdout], [1, ""], stderr);
    assertMatch(stderr, message);
    assert(!/\n +at /.test(stderr), `a stack is of no use here: ${stderr}`);
  });
}

Deno.test("a server with a wrong setting leaves no socket file behind, exit code 1", async () => {
  for (const setting of ["server-stop-on-softstop-after", "exit-after"]) {
    using dir = new TempDir();
    const path = dir.file("socket");
    const { code, stderr } = await run("alone", "-server-service", path, `-${setting}`, "soon");
    assertEquals(code, 1);
    assertMatch(stderr, new RegExp(`${setting}.*soon`));
    assertEquals([...Deno.readDirSync(dir.path)], [], setting);
  }
});

Deno.test("a server tells all addresses that it can't open, and leaves nothing behind", async () => {
  using dir = new TempDir();
  const plain = dir.write("plain", "text");
  const list = `${dir.file("good")},${plain},${dir.file("no/such/place")}`;
  const { code, stderr } = await run("alone", "-server-service", list);
  assertEquals(code, 1);
  assertStringIncludes(stderr, plain);
  assertStringIncludes(stderr, dir.file("no/such/place"));
  assertEquals([...Deno.readDirSync(dir.path)].map(({ name }) => name), ["plain"]);
  assertEquals(Deno.readTextFileSync(plain), "text");
});

Deno.test("a server lists its settings for -help", async () => {
  const { code, stdout, stderr } = await run("-help");
  assertEquals([code, stderr], [0, ""]);
  assertStringIncludes(stdout, "-server-service");
});

Deno.test("a server removes its socket file at its end", async () => {
  using dir = new TempDir();
  const path = dir.file("socket");
  await using child = startFunction(import.meta, async (path) => {
    const { coroutineServerMain, coroutineServerStopNotify } = await import(
      "../../../coroutine_server.ts"
    );
    const code = await coroutineServerMain({
      serviceRegister() {
        console.log(Deno.lstatSync(path).isSocket);
        coroutineServerStopNotify(0);
      },
    }, ["alone", "-server-service", path]);
    // Nothing is left that keeps the process going: no Deno.exit() here.
    console.log(code);
  }, { arg: path });
  assertEquals(await child.succeeds(), "true\n0\n");
  assertEquals([...Deno.readDirSync(dir.path)], []);
});

Deno.test("a server reads .gcf, .cf and arguments, the later winning, with the getters of defaultConfig", async () => {
  using dir = new TempDir();
  Deno.mkdirSync(dir.file("conf"));
  dir.write("conf/a.gcf", "one = gcf\ntwo = gcf\nthree = gcf\nfour = 1m\nfive = yes\n");
  dir.write("conf/own.cf", "two = cf\nthree = cf\nsix = 64k\nseven = 0x\n");
  dir.write("conf/more.cf", "three = more\nsix = 1g\n");
  const args = [
    ...["alone", "-server-service", dir.file("socket"), "-server-config-path", dir.file("conf")],
    ...["-three", "argument", "-config", dir.file("conf/own.cf"), "-eight", "-8", "--nine"],
    ...["-config", dir.file("conf/more.cf")],
  ];
  await using child = startFunction(import.meta, async (args) => {
    const { coroutineServerMain, coroutineServerStopNotify, defaultConfig } = await import(
      "../../../coroutine_server.ts"
    );
    const { settingOrigin } = await import("../../../src/config/config.ts");
    await coroutineServerMain({
      beforeService() {
        console.log(JSON.stringify([
          ...["one", "two", "three", "ten"].map((key) => defaultConfig.getStr(key, "default")),
          defaultConfig.getSecond("four"),
          defaultConfig.getBool("five"),
          defaultConfig.getSize("six"),
          defaultConfig.getInt("seven", 7),
          defaultConfig.getLong("eight"),
          defaultConfig.getBool("nine"),
          settingOrigin(defaultConfig, "two"),
          settingOrigin(defaultConfig, "three"),
        ]));
      },
      serviceRegister: () => coroutineServerStopNotify(0),
    }, args);
  }, { arg: args });
  assertEquals(JSON.parse(await child.succeeds()), [
    ...["gcf", "cf", "argument", "default", 60, true, 2 ** 30, 0, -8, true],
    { file: dir.file("conf/own.cf"), line: 1 },
    "argument",
  ]);
});

Deno.test("a server awaits its hooks, in order, and gives each service to serviceRegister", async () => {
  using dir = new TempDir();
  const list = `imap://${dir.file("one")};${dir.file("two")} pop://fifo:${dir.file("three")}`;
  await using child = startFunction(import.meta, async (list) => {
    const { coroutineServerMain, coroutineServerStopNotify } = await import(
      "../../../coroutine_server.ts"
    );
    const { describeListener } = await import("../../../src/os/net/socket.ts");
    const turn = () => new Promise((resolve) => setTimeout(resolve, 1));
    let services = 0;
    await coroutineServerMain({
      async beforeService() {
        console.log("beforeService begins");
        await turn();
        console.log("beforeService ends");
      },
      async serviceRegister(service, fd, fdType) {
        console.log(JSON.stringify([service, describeListener(fd), fdType]));
        await turn();
        console.log("registered");
        if (++services === 3) coroutineServerStopNotify(0);
      },
    }, ["alone", "-server-service", list]);
  }, { arg: list });
  const at = (name: string, kind: string, service: string) =>
    JSON.stringify([service, { kind, path: dir.file(name) }, kind]);
  assertEquals((await child.succeeds()).split("\n"), [
    ...["beforeService begins", "beforeService ends"],
    ...[at("one", "unix", "imap"), "registered", at("two", "unix", ""), "registered"],
    ...[at("three", "fifo", "pop"), "registered", ""],
  ]);
});

Deno.test("an aio server has its defaultAioBase in beforeService", async () => {
  using dir = new TempDir();
  await using child = startFunction(import.meta, async (path) => {
    const { aioCreate, aioServerMain, aioServerStopNotify, defaultAioBase } = await import(
      "../../../aio_server.ts"
    );
    Deno.exit(
      await aioServerMain({
        beforeService() {
          aioCreate(-1, defaultAioBase).sleep(() => {
            console.log("slept");
            aioServerStopNotify(0);
          }, 0.01);
        },
        serviceRegister: (_service, _fd, fdType) => console.log(fdType),
      }, ["alone", "-server-service", path]),
    );
  }, { arg: dir.file("socket") });
  assertEquals(await child.succeeds(), "unix\nslept\n");
});

for (const hook of ["beforeService", "serviceRegister"] as const) {
  for (const kind of ["throws", "rejects"] as const) {
    Deno.test(`a server whose ${hook} ${kind} ends with exit code 1 and the stack in its log`, async () => {
      using dir = new TempDir();
      const arg = [hook, kind, dir.file("socket")] as const;
      await using child = startFunction(import.meta, async ([hook, kind, path]) => {
        const { coroutineServerMain } = await import("../../../coroutine_server.ts");
        function faulty(): void | Promise<void> {
          const error = new Error("a fault of the program");
          if (kind === "rejects") return Promise.reject(error);
          throw error;
        }
        const hooks = { serviceRegister() {}, [hook]: faulty };
        Deno.exit(await coroutineServerMain(hooks, ["alone", "-server-service", path]));
      }, { arg });
      const { code, stderr } = await child.ended();
      assertEquals(code, 1);
      assertMatch(stderr, /Error: a fault of the program\n +at .*faulty/);
      assertEquals([...Deno.readDirSync(dir.path)], []);
    });
  }
}

Deno.test("a second server in a process is refused, and the first one goes on", async () => {
  using dir = new TempDir();
  await using child = startFunction(import.meta, async (paths) => {
    const { coroutineServerMain, coroutineServerStopNotify } = await import(
      "../../../coroutine_server.ts"
    );
    const start = (path: string, serviceRegister: () => void) =>
      coroutineServerMain({ serviceRegister }, ["alone", "-server-service", path]);
    const registered = Promise.withResolvers<void>();
    const first = start(paths[0], registered.resolve);
    await registered.promise;
    console.log(await start(paths[1], () => {}));
    coroutineServerStopNotify(0);
    console.log(await first);
  }, { arg: [dir.file("one"), dir.file("two")] });
  const { code, stdout, stderr } = await child.ended();
  assertEquals([code, stdout], [0, "1\n0\n"], stderr);
  assertStringIncludes(stderr, "Cannot run a second server in this process");
  assertEquals([...Deno.readDirSync(dir.path)], []);
});

Deno.test("a server ends after -exit-after, whatever is under way", async () => {
  using dir = new TempDir();
  await using child = startFunction(import.meta, async (path) => {
    const { coroutineServe, coroutineServerMain } = await import("../../../coroutine_server.ts");
    Deno.exit(
      await coroutineServerMain({
        serviceRegister: (_service, fd, fdType) =>
          coroutineServe(fd, fdType, async (conn) => {
            await conn.write(new TextEncoder().encode("hello\n"));
            await conn.read(new Uint8Array(1));
          }),
        beforeService: () => console.log("starting"),
      }, ["alone", "-server-service", path, "-exit-after", "1"]),
    );
  }, { arg: dir.file("socket") });
  await child.prints(/starting\n/);
  using client = await Client.connect(dir.file("socket"));
  assertEquals(await client.line(), "hello");
  assertEquals(await client.ending(), "end of file");
  await child.succeeds();
});

Deno.test("a signal between the end of a server and the exit of its program does not change the exit code", async () => {
  using dir = new TempDir();
  for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) {
    await using child = startFunction(import.meta, async ({ path, signal }) => {
      const { coroutineServerMain, coroutineServerStopNotify } = await import(
        "../../../coroutine_server.ts"
      );
      const code = await coroutineServerMain({
        serviceRegister: () => coroutineServerStopNotify(0),
      }, ["alone", "-server-service", path]);
      // Delivered before the call returns, where nothing in the process handles it.
      Deno.kill(Deno.pid, signal);
      Deno.exit(code);
    }, { arg: { path: dir.file("socket"), signal } });
    await child.succeeds();
  }
});

Deno.test("a program that goes on after its server has ended has the signals to itself", async () => {
  using dir = new TempDir();
  await using child = startFunction(import.meta, async (path) => {
    const { coroutineServerMain, coroutineServerStopNotify } = await import(
      "../../../coroutine_server.ts"
    );
    await coroutineServerMain({
      serviceRegister: () => coroutineServerStopNotify(0),
    }, ["alone", "-server-service", path]);
    // They are released in one of the next turns of the event loop.
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      Deno.kill(Deno.pid, "SIGTERM");
    }
  }, { arg: dir.file("socket") });
  assertEquals((await child.ended()).code, 128 + 15);
});

for (const signals of [1, 2]) {
  Deno.test(`a server that starts slowly ends after ${signals} SIGTERM`, async () => {
    using dir = new TempDir();
    await using child = startFunction(import.meta, async (path) => {
      const { coroutineServe, coroutineServerMain } = await import("../../../coroutine_server.ts");
      const slow = Promise.withResolvers<void>();
      Deno.addSignalListener("SIGWINCH", slow.resolve);
      Deno.exit(
        await coroutineServerMain({
          async beforeService() {
            console.log("starting");
            await slow.promise;
          },
          serviceRegister: (_service, fd, fdType) => coroutineServe(fd, fdType, () => {}),
        }, ["alone", "-server-service", path]),
      );
    }, { arg: dir.file("socket") });
    await child.prints(/starting\n/);
    child.signal("SIGTERM");
    // The second one has no patience with the hook.
    child.signal(signals === 2 ? "SIGTERM" : "SIGWINCH");
    await child.succeeds();
    assertEquals(child.stderr, "");
    assertEquals([...Deno.readDirSync(dir.path)], []);
  });
}

Deno.test("zinfo() and zdebug() name the file and the line of their caller", async () => {
  using dir = new TempDir();
  const program = dir.write(
    "my_server.ts",
    `import { coroutineServerMain, coroutineServerStopNotify, zdebug, zfatal, zinfo } from ${
      JSON.stringify(`file://${ROOT}coroutine_server.ts`)
    };
const code = await coroutineServerMain({
  serviceRegister() {
    zinfo("a line", { number: 1 }, "and text");
    zdebug("a debug line");
    coroutineServerStopNotify(0);
  },
});
if (Deno.args.includes("--fatal")) zfatal("the end");
Deno.exit(code);
`,
  );
  const start = (...args: string[]) =>
    startDeno([
      ...["run", "-A", "--config", CONFIG, "--no-lock", program, "alone"],
      ...["-server-service", dir.file("socket"), ...args],
    ]);
  {
    await using child = start("-server-log", "stdout");
    const stdout = await child.succeeds();
    assertMatch(
      stdout,
      /^\S+ info my_server\[\d+\] a line \{ number: 1 \} and text\n$/,
    );
    assertEquals(child.stderr, "");
  }
  {
    await using child = start("--debug", "--fatal");
    const { code, stdout, stderr } = await child.ended();
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, / debug my_server\[\d+\] a debug line \[my_server\.ts:5\]\n/);
    assertMatch(stderr, / error \S+ the end \[my_server\.ts:9\]\n$/);
  }
});

Deno.test("a server prints its settings for --debug-config", async () => {
  using dir = new TempDir();
  const path = dir.file("socket");
  const { code, stdout } = await run(
    ...["alone", "-server-service", path, "-color", "blue", "--debug-config", "-exit-after", "1"],
  );
  assertEquals(code, 0);
  assertMatch(stdout, /^color = blue$/m);
});

for (
  const permissions of [["--allow-all", "--deny-ffi"], ["--allow-net", "--allow-read"], []]
) {
  Deno.test(`a server with the permissions "${permissions.join(" ")}" says what is missing, exit code 1`, async () => {
    using dir = new TempDir();
    await using child = startDeno([
      ...["run", "--no-prompt", ...permissions, `${ROOT}examples/coroutine_server.ts`, "alone"],
      ...["-server-service", dir.file("socket"), "-exit-after", "5"],
    ]);
    const { code, stdout, stderr } = await child.ended();
    assertEquals([code, stdout], [1, ""], stderr);
    assertMatch(
      stderr,
      /: Cannot listen on ".*": no --allow-ffi, expected deno run -A, or a start by a master, .*\n$/,
    );
    assert(!/\n +at /.test(stderr), `a stack is of no use here: ${stderr}`);
  });
}
