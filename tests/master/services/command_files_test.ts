import { assertEquals } from "@std/assert";
import { locate } from "../../../src/master/services/command.ts";
import { commandFiles } from "../../../src/master/services/command_files.ts";
import { fakeLookup } from "../../fakes/fake_lookup.ts";
import { configOf } from "../service_configs.ts";

const PROGRAM = { executable: "\x7fELF" };
const lookup = fakeLookup({
  "/opt/deno": PROGRAM,
  "/usr/bin/env": PROGRAM,
  "/usr/bin/sh": PROGRAM,
  "/bad/file": PROGRAM,
  "/bad/other": PROGRAM,
  "/srv/file": "file",
  "/srv/server.js": "file",
  "/srv/strange": { executable: "#!/bad/file -x" },
  "/srv/stranger": { executable: "#!/usr/bin/env -S deno run --config=/bad/file" },
});

/** The files of a command, with their whole paths. */
function filesOf(command: string): readonly string[] {
  const located = locate(configOf("x", { command }), { lookup, cwd: "/srv" });
  return commandFiles(located).map((path) => located.view.pathOf(path));
}

const OPTIONS = ["--config", "--preload", "--import-map", "--env-file", "--cert", "-c", "-config"];

for (
  const command of [
    "sh /bad/file",
    "env -C /bad ./file",
    "env -C /bad sh file",
    "env -C ../bad sh ./file",
    "env -C /bad sh -cfile",
    "env -S '-C /bad sh file'",
    "env -C /bad deno run -A --preload=file x",
    "deno run -A file:///bad/file",
    "deno run -A file://localhost/bad/%66ile",
    "deno run -A FILE:/bad/file",
    "deno run -A -c/bad/file server.js",
    ...OPTIONS.flatMap((option) => [
      `deno run -A ${option} /bad/file server.js`,
      `deno run -A ${option} file:///bad/file server.js`,
      `deno run -A ${option}=/bad/file server.js`,
      `deno run -A ${option}=file:///bad/file server.js`,
    ]),
    "./strange",
    "./stranger",
  ]
) {
  Deno.test(`commandFiles() finds the file in ${command}`, () => {
    assertEquals(filesOf(command).includes("/bad/file"), true, filesOf(command).join());
  });
}

for (
  const command of [
    "sh file",
    "env -C /bad sh other",
    "env -C /bad sh /srv/file",
    "deno run -A https://bad/file",
    "deno run --allow-read=/bad/file -R=/bad/file --deny-write=/bad/file server.js",
  ]
) {
  Deno.test(`commandFiles() finds no other file in ${command}`, () => {
    assertEquals(filesOf(command).includes("/bad/file"), false, filesOf(command).join());
  });
}
