/**
 * Writes log lines for so many SECONDS to the log service at SOCKET, from when its input closes; then prints how
 * many. Run: log_writer.ts SOCKET SECONDS
 *
 * @module
 */
import { closeLog, configureLog, flushLog, zinfo } from "../../src/log/log.ts";

const LINES_PER_TURN = 100;

const [socket, seconds] = Deno.args as [string, string];
configureLog({ program: "writer", target: { kind: "masterlog", socket } });
await new Response(Deno.stdin.readable).bytes();
const end = performance.now() + Number(seconds) * 1_000;
let lines = 0;
while (performance.now() < end) {
  for (let i = 0; i < LINES_PER_TURN; i++) zinfo("a line of the usual length, number", ++lines);
  await flushLog();
}
closeLog();
console.log(lines);
