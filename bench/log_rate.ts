/**
 * How many lines a second ten processes get into the files of one log service: through our own
 * `zinfo`, whose price is mostly that of finding the caller's file and line, and as a C program of
 * LIB-ZC sends, from python3.
 *
 * Run it on an idle machine: `deno run -A bench/log_rate.ts [SECONDS]`, 3 for each unless said.
 *
 * @module
 */
import { closeLog, configureLog, flushLog, zinfo } from "../src/log/log.ts";
import { LogService } from "../src/log/log_service.ts";

const WRITERS = 10;
const LINES_PER_TURN = 100;
const SECONDS_MAX = 4;
const START_MS = 1_500;
const NEWLINE = 10;

/** Blocking, unconnected, one call a line; begins when its input closes. */
const C_WRITER = `
import os, socket, sys, time
path, seconds = sys.argv[1], float(sys.argv[2])
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sys.stdin.read()
end, lines = time.monotonic() + seconds, 0
while time.monotonic() < end:
    for _ in range(100):
        lines += 1
        s.sendto(b"writer,%d,a line of the usual length, number %d [main.c:12]" % (os.getpid(), lines), path)
print(lines)
`;

async function write(socket: string, seconds: number): Promise<void> {
  configureLog({ program: "writer", target: { kind: "masterlog", socket } });
  await new Response(Deno.stdin.readable).bytes();
  const end = performance.now() + seconds * 1_000;
  let lines = 0;
  while (performance.now() < end) {
    for (let i = 0; i < LINES_PER_TURN; i++) zinfo("a line of the usual length, number", ++lines);
    await flushLog();
  }
  closeLog();
  console.log(lines);
}

async function measure(name: string, command: readonly string[], seconds: number): Promise<void> {
  const dir = Deno.makeTempDirSync({ prefix: "log_rate_" });
  try {
    const socket = `${dir}/socket`;
    const service = LogService.open({ socket, prefix: `${dir}/log.`, period: "day" });
    const [program, ...args] = [...command, socket, String(seconds)];
    const writers = Array.from(
      { length: WRITERS },
      () => new Deno.Command(program, { args, stdin: "piped", stdout: "piped" }).spawn(),
    );
    await new Promise((resolve) => setTimeout(resolve, START_MS));
    const start = performance.now();
    for (const { stdin } of writers) stdin.close();
    const outputs = await Promise.all(writers.map((writer) => writer.output()));
    const elapsed = (performance.now() - start) / 1_000;
    await service.close();
    const counts = outputs.map(({ stdout }) => Number(new TextDecoder().decode(stdout)));
    const sent = counts.reduce((sum, count) => sum + count, 0);
    const rate = Math.round(sent / elapsed).toLocaleString("en");
    console.log(`${name}: ${rate} lines a second (sent ${sent}, in the files ${countLines(dir)})`);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

function countLines(dir: string): number {
  let count = 0;
  for (const { name } of Deno.readDirSync(dir)) {
    for (const byte of Deno.readFileSync(`${dir}/${name}`)) if (byte === NEWLINE) count++;
  }
  return count;
}

const [first = "3", socket, seconds] = Deno.args;
if (first === "writer") {
  await write(socket, Number(seconds));
} else {
  const length = Math.min(Number(first), SECONDS_MAX);
  const self = new URL(import.meta.url).pathname;
  await measure("zinfo", [Deno.execPath(), "run", "-A", self, "writer"], length);
  await measure("as from C", ["python3", "-c", C_WRITER], length);
}
