/**
 * Stand-in for `@std/cli`: only the parts that this project uses.
 * @module
 */
export * from "./parse_args.ts";
export * from "./unicode_width.ts";
