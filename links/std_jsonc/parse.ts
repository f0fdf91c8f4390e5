/**
 * Stand-in for `@std/jsonc/parse`: the same code from the npm registry, where it has no types.
 * @module
 */
// @ts-types="./parse.d.ts"
export { parse } from "npm:deno-std@1.4.0/jsonc/parse.js";
export type { JsonValue } from "./parse.d.ts";
