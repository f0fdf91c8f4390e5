/**
 * A master whose only service comes from a hook: its settings are in the variable `SERVICE`, as JSON.
 *
 * @module
 */
import { Config, masterServerMain } from "../../../master.ts";

function loadConfig(): Config[] {
  const config = new Config();
  const settings: Record<string, string> = JSON.parse(Deno.env.get("SERVICE") ?? "{}");
  for (const [key, value] of Object.entries(settings)) config.set(key, value);
  return [config];
}

Deno.exit(await masterServerMain({ loadConfig }));
