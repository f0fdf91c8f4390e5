/**
 * What a handler of HTTP takes. The runtime makes no request for a handler without parameters, which
 * saves a part of each answer, and counts them as JavaScript does: a rest parameter, or one with a
 * default value, counts for none, and gets nothing.
 *
 * @module
 */

/** A function that is written with an empty list of parameters, in any of the ways to write one. */
const EMPTY_LIST = /^(?:async\s+)?(?:function\b\s*)?[\w$]*\s*\(\s*\)/;

/** What reaches arguments without a parameter, and a function that does not show how it is written. */
const MAY_REACH = /\barguments\b|\beval\b|\\u|\[native code\]/;

/**
 * Whether a handler takes nothing for certain. One that is bound, or written in an unusual way, may
 * take something.
 *
 * @param handler The handler.
 */
export function takesNothing(handler: (...args: never[]) => unknown): boolean {
  if (handler.length > 0) return false;
  const source = Function.prototype.toString.call(handler);
  return EMPTY_LIST.test(source) && !MAY_REACH.test(source);
}
