/**
 * Stand-in for `@std/ini`: only the parts that this project uses.
 * @module
 */
export * from "./parse.ts";
export * from "./stringify.ts";
