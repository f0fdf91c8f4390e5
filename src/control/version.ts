/**
 * The version of the module.
 *
 * @module
 */
import manifest from "../../deno.json" with { type: "json" };

/** The version of the module. */
export const VERSION: string = manifest.version;
