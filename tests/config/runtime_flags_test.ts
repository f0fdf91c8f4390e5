import { assertEquals } from "@std/assert";
import { resolvePath } from "../../src/config/address.ts";
import { flagsToPassOn } from "../../src/config/runtime_flags.ts";

/** What is passed on of the flags in a text. */
function passedOn(text: string): string {
  const words = text === "" ? [] : text.split(" ");
  return flagsToPassOn(words, (path) => resolvePath("/srv", path)).join(" ");
}

for (
  const [given, kept] of [
    ["", ""],
    ["run -A", ""],
    ["run --allow-all --allow-read=/a -R=/b -RWN --deny-ffi --no-prompt -P --permission-set=x", ""],
    ["--allow-ffi --allow-scripts=npm:x --ignore-env=A", "--allow-scripts=npm:x"],
    ["--inspect --inspect-brk=127.0.0.1:1 --watch=a --hmr --reload -r --coverage=x", ""],
    ["--env-file=.env --tunnel --cpu-prof", ""],
    ["--config a.json --import-map=b.json", "--config=/srv/a.json --import-map=/srv/b.json"],
    ["-c a.json", "--config=/srv/a.json"],
    ["-ca.json -A", "--config=/srv/a.json"],
    ["-c=/a.json", "--config=/a.json"],
    ["-qA -Aq", "--quiet --quiet"],
    ["-Aqc a.json", "--quiet --config=/srv/a.json"],
    ["-L debug -Linfo", "--log-level=debug --log-level=info"],
    ["--import-map https://a.org/m.json", "--import-map=https://a.org/m.json"],
    ["--preload jsr:@a/b --require x.cjs", "--preload=jsr:@a/b --require=/srv/x.cjs"],
    ["--no-check --check=all --no-remote", "--no-check --check=all --no-remote"],
    ["--unstable --unstable-kv --unstable-nothing-yet", null],
    ["--v8-flags=--expose-gc,--x --seed 1", "--v8-flags=--expose-gc,--x --seed=1"],
    ["--lock --no-lock", "--lock --no-lock"],
    ["--lock a.lock --frozen=false", "--lock=/srv/a.lock --frozen=false"],
    ["--unknown x --vendor", "--vendor"],
    ["--cpu-prof-dir a --inspect-publish-uid=http --cpu-prof-name b --seed=1", "--seed=1"],
    [
      "--node-modules-linker hoisted -qL debug",
      "--node-modules-linker=hoisted --quiet --log-level=debug",
    ],
  ] as const
) {
  Deno.test(`flagsToPassOn() of ${given || "no flags"}`, () => {
    assertEquals(passedOn(given), kept ?? given);
  });
}
