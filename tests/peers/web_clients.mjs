/**
 * Clients of the board in examples/web, with what node itself has: its HTTP client and its WebSocket.
 *
 * The argument is the port. For each line of its input it prints a report as JSON. When its input closes, all clients
 * finish what they have begun, and it prints the last one.
 */
import { randomUUID } from "node:crypto";
import { Agent, request } from "node:http";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

const port = Number(process.argv[2]), host = "127.0.0.1";

const PAUSE_MS = 60, COUNT = 2;

/** A server that drains closes a connection on which nothing has come for a second, and a busy machine makes us late. */
const KEPT_MS = 900;

/** An upload is under way for longer than a process takes to be told to stop. */
const PIECES = 20, PIECE = "x".repeat(10_000), PIECE_MS = 50;

const report = { answered: 0, posted: [], lost: [], followers: [] };
let isOver = false;

/** Sends a request; the answer has come as a whole. */
function ask(agent, { method = "GET", path, headers = {}, pieces = [] }) {
  return new Promise((resolve, reject) => {
    let localPort = 0;
    const fail = (error) => reject(Object.assign(error, { localPort }));
    const outgoing = request({ host, port, method, path, headers, agent }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text) => body += text).on("error", fail);
      response.on("end", () => {
        if (response.statusCode < 300) resolve(body);
        else fail(new Error(`${method} ${path}: ${response.statusCode} ${body}`));
      });
    });
    outgoing.on("error", fail);
    outgoing.on("socket", (socket) => {
      const note = () => localPort = socket.localPort;
      if (socket.connecting) socket.once("connect", note);
      else note();
    });
    const send = async () => {
      for (const [index, piece] of pieces.entries()) {
        if (index > 0) await sleep(PIECE_MS);
        outgoing.write(piece);
      }
      outgoing.end();
    };
    send();
  });
}

/** Asks on and on; a request that is lost is noted, and sent again. */
async function askOn(makeRequest, onAnswer = () => {}) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let idleSince = performance.now();
  for (let next = makeRequest(); !isOver;) {
    const idleMs = performance.now() - idleSince;
    try {
      onAnswer(await ask(agent, next));
      report.answered++;
      next = makeRequest();
    } catch ({ localPort, code, message }) {
      const error = `${code} ${message}, after ${Math.round(idleMs)} ms`;
      if (idleMs < KEPT_MS) report.lost.push({ localPort, error });
    }
    idleSince = performance.now();
    await sleep(PAUSE_MS);
  }
  agent.destroy();
}

const noteId = (body) => report.posted.push(JSON.parse(body).id);

function newMessage() {
  const pieces = [JSON.stringify({ key: randomUUID(), author: "node", text: "JSON" })];
  const headers = { "content-type": "application/json" };
  return { method: "POST", path: "/api/messages", headers, pieces };
}

function newUpload() {
  const boundary = randomUUID(), fields = { key: randomUUID(), author: "node", text: "upload" };
  const part = (head, body) =>
    `--${boundary}\r\ncontent-disposition: form-data; ${head}\r\n\r\n${body}`;
  const before = Object.entries(fields).map(([name, value]) =>
    part(`name=${name}`, `${value}\r\n`)
  );
  const pieces = [
    before.join("") + part("name=file; filename=big.txt", ""),
    ...Array.from({ length: PIECES }, () => PIECE),
    `\r\n--${boundary}--\r\n`,
  ];
  const headers = { "content-type": `multipart/form-data; boundary=${boundary}` };
  return { method: "POST", path: "/api/messages", headers, pieces };
}

/** Follows the board over one connection after the other. */
async function followOn(kind, connect) {
  const follower = { kind, process: undefined, ids: [], ends: [] };
  report.followers.push(follower);
  while (!isOver) {
    const how = await connect(follower, follower.ids.at(-1) ?? 0);
    if (!isOver) follower.ends.push({ how, process: follower.process });
    follower.process = undefined;
    await sleep(PAUSE_MS);
  }
}

const leaving = [];

function followWebSocket(follower, after) {
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://${host}:${port}/live?after=${after}`);
    socket.onmessage = ({ data }) => {
      const { process = follower.process, messages = [] } = JSON.parse(data);
      follower.process = process;
      follower.ids.push(...messages.map(({ id }) => id));
    };
    socket.onclose = ({ code }) => resolve(code);
    leaving.push(() => socket.close());
  });
}

function followEvents(follower, after) {
  return new Promise((resolve) => {
    let text = "";
    const headers = { "last-event-id": String(after) };
    const outgoing = request({ host, port, path: "/events", headers, agent: false }, (response) => {
      follower.process = Number(response.headers["x-process"]);
      response.setEncoding("utf8").on("data", (piece) => {
        text += piece;
        const complete = text.lastIndexOf("\n\n") + 2;
        if (complete < 2) return;
        for (const [, id] of text.slice(0, complete).matchAll(/^id: (\d+)$/gm)) {
          follower.ids.push(Number(id));
        }
        text = text.slice(complete);
      });
      response.on("error", ({ code }) => resolve(code));
      response.on("end", () => resolve(text === "" ? "end" : "cut"));
    });
    outgoing.on("error", ({ code }) => resolve(code));
    outgoing.end();
    leaving.push(() => outgoing.destroy());
  });
}

const runs = Array.from({ length: COUNT }, () => [
  askOn(() => ({ path: "/" })),
  askOn(newMessage, noteId),
  askOn(newUpload, noteId),
  followOn("WebSocket", followWebSocket),
  followOn("SSE", followEvents),
]).flat();

const print = () => console.log(JSON.stringify(report));
for await (const _ of createInterface({ input: process.stdin })) print();
isOver = true;
for (const leave of leaving) leave();
await Promise.all(runs);
print();
process.exit(0);
