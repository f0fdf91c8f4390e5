// Types of the function that parse.ts takes from the npm registry: those of the real package.

/** A value of JSON. */
export type JsonValue =
  | { [key: string]: JsonValue | undefined }
  | JsonValue[]
  | string
  | number
  | boolean
  | null;

/** Reads JSON with comments and trailing commas; throws a SyntaxError. */
export function parse(text: string): JsonValue;
