import { assertEquals, assertNotEquals } from "@std/assert";
import { ModulesTooLateError, type ScriptRun } from "../../../src/os/process/module_files.ts";
import { locate } from "../../../src/master/services/command.ts";
import { FakeClock } from "../../fakes/fake_clock.ts";
import { ModuleVersions, scriptRunOf } from "../../../src/master/services/module_versions.ts";
import { fakeLookup } from "../../fakes/fake_lookup.ts";
import { configOf } from "../service_configs.ts";

const LOOKUP = fakeLookup({
  "/srv/app/main.ts": "file",
  "/bin/tool": { executable: "" },
  "/home/www/deno": { executable: "" },
});
const PLACE = { lookup: LOOKUP, cwd: "/srv" };
const STARTED = 1_000;

/** Files that a test changes, and the calls for them. */
function scene(command = "app/main.ts") {
  const files = new Map([["/srv/app/main.ts", "1"], ["/srv/app/part.ts", "1"]]);
  const state = {
    runs: [] as ScriptRun[],
    failure: undefined as Error | undefined,
    lateMs: 0,
    /** The listing ends with it. */
    until: Promise.resolve(),
  };
  const clock = new FakeClock();
  const versions = new ModuleVersions({
    async localModules(run) {
      state.runs.push(run);
      if (state.failure) throw state.failure;
      await state.until;
      return ["/srv/app/main.ts", "/srv/app/part.ts", "/srv/app/missing.ts"];
    },
    fileStamp: (path) => files.get(path),
    lastChange: (path) => files.has(path) ? STARTED - 1 + state.lateMs : undefined,
    timeOfDayMs: () => STARTED,
  }, clock);
  const service = configOf("x", { command });
  const run = () => scriptRunOf(locate(service, PLACE));
  return { files, state, clock, of: () => versions.of(run()), peek: () => versions.peek(run()) };
}

Deno.test("ModuleVersions returns another version when a module has changed, and only then", async () => {
  const { files, state, of } = scene();
  let { version } = await of();
  for (
    const [path, stamp] of [
      ["/srv/app/part.ts", "2"],
      ["/srv/app/missing.ts", "1"],
      ["/srv/app/deno.json", "1"],
      ["/srv/package.json", "1"],
      ["/srv/app/main.ts", "2"],
    ]
  ) {
    assertEquals(await of(), { version });
    assertEquals(await of(), { version });
    files.set(path, stamp);
    const next = await of();
    assertNotEquals(next.version, version, path);
    version = next.version;
  }
  files.set("/srv/app/other.ts", "1");
  assertEquals(await of(), { version });
  // The runtime is not asked again while nothing has changed.
  assertEquals(state.runs.length, 6);
});

Deno.test("ModuleVersions treats a module as changed that may have changed while processes loaded it", async () => {
  const { state, of } = scene();
  state.lateMs = 1;
  const { version } = await of();
  const next = await of();
  assertNotEquals(next.version, version);
  state.lateMs = 0;
});

Deno.test("ModuleVersions says why the modules are unknown, and keeps the same version", async () => {
  const { files, state, of } = scene();
  state.failure = new Error("no such flag");
  const { version } = await of();
  assertEquals(await of(), { version, unknown: "no such flag" });
  state.failure = undefined;
  assertEquals(await of(), { version, unknown: "no such flag" });
  assertEquals(await of(), { version });
  files.set("/srv/app/part.ts", "2");
  assertNotEquals((await of()).version, version);
});

Deno.test("ModuleVersions treats modules as changed that are not listed in time", async () => {
  const { state, clock, of, peek } = scene();
  const { promise, resolve } = Promise.withResolvers<void>();
  state.until = promise;
  let { version } = await of();
  for (let times = 0; times < 2; times++) {
    const next = of();
    await clock.advance(5_000);
    assertNotEquals((await next).version, version);
    ({ version } = await next);
  }
  assertEquals(state.runs.length, 1);
  resolve();
  assertEquals([await of(), await peek()], [{ version }, { version }]);

  // The runtime itself has taken too long.
  const late = scene();
  late.state.failure = new ModulesTooLateError();
  const first = await late.of();
  assertNotEquals((await late.peek()).version, first.version);
  assertEquals(late.state.runs.length, 1);
  assertNotEquals((await late.of()).version, first.version);
});

Deno.test("ModuleVersions lists nothing for a plan", async () => {
  const { files, state, of, peek } = scene();
  await peek();
  assertEquals(state.runs, []);
  const { version } = await of();
  assertEquals(await peek(), { version });
  files.set("/srv/app/part.ts", "2");
  const planned = await peek();
  assertNotEquals(planned.version, version);
  assertEquals(await peek(), planned);
  assertEquals(state.runs.length, 1);
  assertNotEquals((await of()).version, version);
});

Deno.test("ModuleVersions lists the modules as the user who loads them", () => {
  const run = scriptRunOf(
    locate(configOf("x", { command: "app/main.ts", settings: { "server-user": "www" } }), PLACE),
  );
  assertEquals(run?.credentials?.uid, 33);
});

Deno.test("ModuleVersions passes on the flags that decide where imports lead, and no others", async () => {
  const flags = "--config a.json --import-map=b.json --no-lock -c c.json --preload app/part.ts " +
    "--lock a.lock";
  const { state, of } = scene(`deno run -A --allow-read=/x ${flags} app/main.ts --config d.json`);
  await of();
  await of();
  assertEquals(state.runs, [{
    deno: "/opt/deno",
    flags: [
      ...["--config=a.json", "--import-map=b.json", "--no-lock", "--config=c.json"],
      "--lock=a.lock",
    ],
    script: "/srv/app/main.ts",
    cwd: "/srv",
  }]);
});

for (
  const command of [
    "/bin/tool app/main.ts",
    "/home/www/deno run -A app/main.ts",
    "deno run -A https://host/main.ts",
  ]
) {
  Deno.test(`ModuleVersions finds no modules for "${command}"`, async () => {
    const { state, of } = scene(command);
    const nothing = {
      version: 0,
      unknown: "its command is no local script that the Deno of the master runs",
    };
    assertEquals([await of(), await of()], [nothing, nothing]);
    assertEquals(state.runs, []);
  });
}
