import { assert, assertEquals } from "@std/assert";
import { newMasterCommand, ownCommand, splitUpgrade } from "../../../src/master/upgrade/command.ts";

const OWN = { program: () => "/opt/deno", cwd: "/srv", openFiles: 1024 };

Deno.test("newMasterCommand() is the same command line with one argument more", () => {
  const argv = ["deno", "run", "-A", "master.ts", "-C", "conf", "--DEBUG"];
  assertEquals(newMasterCommand({ ...OWN, argv }, 7), [
    ...["/opt/deno", "run", "-A", "master.ts", "-C", "conf", "--DEBUG"],
    ...["-master-upgrade", "7"],
  ]);
});

Deno.test("newMasterCommand() has that argument only once, however often masters were replaced", () => {
  const argv = ["./master", "-C", "conf", "-master-upgrade", "5"];
  assertEquals(newMasterCommand({ ...OWN, argv }, 9), [
    ...["/opt/deno", "-C", "conf", "-master-upgrade", "9"],
  ]);
  assertEquals(newMasterCommand({ ...OWN, argv: ["./master"] }, 9), [
    ...["/opt/deno", "-master-upgrade", "9"],
  ]);
});

Deno.test("splitUpgrade() removes the argument at the end, and nothing else", () => {
  assertEquals(splitUpgrade(["-C", "conf", "-master-upgrade", "12"]), {
    args: ["-C", "conf"],
    fd: 12,
  });
  for (
    const args of [
      [],
      ["-C"],
      ["-C", "conf"],
      ["-master-upgrade", "12", "x"],
      ["-master-upgrade", "x"],
      ["12", "-master-upgrade"],
    ]
  ) assertEquals(splitUpgrade(args), { args });
});

Deno.test("ownCommand() finds this process's own program, which can be executed", () => {
  const { argv, program, cwd } = ownCommand();
  assertEquals(program("file"), Deno.execPath());
  assertEquals(cwd, Deno.cwd());
  assert(argv.includes("test"), argv.join(" "));
  assert((Deno.statSync(program("name")).mode! & 0o111) !== 0, program("name"));
});
