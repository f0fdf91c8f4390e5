import { assertEquals, assertMatch } from "@std/assert";
import type { LogRecord } from "../../../src/log/record.ts";
import { ServerOutputs } from "../../../src/master/outputs/server_outputs.ts";
import { systemClock } from "../../../src/os/clock/clock.ts";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { Poller } from "../../../src/os/fd/poller.ts";
import { writeWithoutWaiting } from "../../../src/os/net/datagram.ts";
import { mayGiveTo } from "../../../src/os/user/credentials.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { eventually } from "../../support/wait.ts";
import { serviceOf } from "../service_configs.ts";

const encoder = new TextEncoder();

/** Outputs on real pipes; the test is the process that writes to them. */
function fixture(onRecord: () => void = () => {}) {
  const records: LogRecord[] = [], log: string[] = [];
  const poller = new Poller((error) => {
    throw error;
  });
  const outputs = new ServerOutputs({
    poller,
    clock: systemClock,
    mayGiveTo,
    now: Date.now,
    onRecords: (_service, read) => {
      records.push(...read);
      onRecord();
    },
    log: (text) => log.push(text),
  });
  let pid = 100;
  const start = (service = "web.cf") => {
    const childEnds: number[] = [];
    const process = outputs.prepare({ service: serviceOf(service), childEnds });
    process.begin(++pid);
    const [stdout, stderr] = childEnds;
    return {
      process,
      pid,
      write: (to: "stdout" | "stderr", text: string) =>
        writeWithoutWaiting(to === "stdout" ? stdout : stderr, encoder.encode(text)),
      close: () => childEnds.splice(0).forEach(closeFd),
    };
  };
  return { records, log, outputs, start };
}

Deno.test("ServerOutputs makes records of what a process writes, with service, pid and output", async () => {
  await leavesNothingOpen(async () => {
    const { records, start } = fixture();
    const one = start();
    one.write("stdout", "hello\n");
    one.write("stderr", "<4>careful\nno end");
    one.close();
    await eventually(() => records.length === 3, { what: "the records" });
    const of = ({ level, text, stream, ident, service, pid }: LogRecord) => [
      ...[level, text, stream, ident, service, pid],
    ];
    const about = ["web", "web.cf", one.pid];
    assertEquals(records.map(of).sort(), [
      ["info", "hello", "stdout", ...about],
      ["info", "no end", "stderr", ...about],
      ["warn", "careful", "stderr", ...about],
    ]);
  });
});

Deno.test("ServerOutputs passes on the last line of a burst, whatever the length of the burst", async () => {
  await leavesNothingOpen(async () => {
    const { records, start } = fixture();
    const one = start();
    // Multiples of what is read at once, and of what is read in one turn.
    for (const size of [4_096, 8_192, 16_384, 32_768, 65_536]) {
      const before = records.length, line = `${"x".repeat(4_095)}\n`;
      for (let written = 0; written < size;) written += one.write("stdout", line) ?? 0;
      await eventually(() => records.length - before === size / 4_096, { what: `${size} bytes` });
    }
    one.close();
  });
});

Deno.test("ServerOutputs reads all that an ended process has written, and tells its last words", async () => {
  await leavesNothingOpen(() => {
    const { records, outputs, start } = fixture();
    const one = start();
    one.write("stderr", "first\nError: boom\n    at a.ts:1\n    at b.ts:2\nStack backtrace:\n");
    one.close();
    assertEquals(outputs.end(one.process), "Error: boom");
    assertEquals(records.map(({ text }) => text), [
      ...["first", "Error: boom\n    at a.ts:1\n    at b.ts:2", "Stack backtrace:"],
    ]);
    const needy = start();
    const advice = "Cannot go on without --allow-read: no read access, expected --allow-read";
    needy.write("stderr", `${advice} behind deno run\n`);
    needy.write(
      "stderr",
      "error: Uncaught NotCapable: Requires read access, run again with the " +
        "--allow-read flag\n",
    );
    needy.close();
    assertEquals(outputs.end(needy.process), `${advice} behind deno run`);
    assertEquals(records.at(-2)?.level, "error");
    const quiet = start();
    quiet.write("stdout", "not an error\n");
    quiet.close();
    assertEquals(outputs.end(quiet.process), undefined);
  });
});

Deno.test("ServerOutputs goes on reading what programs write that a process has left behind, of 64 processes", async () => {
  await leavesNothingOpen(async () => {
    const { records, log, outputs, start } = fixture();
    const left = Array.from({ length: 65 }, () => start());
    for (const one of left) outputs.end(one.process);
    assertEquals(log.length, 1);
    assertMatch(
      log[0],
      /hold 64 outputs open, most of them of web.cf, of which the oldest is closed$/,
    );
    const [oldest, next] = left;
    // The signal of a broken pipe is ignored in this process.
    let error: unknown;
    try {
      oldest.write("stdout", "nobody reads this\n");
    } catch (found) {
      error = found;
    }
    assertMatch(String(error), /EPIPE/);
    next.write("stdout", "somebody reads this\n");
    await eventually(() => records.length === 1, { what: "the record" });
    assertEquals([records[0].pid, records[0].text], [next.pid, "somebody reads this"]);
    for (const one of left) one.close();
    outputs.close();
  });
});

Deno.test("ServerOutputs closes no output that a service has left behind for one of another service", async () => {
  await leavesNothingOpen(async () => {
    const { records, outputs, start } = fixture();
    const victim = start("victim.cf");
    outputs.end(victim.process);
    const left = Array.from({ length: 100 }, () => start());
    for (const one of left) outputs.end(one.process);
    victim.write("stdout", "somebody reads this\n");
    await eventually(() => records.length === 1, { what: "the record" });
    assertEquals([records[0].service, records[0].text], ["victim.cf", "somebody reads this"]);
    for (const one of [victim, ...left]) one.close();
    outputs.close();
  });
});

Deno.test("ServerOutputs leaves an output that never ends, and closes it, when this process ends", async () => {
  await leavesNothingOpen(() => {
    let refills = 0;
    const { outputs, start } = fixture(() => {
      // As a process that writes all the time.
      refills++;
      one.write("stdout", "more\n");
    });
    const one = start();
    one.write("stdout", "first\n");
    outputs.close();
    assertEquals(refills > 0 && refills < 1_000, true, `${refills}`);
    one.close();
  });
});

Deno.test("ServerOutputs gives each output its time, and other events theirs, however much is printed", async () => {
  await leavesNothingOpen(async () => {
    const { records, start } = fixture();
    // As much as a pipe holds, of what takes longest to read.
    const flooded = Array.from({ length: 20 }, () => start());
    for (const one of flooded) {
      for (let n = 0; n < 15; n++) one.write("stdout", "x\n".repeat(2_000));
    }
    const last = start();
    last.write("stderr", "me too\n");
    await eventually(() => records.some(({ pid }) => pid === last.pid), { what: "the last one" });
    await eventually(() => records.some(({ text }) => /dropped/.test(text)), { what: "a notice" });
    for (const one of [...flooded, last]) one.close();
  });
});
