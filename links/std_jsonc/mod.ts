/**
 * Stand-in for `@std/jsonc`: only the parts that this project uses.
 * @module
 */
export * from "./parse.ts";
