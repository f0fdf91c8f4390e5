import { assert, assertEquals, assertThrows } from "@std/assert";
import { encodeFrame, MAX_PAYLOAD_BYTES, ProtocolError } from "../../../src/ipc/protocol.ts";
import type { ServiceConfig } from "../../../src/config/service.ts";
import {
  MAX_ARGUMENT_BYTES,
  MAX_ARGUMENTS_BYTES,
  sizeProblems,
} from "../../../src/master/services/start_size.ts";
import { locate } from "../../../src/master/services/command.ts";
import { serverArguments } from "../../../src/master/services/server_argv.ts";
import { startMessage } from "../../../src/master/services/start_message.ts";
import { fakeLookup } from "../../fakes/fake_lookup.ts";
import { configOf } from "../service_configs.ts";

const PLACE = {
  cwd: "/srv",
  configPath: "/srv/conf",
  lookup: fakeLookup({ "/srv/bin/server": { executable: "" } }),
};

/** A service with one setting of this length. */
function withSetting(
  bytes: number,
  { file, settings = {} }: Parameters<typeof configOf>[1] = {},
): ServiceConfig {
  return configOf("a.cf", { file, settings: { ...settings, long: "x".repeat(bytes) } });
}

const told = (service: ServiceConfig) =>
  sizeProblems(locate(service, PLACE), serverArguments(service, PLACE)).map(({ key, message }) =>
    `${key}: ${message}`
  );

for (const protocol of ["control", "inherit"]) {
  Deno.test(`sizeProblems() refuses a start message that is too long to be sent (${protocol})`, () => {
    const options = { file: "/srv/conf/a.cf", settings: { "server-protocol": protocol } };
    const most = MAX_PAYLOAD_BYTES.start;
    // The longest that passes, found by bisection.
    let passes = 0, fails = 2 * most;
    while (fails - passes > 1) {
      const middle = (passes + fails) >> 1;
      if (told(withSetting(middle, options)).length === 0) passes = middle;
      else fails = middle;
    }
    const fds = protocol === "inherit" ? [5] : undefined;
    const messageOf = (bytes: number) =>
      startMessage(withSetting(bytes, options), { generation: 1, fds });
    encodeFrame(messageOf(passes), 0);
    assert(passes > most - 1_000, `${passes}`);
    assertThrows(() => encodeFrame(messageOf(most), 0), ProtocolError);
    assertEquals(told(withSetting(fails, options)), [
      `long: Cannot hand its settings to "a.cf": ${most + 1} bytes of settings and addresses, ` +
      `those of the *.gcf included, expected at most ${most}`,
    ]);
  });
}

Deno.test("sizeProblems() counts bytes, not characters", () => {
  const options = { file: "/srv/conf/a.cf", "server-protocol": "control" };
  const settings = { "server-protocol": "control", long: "\u{1}".repeat(200_000) };
  // Each character takes six bytes in JSON.
  assertEquals(told(configOf("a.cf", { ...options, settings })).length, 1);
});

Deno.test("sizeProblems() refuses a setting that is too long for an argument", () => {
  const settings = { "server-protocol": "libzc" };
  assertEquals(told(withSetting(MAX_ARGUMENT_BYTES - 1, { settings })), []);
  assertEquals(told(withSetting(MAX_ARGUMENT_BYTES, { settings })), [
    'long: Cannot start with the setting "long": 131072 bytes as an argument, ' +
    "expected less than 131072",
  ]);
  // The program reads the file itself.
  assertEquals(told(withSetting(2 * MAX_PAYLOAD_BYTES.start, { file: "/a.cf", settings })), []);
});

Deno.test("sizeProblems() refuses more arguments than the kernel accepts", () => {
  const parts = Array.from({ length: 11 }, (_, at) => [`part-${at}`, "x".repeat(100_000)]);
  const settings = { "server-protocol": "libzc", ...Object.fromEntries(parts) };
  const [problem, ...others] = told(configOf("a.cf", { settings }));
  assert(/: Cannot start "a\.cf": arguments of \d+ bytes, /.test(problem), problem);
  assert(problem.endsWith(`expected at most ${MAX_ARGUMENTS_BYTES}`), problem);
  assertEquals(others, []);
});

Deno.test("sizeProblems() counts all arguments as one with another user, root or directory", () => {
  const settings = { "server-protocol": "libzc", "master-chdir": "/srv" };
  assertEquals(told(withSetting(100_000, { settings })), []);
  const [problem] = told(withSetting(120_000, { settings }));
  assert(problem.includes("with another user, root or directory"), problem);
});

Deno.test("sizeProblems() refuses names of addresses that are too long for an argument or variable", () => {
  const addresses = Array.from(
    { length: 1_500 },
    (_, at) => `${"n".repeat(90)}${at}://0:${at + 1}`,
  );
  for (const protocol of ["libzc", "systemd"]) {
    const settings = { "server-protocol": protocol };
    const service = configOf("a.cf", { addresses: addresses.join(), settings });
    const [problem] = told(service);
    assert(/^server-service: .*: an argument or variable of \d+ bytes/.test(problem), problem);
  }
});

Deno.test("the kernel accepts an argument of the size that sizeProblems() accepts, and no longer one", () => {
  const run = (bytes: number) =>
    new Deno.Command("/bin/true", { args: ["x".repeat(bytes)] }).outputSync();
  assert(run(MAX_ARGUMENT_BYTES - 1).success);
  assertThrows(() => run(MAX_ARGUMENT_BYTES), Error, "Argument list too long");
});
