/**
 * What a handler returns for a request, and what is done where that is no answer: the same as under
 * Deno.serve, for servers that it can't serve.
 *
 * @module
 */
import type { HttpServing } from "./handler.ts";
import { logFault } from "../lifecycle/missing_permission.ts";
import { isWhole } from "./streamed_answers.ts";

const INTERNAL_SERVER_ERROR = new TextEncoder().encode("Internal Server Error");

/** The answer of last resort. */
export function internalServerError(): Response {
  return new Response(INTERNAL_SERVER_ERROR, { status: 500 });
}

/**
 * Has a request answered.
 *
 * @param serving What answers, also in place of a handler that has thrown.
 * @param request The request.
 * @param info What is told beside it.
 * @returns An answer that can be sent.
 */
export async function askHandler(
  { handler, onError }: HttpServing,
  request: Request,
  info: Deno.ServeHandlerInfo,
): Promise<Response> {
  try {
    return checked(await handler(request, info), "serve handler");
  } catch (error) {
    try {
      return checked(await onError(error), "onError handler");
    } catch (fault) {
      logFault("error in onError, while it answered in place of a handler:", fault);
      return internalServerError();
    }
  }
}

function checked(answer: unknown, whose: string): Response {
  const value = `Return value from ${whose}`;
  if (!(answer instanceof Response)) {
    throw new TypeError(`${value} must be a response or a promise resolving to a response`);
  }
  if (typeOf(answer) === undefined) {
    throw new TypeError(
      `${value} must be a Response constructed via the Response constructor in this realm`,
    );
  }
  if (typeOf(answer) === "error") {
    throw new TypeError(`${value} must not be an error response (like Response.error())`);
  }
  // A body that is all there is not asked for: that would make a stream of it.
  if (answer.bodyUsed || (!isWhole(answer) && answer.body?.locked)) {
    throw new TypeError(
      `The body of the Response returned from the ${whose} has already been consumed`,
    );
  }
  if (answer.status === 101) {
    throw new TypeError(
      "Cannot upgrade a connection: it is served through node:net, expected a server with --allow-ffi and --allow-net",
    );
  }
  return answer;
}

/** Undefined for an object of that class which was not made by its constructor. */
function typeOf(answer: Response): ResponseType | undefined {
  try {
    return answer.type;
  } catch {
    return undefined;
  }
}
