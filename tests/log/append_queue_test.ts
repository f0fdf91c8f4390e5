import { assertEquals } from "@std/assert";
import { AppendQueue } from "../../src/log/append_queue.ts";
import { WRITERS_MAX } from "../../src/log/write_turns.ts";
import { systemClock } from "../../src/os/clock/clock.ts";
import { TempDir } from "../support/temp.ts";
import { eventually } from "../support/wait.ts";

Deno.test("AppendQueue waits for a turn while a disk that hangs keeps as many threads as log files may have", async () => {
  using dir = new TempDir();
  const line = new TextEncoder().encode("line\n"), answered = Promise.withResolvers<void>();
  const errors: string[] = [];
  let hanging = 0;
  const paths = Array.from({ length: 3 * WRITERS_MAX }, (_, index) => dir.file(`${index}`));
  const queues = paths.map((path) =>
    new AppendQueue({
      path: () => path,
      notice: () => line,
      clock: systemClock,
      onError: (message) => errors.push(message),
      async beforeWrite() {
        hanging++;
        await answered.promise;
        hanging--;
        return Infinity;
      },
    })
  );
  for (const queue of queues) {
    queue.reserve(line.length)?.set(line);
    queue.flush();
  }
  await eventually(() => hanging === WRITERS_MAX, { what: "all turns" });
  // Another turn would begin in this one of the event loop.
  await Deno.stat(dir.path);
  assertEquals(hanging, WRITERS_MAX);
  answered.resolve();
  for (const queue of queues) await queue.close();
  assertEquals(errors, []);
  for (const path of paths) assertEquals(Deno.readTextFileSync(path), "line\n");
});
