/**
 * A master with hooks that do what its settings say: `services-from FILE` is a JSON list of settings
 * for the loadConfig hook; with `--mark-services` that hook takes the services of the directory, or of
 * `services-in DIR`, and adds a setting to each; with `--fail-in=HOOK` that hook throws.
 *
 * @module
 */
import {
  Config,
  type LoadConfigHook,
  masterServerLoadConfigFromDirname,
  masterServerMain,
} from "../../../master.ts";
import { defaultConfig } from "../../../src/config/config.ts";
import { PidFile } from "../../../src/os/process/lock_file.ts";

function failIn(hook: string): void {
  if (Deno.args.includes(`--fail-in=${hook}`)) throw new Error(`a fault in ${hook}`);
}

function beforeService(): void {
  const lock = PidFile.tryLock(defaultConfig.getStr("pid-file"));
  console.error(`master hook: beforeService, ${lock === undefined ? "locked" : "not locked"}`);
  lock?.release();
  failIn("beforeService");
}

async function servicesFromFile(): Promise<Config[]> {
  console.error("master hook: loadConfig");
  failIn("loadConfig");
  const text = await Deno.readTextFile(defaultConfig.getStr("services-from"));
  return JSON.parse(text).map((settings: Record<string, string>) => {
    const config = new Config();
    for (const [key, value] of Object.entries(settings)) config.set(key, value);
    return config;
  });
}

function markedServices(): Config[] {
  const directory = defaultConfig.getStr("services-in", defaultConfig.getStr("C"));
  return masterServerLoadConfigFromDirname(directory).map((config) =>
    config.set("marked", "by the hook")
  );
}

const loadConfig: LoadConfigHook | undefined = Deno.args.includes("--mark-services")
  ? markedServices
  : Deno.args.includes("-services-from")
  ? servicesFromFile
  : undefined;

Deno.exit(await masterServerMain({ beforeService, loadConfig }));
