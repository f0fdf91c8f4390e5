/**
 * A client of HTTP/2: one connection of node's own client, moved by a test.
 *
 * The argument is JSON: where it connects, and the certificates that it trusts. It prints `connected`, `goaway` and
 * `closed` as they happen. Each line of its input is a request, which it prints the outcome of; a later line with the
 * same id ends a request that was left open.
 */
import { connect } from "node:http2";
import process from "node:process";
import { createInterface } from "node:readline";

const { url, ca } = JSON.parse(process.argv[2]);
const session = connect(url, { ca }), open = new Map();

function print(told) {
  process.stdout.write(`${JSON.stringify(told)}\n`);
}

function ask({ id, path, method, headers, length, leaveOpen }) {
  if (session.closed || session.destroyed) return print({ id, isClosed: true });
  const request = session.request({ ...headers, ":path": path, ":method": method });
  let text = "", isComplete = false;
  request.setEncoding("utf8");
  request.on("response", () => isComplete = true);
  request.on("aborted", () => isComplete = false);
  request.on("data", (part) => text += part);
  // A stream that is cut ends as well.
  request.on("end", () => print(isComplete ? { id, text } : { id, error: "the stream has ended" }));
  request.on("error", ({ message }) => print({ id, error: message }));
  request.on("close", () => print({ id, error: "the stream is closed" }));
  if (length > 0) request.write(new Uint8Array(length));
  if (leaveOpen) open.set(id, request);
  else request.end();
}

session.on("connect", () => print({ event: "connected", alpn: session.alpnProtocol }));
session.on("goaway", () => print({ event: "goaway" }));
session.on("close", () => print({ event: "closed" }));
// Each request says how it ended.
session.on("error", () => {});
createInterface({ input: process.stdin })
  .on("line", (line) => {
    const order = JSON.parse(line), begun = open.get(order.id);
    if (begun === undefined) return ask(order);
    open.delete(order.id);
    begun.end(new Uint8Array(order.length));
  })
  .on("close", () => session.close());
