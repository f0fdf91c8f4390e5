// Types of the functions that mod.ts takes from the npm registry, as the real package declares them.

/** What a failed assertion throws. */
export class AssertionError extends Error {
  constructor(message: string, options?: ErrorOptions);
}

/** An array, or something that looks like one. */
export type ArrayLikeArg<T> = ArrayLike<T> & object;

/** Throws unless the value is truthy. */
export function assert(expr: unknown, msg?: string): asserts expr;

/** Throws unless each expected element is in the array. */
export function assertArrayIncludes<T>(
  actual: ArrayLikeArg<T>,
  expected: ArrayLikeArg<T>,
  msg?: string,
): void;

/** Throws unless the two are equal by content. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void;

/** Throws on undefined and null. */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T>;

/** Throws unless the first is greater. */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void;

/** Throws unless the first is greater or equal. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void;

/** Throws unless the value is an instance of the class. */
export function assertInstanceOf<T extends abstract new (...args: never[]) => unknown>(
  actual: unknown,
  expectedType: T,
  msg?: string,
): asserts actual is InstanceType<T>;

/** Throws unless the first is less. */
export function assertLess<T>(actual: T, expected: T, msg?: string): void;

/** Throws unless the first is less or equal. */
export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void;

/** Throws unless the text matches. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void;

/** Throws if the two are equal by content. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void;

/** Throws unless the promise is rejected, and resolves to the reason. */
export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;

/** Throws unless the promise is rejected with such an error, and resolves to it. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  // deno-lint-ignore no-explicit-any
  ErrorClass: abstract new (...args: any[]) => E,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;

/** Throws unless the two are the same by Object.is(). */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T;

/** Throws unless the text has the part. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void;

/** Throws unless the function throws, and returns what it threw. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;

/** Throws unless the function throws such an error, and returns it. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  // deno-lint-ignore no-explicit-any
  ErrorClass: abstract new (...args: any[]) => E,
  msgIncludes?: string,
  msg?: string,
): E;

/** Throws. */
export function fail(msg?: string): never;

/** Throws: this place should not have been reached. */
export function unreachable(msg?: string): never;
