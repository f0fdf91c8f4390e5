/**
 * A master that is killed at one point of an upgrade, as by somebody else: the file that the variable `DIE`
 * names has it as `MESSAGE before` or `MESSAGE after`, of a message that this master sends to the other one.
 * Only the first process that comes to that point dies, and leaves its pid in the file; with
 * `DIE_BY=SIGSTOP` it stops for a while.
 *
 * @module
 */
import { Channel } from "../../../src/ipc/channel.ts";
import { masterServerMain } from "../../../master.ts";

const file = Deno.env.get("DIE")!;
const signal = (Deno.env.get("DIE_BY") ?? "SIGKILL") as Deno.Signal;
const { send } = Channel.prototype;

/** The point is passed once: who comes back later lives, and so does another master that comes to it at this moment. */
function dieAt(point: string): void {
  if (Deno.readTextFileSync(file) !== point) return;
  try {
    Deno.mkdirSync(`${file}.${point}`);
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return;
    throw error;
  }
  Deno.writeTextFileSync(file, `${Deno.pid}\n`);
  Deno.kill(Deno.pid, signal);
}

Channel.prototype.send = function (sent, fds) {
  dieAt(`${sent.type} before`);
  send.call(this, sent, fds);
  dieAt(`${sent.type} after`);
};

Deno.exit(await masterServerMain());
