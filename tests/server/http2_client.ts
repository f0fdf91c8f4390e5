/**
 * A client of HTTP/2 for tests.
 *
 * @module
 */
import { type ClientHttp2Session, connect } from "node:http2";
import { TEST_CERT } from "../support/tls.ts";
import { within } from "../support/wait.ts";

/**
 * Makes one connection that speaks HTTP/2, to a server with the test certificate.
 *
 * @param port Where it listens.
 */
export async function connectHttp2(port: number): Promise<ClientHttp2Session> {
  const session = connect(`https://localhost:${port}`, { ca: TEST_CERT });
  session.on("error", () => {});
  await within(new Promise((resolve) => session.once("connect", resolve)), { what: "HTTP/2" });
  return session;
}

/**
 * Asks for a path.
 *
 * @param session The connection.
 * @param path The path.
 * @param body What to send; without it nothing is.
 * @returns The body of the answer.
 */
export function askHttp2(
  session: ClientHttp2Session,
  path: string,
  body?: Uint8Array,
): Promise<string> {
  const method = body === undefined ? "GET" : "POST";
  const request = session.request({ ":path": path, ":method": method });
  const answer = new Promise<string>((resolve, reject) => {
    let text = "";
    request.setEncoding("utf8");
    request.on("data", (part) => text += part);
    request.on("end", () => resolve(text));
    request.on("error", reject);
  });
  request.end(body);
  return within(answer, { what: `an answer to ${path}` });
}
