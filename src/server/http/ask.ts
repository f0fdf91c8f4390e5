/**
 * Calls of an HTTP handler with Deno.serve's treatment of errors and invalid responses, for the servers
 * that Deno.serve can't run.
 *
 * @module
 */
import type { HttpServing } from "./handler.ts";
import { logFault } from "../lifecycle/missing_permission.ts";
import { internalServerError } from "./error_answers.ts";
import { isWhole } from "./streamed_answers.ts";

/**
 * Calls the handler, and the error handler if it throws.
 *
 * @param serving The handlers.
 * @param request The request.
 * @param info The second argument of the handler.
 * @returns A response that can be sent.
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
  // `body` is not read if the body is complete: reading it would create a stream.
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

/** Undefined for an object of the class that its constructor has not created. */
function typeOf(answer: Response): ResponseType | undefined {
  try {
    return answer.type;
  } catch {
    return undefined;
  }
}
