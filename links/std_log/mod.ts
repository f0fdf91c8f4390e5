/**
 * Stand-in for `@std/log`: only the parts that this project uses.
 * @module
 */
export * from "./base_handler.ts";
export * from "./levels.ts";
export * from "./logger.ts";
