/**
 * A server process for the tests of the launcher: `REPORT WORD…` as arguments of its command. When
 * it is started it writes down what it has received, and sends the named messages.
 *
 * @module
 */
import { Channel } from "../../../src/ipc/channel.ts";
import type { Message } from "../../../src/ipc/messages.ts";
import { encodeFrame, MASTER } from "../../../src/ipc/protocol.ts";
import { sendWithFds } from "../../../src/os/net/fd_passing.ts";
import { Poller } from "../../../src/os/fd/poller.ts";
import { describeListener } from "../../../src/os/net/socket.ts";
import { flagsOf } from "../../support/descriptors.ts";

/** What `server-idle-exit = 7` reads as. */
const IDLE_MS = 7_000;

const TYPE_AT = 3, LENGTH_AT = 4;

const [report, ...rest] = Deno.args;
const words = rest.slice(0, rest.indexOf("MASTER"));
const controlFd = Number(rest.at(-1));
const poller = new Poller((error) => console.error(error));
const channel = new Channel({ fd: controlFd, poller, sender: MASTER }, {
  onMessage(message, fds) {
    if (message.type === "standby") return tell({ type: "loaded" });
    if (message.type === "watchdog") return tell({ type: "heartbeat" });
    if (message.type === "limits") {
      tell({ type: "spent" });
      return tell({ type: "used", used: message.idleMs === IDLE_MS });
    }
    if (message.type === "softstop") return tell({ type: "draining", seconds: 3 });
    if (message.type !== "start") return;
    const listeners = fds.map((fd) => ({ ...describeListener(fd), ...flagsOf(fd) }));
    const text = JSON.stringify({ message, listeners, args: rest.slice(words.length) });
    Deno.writeTextFileSync(report, text);
    for (const word of words) say(word, message.generation);
  },
  onUnknown() {},
  onClose: () => Deno.exit(9),
});

type Told = { readonly type: "draining"; readonly seconds: number } | {
  readonly type: "loaded" | "ready" | "detach" | "heartbeat" | "spent";
} | { readonly type: "used"; readonly used: boolean };

function tell(what: Told, from: Partial<{ pid: number; generation: number }> = {}): void {
  channel.send({ ...what, pid: Deno.pid, generation: 7, ...from } as Message);
}

/** Sends a frame with something in its header changed. */
function sendAltered(offset: number, value: number): void {
  const frame = encodeFrame({ type: "softstop" }, 0);
  frame[offset] = value;
  sendWithFds(controlFd, frame);
}

function say(word: string, generation: number): void {
  switch (word) {
    case "ready":
      return tell({ type: "ready" });
    case "detach":
      return tell({ type: "detach" });
    case "draining":
      return tell({ type: "draining", seconds: 3 });
    case "stale-pid":
      return tell({ type: "ready" }, { pid: Deno.pid + 1 });
    case "stale-generation":
      return tell({ type: "ready" }, { generation: generation - 1 });
    case "wrong-way":
      return channel.send({ type: "softstop" });
    case "descriptors":
      return channel.send({ type: "ready", pid: Deno.pid, generation }, [0, 1]);
    case "unknown":
      return sendAltered(TYPE_AT, 99);
    case "garbage":
      return sendAltered(LENGTH_AT, 0xff);
    case "close":
      channel.close();
      // The process continues to run.
      setInterval(() => {}, 1_000);
      return;
    case "leave-child": {
      // The child inherits the worker socket, which stays open when this process ends.
      const quiet = { stdin: "null", stdout: "null", stderr: "null" } as const;
      const child = new Deno.Command("sleep", { args: ["60"], ...quiet }).spawn();
      Deno.writeTextFileSync(report, String(child.pid));
      return Deno.exit(7);
    }
    case "exit":
      Deno.exit(7);
  }
}
