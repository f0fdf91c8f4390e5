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
 * @param options `tls`: whether it speaks TLS, by default it does.
 */
export async function connectHttp2(
  port: number,
  { tls = true }: { readonly tls?: boolean } = {},
): Promise<ClientHttp2Session> {
  const session = tls
    ? connect(`https://localhost:${port}`, { ca: TEST_CERT })
    : connect(`http://127.0.0.1:${port}`);
  session.on("error", () => {});
  await within(new Promise((resolve) => session.once("connect", resolve)), { what: "HTTP/2" });
  return session;
}

/**
 * Asks for a path.
 *
 * @param session The connection.
 * @param path The path.
 * @param options `body`: what to send; without it nothing is. `headers`: further header fields.
 * @returns The body of the answer.
 */
export function askHttp2(
  session: ClientHttp2Session,
  path: string,
  { body, headers = {} }: {
    readonly body?: Uint8Array;
    readonly headers?: Readonly<Record<string, string>>;
  } = {},
): Promise<string> {
  const method = body === undefined ? "GET" : "POST";
  const request = session.request({ ...headers, ":path": path, ":method": method });
  const answer = new Promise<string>((resolve, reject) => {
    let text = "";
    let isComplete = false;
    request.setEncoding("utf8");
    request.on("response", () => isComplete = true);
    request.on("aborted", () => isComplete = false);
    request.on("data", (part) => text += part);
    // A stream that is cut ends as well.
    request.on("end", () => {
      if (isComplete) resolve(text);
      else reject(new Error(`no answer to ${path}, the stream has ended`));
    });
    request.on("error", reject);
    request.on("close", () => reject(new Error(`no answer to ${path}, the stream is closed`)));
  });
  request.end(body);
  return within(answer, { what: `an answer to ${path}` });
}
