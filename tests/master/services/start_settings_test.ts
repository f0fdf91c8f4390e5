import { assertEquals } from "@std/assert";
import { Config, setFrom } from "../../../src/config/config.ts";
import { formatProblem } from "../../../src/config/errors.ts";
import { StartSettings, type Taken } from "../../../src/master/services/start_settings.ts";

function configOf(settings: Readonly<Record<string, string>>): Config {
  const config = new Config();
  for (const [key, value] of Object.entries(settings)) {
    setFrom(config, key, value, { file: "all.gcf", line: 1 });
  }
  return config;
}

/** What is told of settings after others. */
function told(
  before: Readonly<Record<string, string>>,
  next: Readonly<Record<string, string>>,
  taken?: Taken,
) {
  const { problems, warnings } = new StartSettings(configOf(before), "/srv", taken)
    .changesIn(configOf(next));
  return { problems: problems.map(formatProblem), warnings: warnings.map(formatProblem) };
}

Deno.test("StartSettings refuses another pid file, whatever the same one is called", () => {
  const nothing = { problems: [], warnings: [] };
  assertEquals(told({}, { "pid-file": "/srv/master.pid" }), nothing);
  assertEquals(told({ "pid-file": "/run/a" }, { "pid-file": "/run/a" }), nothing);
  assertEquals(told({}, { "pid-file": "/run/a" }), {
    problems: [
      'all.gcf:1: pid-file: Cannot move the pid file to "/run/a": this master holds the lock of ' +
      "master.pid, expected the same file until a new start",
    ],
    warnings: [],
  });
  assertEquals(told({ "pid-file": "/run/a" }, {}).problems, [
    'pid-file: Cannot move the pid file to "master.pid": this master holds the lock of /run/a, ' +
    "expected the same file until a new start",
  ]);
});

Deno.test("StartSettings warns of settings that a reload does not take", () => {
  const service = { "log-service": "/run/log,/var/log/a.,day" };
  assertEquals(told(service, service).warnings, []);
  assertEquals(told({}, service).warnings, [
    'all.gcf:1: log-service: Cannot change to "/run/log,/var/log/a.,day": a master that runs ' +
    "with none, expected an upgrade, or a new start",
  ]);
  assertEquals(told({ "run-user": "www" }, { "run-user": "nobody" }).warnings, [
    'all.gcf:1: run-user: Cannot change to "nobody": a master that runs with "www", expected a new start',
  ]);
});

Deno.test("StartSettings tells a new master's settings from what it was handed over", () => {
  const nothing = { problems: [], warnings: [] };
  const settings = {
    "run-user": "www",
    "run-chdir": "/b",
    "log-service": "/run/log,/var/log/a.,day",
  };
  const pidFile = "/srv/master.pid";
  assertEquals(told(settings, settings, { pidFile }), nothing, "an older master tells nothing");
  assertEquals(
    told(settings, settings, { pidFile, startSettings: [["run-user", "www"]] }),
    nothing,
  );
  assertEquals(told(settings, settings, { pidFile, startSettings: [] }).warnings, [
    'all.gcf:1: run-user: Cannot change to "www": a master that runs with none, expected a new start',
  ]);
  assertEquals(told({}, {}, { pidFile, startSettings: [["run-user", "www"]] }).warnings, [
    'run-user: Cannot change to "": a master that runs with "www", expected a new start',
  ]);
  assertEquals(told({}, {}, { pidFile: "/run/a" }).problems, [
    'pid-file: Cannot move the pid file to "master.pid": this master holds the lock of /run/a, ' +
    "expected the same file until a new start",
  ]);
});

Deno.test("StartSettings hands over what only a start takes, from master to master", () => {
  const first = new StartSettings(
    configOf({ "run-user": "www", "run-chdir": "/b", "max-memory": "7" }),
    "/srv",
  );
  assertEquals(first.ofStart, [["max-memory", "7"], ["run-user", "www"]]);
  const next = new StartSettings(configOf({ "run-user": "nobody" }), "/srv", {
    pidFile: "/srv/master.pid",
    startSettings: first.ofStart,
  });
  assertEquals(next.ofStart, first.ofStart);
});
