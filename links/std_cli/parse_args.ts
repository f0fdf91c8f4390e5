/**
 * Stand-in for `@std/cli/parse-args`: the same code from the npm registry, where it has no types.
 * @module
 */
// @ts-types="./parse_args.d.ts"
export { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
export type { Args, ParseOptions } from "./parse_args.d.ts";
