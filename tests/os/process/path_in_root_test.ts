import { assertEquals } from "@std/assert";
import { pathInRoot } from "../../../src/os/process/program_lookup.ts";
import { locate } from "../../../src/master/services/command.ts";
import { commandFiles } from "../../../src/master/services/command_files.ts";
import { systemLookup } from "../../../src/master/supervisor/create.ts";
import { ownCommand } from "../../../src/master/upgrade/command.ts";
import { configOf } from "../../master/service_configs.ts";
import { TempDir } from "../../support/temp.ts";

Deno.test("pathInRoot() resolves links as a process in that root does", () => {
  using dir = new TempDir();
  const root = dir.file("jail");
  Deno.mkdirSync(`${root}/usr/bin`, { recursive: true });
  Deno.writeTextFileSync(`${root}/usr/bin/real`, "");
  const links = {
    "absolute": "/usr/bin/real",
    "relative": "usr/bin/real",
    "bin": "/usr/bin",
    "outside": "../../../usr/bin/real",
    "usr/bin/twice": "/absolute",
    "dead": "/nothing",
    "loop": "/loop",
  };
  for (const [name, target] of Object.entries(links)) Deno.symlinkSync(target, `${root}/${name}`);
  const same = ["/usr/bin/real", "/absolute", "/relative", "/bin/real", "/outside", "/bin/twice"];
  for (const path of [...same, "/../usr/bin/real", "/bin/../bin/./real", "//bin//real"]) {
    assertEquals(pathInRoot(root, path), `${root}/usr/bin/real`, path);
  }
  assertEquals(pathInRoot(root, "/dead/x"), `${root}/nothing/x`);
  assertEquals(pathInRoot(root, "/loop"), `${root}/loop`);
  assertEquals(pathInRoot(root, "/none/x"), `${root}/none/x`);
});

Deno.test("a command in another root is the file that it will be there, behind an absolute link too", () => {
  using dir = new TempDir();
  const root = dir.file("jail"), program = dir.file("program");
  Deno.mkdirSync(root);
  // The link leads to another file outside.
  Deno.writeTextFileSync(program, "#!/bin/sh\n", { mode: 0o755 });
  Deno.mkdirSync(`${root}${dir.path}`, { recursive: true });
  Deno.writeTextFileSync(`${root}${program}`, "#!/bin/sh\n", { mode: 0o777 });
  Deno.chmodSync(`${root}${program}`, 0o777);
  Deno.symlinkSync(program, `${root}/link`);
  Deno.symlinkSync("/bin/sh", `${root}/dead`);
  const settings = { "master-chroot": root, "server-protocol": "libzc" };
  const place = { lookup: systemLookup(ownCommand()), cwd: "/" };
  const located = locate(configOf("x", { command: "/link", settings }), place);
  assertEquals(commandFiles(located), ["/link"]);
  assertEquals(located.view.looseMode("/link"), Deno.uid() === 0 ? 0o777 : undefined);
  assertEquals([located.view.isDeadLink("/dead"), located.view.isDeadLink("/link")], [true, false]);
});
