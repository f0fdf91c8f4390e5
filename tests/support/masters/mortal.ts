/**
 * A master that is killed at one point of an upgrade, as by somebody else: the variable `DIE` names it as
 * `MESSAGE before` or `MESSAGE after`, of a message that this master sends to the other one. Only the
 * first process that comes to that point dies; with `DIE_BY=SIGSTOP` it stops for a while.
 *
 * @module
 */
import { Channel } from "../../../src/ipc/channel.ts";
import { masterServerMain } from "../../../master.ts";

const [message, when] = Deno.env.get("DIE")!.split(" "), once = Deno.env.get("DIE_ONCE")!;
const signal = (Deno.env.get("DIE_BY") ?? "SIGKILL") as Deno.Signal;
const { send } = Channel.prototype;

/** The point is passed once: who comes back later lives. */
function die(): void {
  try {
    Deno.writeTextFileSync(once, `${Deno.pid}\n`, { createNew: true });
  } catch {
    return;
  }
  Deno.kill(Deno.pid, signal);
}

Channel.prototype.send = function (sent, fds) {
  const isPoint = sent.type === message;
  if (isPoint && when === "before") die();
  send.call(this, sent, fds);
  if (isPoint && when === "after") die();
};

Deno.exit(await masterServerMain());
