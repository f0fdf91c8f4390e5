/**
 * The error of a failed TLS handshake.
 *
 * @module
 */

/**
 * The reason of a failed handshake: the client took too long (`late`), spoke no TLS, found no common
 * parameters or disconnected (`failed`), or sent `plain text` after its request for TLS.
 */
export type HandshakeFailure = "late" | "failed" | "plain text";

/** A client has failed to establish TLS, which is no fault of the server. */
export class HandshakeError extends Error {
  /** The error class's name. */
  override readonly name = "HandshakeError";

  /**
   * Makes the error.
   *
   * @param reason The reason.
   * @param message The reason in words.
   * @param options `cause`: the runtime's error.
   */
  constructor(readonly reason: HandshakeFailure, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
