/**
 * How a client can fail to come to TLS.
 *
 * @module
 */

/**
 * Why there is no TLS on a connection: the client took too long (`late`), spoke no TLS, wanted what this
 * end can't do or went (`failed`), or sent `plain text` behind its request for TLS.
 */
export type HandshakeFailure = "late" | "failed" | "plain text";

/** A client has failed to come to TLS, which is no fault of the server. */
export class HandshakeError extends Error {
  /** The error class's name. */
  override readonly name = "HandshakeError";

  /**
   * Makes the error.
   *
   * @param reason What happened.
   * @param message The same at length.
   * @param options `cause`: what the runtime said.
   */
  constructor(readonly reason: HandshakeFailure, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
