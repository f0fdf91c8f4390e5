/**
 * A master that prints a lot whenever it reads its settings.
 *
 * @module
 */
import { masterServerLoadConfigFromDirname, masterServerMain } from "../../../master.ts";
import { defaultConfig } from "../../../src/config/config.ts";
import { talk } from "../talk.ts";

Deno.exit(
  await masterServerMain({
    loadConfig() {
      talk();
      return masterServerLoadConfigFromDirname(defaultConfig.getStr("services"));
    },
  }),
);
