/**
 * Clients that load the programs of others, each over a client library of others: node's HTTP agent, `ws`,
 * `socket.io-client` and `nodemailer`. A test copies this file to where these packages are, and runs it there.
 *
 * Its argument is the list of targets as JSON. For each line of its input it prints a line: what was answered and what
 * was lost so far. When its input closes, each client finishes what it has begun, and it prints the last one.
 *
 * @module
 */
import { Agent, get } from "node:http";
import { connect, type Socket } from "node:net";

/** What the clients of one program load. */
export interface ClientTarget {
  readonly name: string;
  readonly kind: "http" | "ws" | "socket.io" | "smtp";
  readonly port: number;
  readonly path: string;
  /** What each answer has to contain. */
  readonly answer: string;
}

/** What was lost. */
export interface Loss {
  /** The port of the client's end; 0 where it had no connection. */
  readonly localPort: number;
  readonly error: string;
}

/** What the clients of one program have seen so far. */
export interface ClientReport {
  /** Requests, messages or mails that were answered. */
  readonly answered: number;
  readonly lost: readonly Loss[];
}

/** Counts of one program that grow. */
interface Tally {
  answered: number;
  readonly lost: Loss[];
}

/** One connection, or none yet, of a client. */
interface Link {
  socket?: Socket;
  localPort: number;
  /** When the last answer came, if another request may follow on the connection. */
  answeredMs?: number;
}

/** One client: it asks until all is over, and throws at a loss. */
type Client = (target: ClientTarget, link: Link, tally: Tally) => Promise<void>;

const COUNT = 3, MESSAGES = 20;

/**
 * The pause of most clients, and of those that are to notice at once when a connection is closed. Shorter ones keep
 * both processors busy, and all clients late.
 */
const PAUSE_MS = 250, EAGER_MS = 100;

/** A server that drains keeps an idle connection for a second; without that, a request on its way is lost. */
const KEPT_MS = 500;

/** A pause that is longer than asked for by this shows a busy machine: then an answer has come long before it is seen. */
const LATE_MS = 100;

let isOver = false, lateAtMs = -Infinity;

async function pause(ms = PAUSE_MS): Promise<void> {
  const beganMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, ms));
  const nowMs = performance.now();
  if (nowMs - beganMs > ms + LATE_MS) lateAtMs = nowMs;
}

/** Loads one program until all is over; a client goes on after a loss. */
async function load(target: ClientTarget, client: Client, tally: Tally): Promise<void> {
  while (!isOver) {
    const link: Link = { localPort: 0 };
    try {
      await client(target, link, tally);
    } catch (error) {
      const { localPort } = link;
      tally.lost.push({ localPort, error: `${(error as Error).message ?? error}` });
    }
    await pause();
  }
}

/** One request at a time over a connection that is kept as long as the server keeps it. */
async function askOnAndOn(
  target: ClientTarget,
  link: Link,
  tally: Tally,
  pauseMs = EAGER_MS,
): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  try {
    while (!isOver) {
      await ask(target, link, agent);
      tally.answered++;
      const { socket } = link;
      await pause(pauseMs);
      if (socket?.destroyed && isEarly(link)) throw new Error("closed without notice");
    }
  } finally {
    agent.destroy();
  }
}

/** Whether a connection has just been answered on, and no end was announced. */
function isEarly({ answeredMs = -Infinity }: Link): boolean {
  const nowMs = performance.now();
  return nowMs - answeredMs < KEPT_MS && nowMs - lateAtMs > 2 * KEPT_MS;
}

/** The same with pauses, in which the connection is idle. */
const askNowAndThen: Client = (target, link, tally) => askOnAndOn(target, link, tally, PAUSE_MS);

/** Each request over a connection of its own. */
async function askAnew(target: ClientTarget, link: Link, tally: Tally): Promise<void> {
  await ask(target, link, new Agent({ keepAlive: false }));
  tally.answered++;
}

function ask({ port, path, answer }: ClientTarget, link: Link, agent: Agent): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const request = get({ host: "127.0.0.1", port, path, agent }, (response) => {
    let body = "";
    response.setEncoding("utf8");
    response.on("data", (text: string) => body += text);
    response.on("error", reject);
    response.on("end", () => {
      const isLast = response.headers.connection?.toLowerCase() === "close";
      link.answeredMs = isLast ? undefined : performance.now();
      if (response.statusCode === 200 && body.includes(answer)) resolve();
      else reject(new Error(`${response.statusCode} ${body.slice(0, 200)}`));
    });
  });
  request.on("socket", (socket) => {
    const note = () => link.localPort = socket.localPort ?? 0;
    link.socket = socket;
    link.localPort = 0;
    if (socket.connecting) socket.once("connect", note);
    else note();
  });
  request.on("error", reject);
  return promise;
}

/** An agent that notes the connection of a link from its first moment on. */
class NotingAgent extends Agent {
  readonly #link: Link;

  constructor(link: Link) {
    super({ keepAlive: false });
    this.#link = link;
  }

  override createConnection(...given: Parameters<Agent["createConnection"]>) {
    const connection = super.createConnection(...given) as Socket;
    connection.once("connect", () => this.#link.localPort = connection.localPort ?? 0);
    return connection;
  }
}

// deno-lint-ignore no-explicit-any
type Any = any;

/** Packages of the folder that this file is copied to. */
const loadPackage = (name: string): Promise<Any> => import(name);

/** Messages over one WebSocket, each when the one before was echoed; then it is closed in order. */
async function echo({ port, path }: ClientTarget, link: Link, tally: Tally): Promise<void> {
  const { default: WebSocket } = await loadPackage("ws");
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { agent: new NotingAgent(link) });
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  socket.on("error", failed.reject);
  socket.on("close", (code: number) => failed.reject(new Error(`closed with ${code}`)));
  await Promise.race([new Promise((resolve) => socket.once("open", resolve)), failed.promise]);
  for (let i = 0; i < MESSAGES && !isOver; i++) {
    const text = `message ${i}`;
    const echoed = new Promise((resolve) => socket.once("message", resolve));
    socket.send(text);
    const got = await Promise.race([echoed, failed.promise]);
    if (`${got}` !== text) throw new Error(`"${got}" came in place of "${text}"`);
    tally.answered++;
    await pause();
  }
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.close(1000);
  await closed;
}

/** Events over one connection of Socket.IO, each when the one before was acknowledged. */
async function emit({ port }: ClientTarget, link: Link, tally: Tally): Promise<void> {
  const { io } = await loadPackage("socket.io-client");
  const socket = io(`http://127.0.0.1:${port}`, {
    transports: ["websocket"],
    agent: new NotingAgent(link),
    reconnection: false,
    forceNew: true,
  });
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  socket.on("connect_error", failed.reject);
  socket.on("disconnect", (why: string) => failed.reject(new Error(why)));
  try {
    await Promise.race([new Promise((resolve) => socket.once("connect", resolve)), failed.promise]);
    for (let i = 0; i < MESSAGES && !isOver; i++) {
      const text = `event ${i}`;
      const got = await Promise.race([socket.emitWithAck("chat message", text), failed.promise]);
      if (got !== text) throw new Error(`"${got}" came in place of "${text}"`);
      tally.answered++;
      await pause();
    }
  } finally {
    socket.disconnect();
  }
}

/** Mails over one connection, then another one. */
async function mail({ port }: ClientTarget, link: Link, tally: Tally): Promise<void> {
  const { createTransport } = await loadPackage("nodemailer");
  const transport = createTransport({
    ...{ host: "127.0.0.1", port, ignoreTLS: true, pool: true, maxConnections: 1 },
    maxMessages: 5,
    getSocket(_options: unknown, callback: (error: Error | null, given?: Any) => void) {
      const connection = connect(port, "127.0.0.1");
      connection.once("error", callback);
      connection.once("connect", () => {
        connection.off("error", callback);
        link.localPort = connection.localPort ?? 0;
        callback(null, { connection });
      });
    },
  });
  try {
    while (!isOver) {
      const from = "a@example.com", to = "b@example.com";
      const { rejected } = await transport.sendMail({ from, to, subject: "a", text: "mail" });
      if (rejected.length > 0) throw new Error(`rejected: ${rejected}`);
      tally.answered++;
      await pause();
    }
  } finally {
    transport.close();
  }
}

/** The clients of each kind. */
const CLIENTS: Readonly<Record<ClientTarget["kind"], readonly Client[]>> = {
  "http": [askOnAndOn, askNowAndThen, askAnew],
  "ws": [echo],
  "socket.io": [emit],
  "smtp": [mail],
};

if (import.meta.main) {
  const targets: readonly ClientTarget[] = JSON.parse(Deno.args[0]);
  const tallies = new Map<string, Tally>();
  const loads: Promise<void>[] = [];
  for (const target of targets) {
    const tally: Tally = { answered: 0, lost: [] }, clients = CLIENTS[target.kind];
    tallies.set(target.name, tally);
    for (let i = 0; i < COUNT; i++) loads.push(load(target, clients[i % clients.length], tally));
  }
  const print = () => console.log(JSON.stringify(Object.fromEntries(tallies)));
  for await (const _ of Deno.stdin.readable) print();
  isOver = true;
  await Promise.all(loads);
  print();
  Deno.exit(0);
}
