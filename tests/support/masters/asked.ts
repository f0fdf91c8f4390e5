/**
 * A master that can be asked: at each SIGWINCH it prints what a reload would do, and what came of the
 * last one, as one line of JSON.
 *
 * @module
 */
import { parseArguments } from "../../../src/config/args.ts";
import { defaultConfig } from "../../../src/config/config.ts";
import { loadSettings } from "../../../src/config/load_settings.ts";
import { CONFIG_DIR } from "../../../src/config/settings.ts";
import { Master } from "../../../src/master/master.ts";
import { ownCommand } from "../../../src/master/upgrade/command.ts";

const args = parseArguments(Deno.args);
loadSettings(defaultConfig, args, CONFIG_DIR);
const master = new Master({ hooks: {}, args, command: ownCommand(), directory: Deno.cwd() });
Deno.addSignalListener("SIGWINCH", async () => {
  const { lastReload } = master;
  const plan = await master.plan().catch((error: Error) => ({ refused: error.message }));
  console.log(JSON.stringify({ plan, lastReload }));
});
Deno.exit(await master.run());
