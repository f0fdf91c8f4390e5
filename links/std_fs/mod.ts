/**
 * Stand-in for `@std/fs`: only the parts that this project uses.
 * @module
 */
export * from "./ensure_dir.ts";
export * from "./exists.ts";
export * from "./walk.ts";
