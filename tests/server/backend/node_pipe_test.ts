import { assertEquals } from "@std/assert";
import { openListener } from "../../../src/os/net/open_listener.ts";
import { NodePipe } from "../../../src/server/backend/node_pipe.ts";
import { TempDir } from "../../support/temp.ts";
import { eventually, within } from "../../support/wait.ts";

/** A named pipe with a reader. */
function openPipe(dir: TempDir): { readonly path: string; readonly pipe: NodePipe } {
  const path = dir.file("pipe");
  return { path, pipe: new NodePipe(openListener({ kind: "fifo", path }).fd) };
}

function readable(pipe: NodePipe): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  pipe.wait(resolve);
  return within(promise, { what: "something to read" });
}

function readText(pipe: NodePipe, length: number): string | undefined {
  const room = new Uint8Array(length);
  const count = pipe.readNow(room);
  return count === undefined ? undefined : new TextDecoder().decode(room.subarray(0, count));
}

Deno.test("NodePipe reads the available bytes in pieces of any length, and then reports that there are none", async () => {
  using dir = new TempDir();
  const { path, pipe } = openPipe(dir);
  assertEquals(readText(pipe, 10), undefined);
  Deno.writeTextFileSync(path, "one two", { create: false });
  await readable(pipe);
  assertEquals([readText(pipe, 4), readText(pipe, 10), readText(pipe, 1)], [
    "one ",
    "two",
    undefined,
  ]);
  Deno.writeTextFileSync(path, "three", { create: false });
  await readable(pipe);
  assertEquals(readText(pipe, 10), "three");
  pipe.close();
});

Deno.test("NodePipe.close() keeps bytes readable that were taken out of the pipe before", async () => {
  using dir = new TempDir();
  const { path, pipe } = openPipe(dir);
  Deno.writeTextFileSync(path, "one two", { create: false });
  await readable(pipe);
  assertEquals(readText(pipe, 4), "one ");
  pipe.close();
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals([readText(pipe, 10), readText(pipe, 10)], ["two", undefined]);
});

Deno.test("NodePipe.wait() that was ended does not call back", async () => {
  using dir = new TempDir();
  const { path, pipe } = openPipe(dir);
  let calls = 0;
  const stop = pipe.wait(() => calls++);
  stop();
  Deno.writeTextFileSync(path, "one", { create: false });
  const other = readable(pipe);
  await other;
  assertEquals([calls, readText(pipe, 10)], [0, "one"]);
  pipe.close();
});

Deno.test("NodePipe.close() closes the pipe, also before node:net is loaded", async () => {
  using dir = new TempDir();
  const { path, pipe } = openPipe(dir);
  pipe.close();
  const isOpen = () =>
    [...Deno.readDirSync("/proc/self/fd")].some(({ name }) => {
      try {
        return Deno.readLinkSync(`/proc/self/fd/${name}`) === path;
      } catch {
        // It is closed by now.
        return false;
      }
    });
  await eventually(() => !isOpen(), { what: "the pipe to be closed" });
});
