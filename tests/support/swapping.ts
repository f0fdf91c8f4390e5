/**
 * An attacker who may write to a directory: a process that swaps what is at a path, again and again,
 * for as long as a test needs it.
 *
 * @module
 */
import { startFunction, type TestProcess } from "./processes.ts";

/**
 * Starts a process that puts a named pipe and a link at a path by turns.
 *
 * @param path The path.
 * @param victim What the link leads to.
 * @returns The process, which goes on until it is ended.
 */
export async function swapPipeAndLink(path: string, victim: string): Promise<TestProcess> {
  const attacker = startFunction(import.meta, async ({ path, victim }) => {
    const { AT_FDCWD } = await import("../../src/os/ffi/constants.ts");
    const { libc, cString } = await import("../../src/os/ffi/libc.ts");
    const { untilInputCloses } = await import("./processes.ts");
    let isOver = false;
    untilInputCloses().then(() => isOver = true);
    libc().mkfifoat(AT_FDCWD, cString(path), 0o600);
    console.log("swapping");
    for (let round = 0; !isOver; round++) {
      // Refreshed now and then, for the end of the input to be seen.
      if (round % 100 === 0) await new Promise((resolve) => setTimeout(resolve));
      Deno.symlinkSync(victim, `${path}.next`);
      Deno.renameSync(`${path}.next`, path);
      libc().mkfifoat(AT_FDCWD, cString(`${path}.next`), 0o600);
      Deno.renameSync(`${path}.next`, path);
    }
    Deno.exit(0);
  }, { arg: { path, victim } });
  await attacker.nextLine();
  return attacker;
}

/**
 * Starts a process that replaces each socket at a path by a link as soon as it is there.
 *
 * @param path The path.
 * @param victim What the link leads to.
 * @returns The process, which goes on until it is ended.
 */
export async function replaceSockets(path: string, victim: string): Promise<TestProcess> {
  const attacker = startFunction(import.meta, async ({ path, victim }) => {
    const { untilInputCloses } = await import("./processes.ts");
    let isOver = false;
    untilInputCloses().then(() => isOver = true);
    Deno.symlinkSync(victim, `${path}.next`);
    console.log("waiting");
    for (let round = 0; !isOver; round++) {
      if (round % 1_000 === 0) await new Promise((resolve) => setTimeout(resolve));
      try {
        if (!Deno.lstatSync(path).isSocket) continue;
      } catch {
        continue;
      }
      Deno.renameSync(`${path}.next`, path);
      Deno.symlinkSync(victim, `${path}.next`);
    }
    Deno.exit(0);
  }, { arg: { path, victim } });
  await attacker.nextLine();
  return attacker;
}

/**
 * Starts a process that exchanges two directories, or a directory and a link, again and again.
 *
 * @param one The path of one.
 * @param other The path of the other.
 * @returns The process, which goes on until it is ended.
 */
export async function exchangeDirectories(one: string, other: string): Promise<TestProcess> {
  const attacker = startFunction(import.meta, async ({ one, other }) => {
    const { AT_FDCWD } = await import("../../src/os/ffi/constants.ts");
    const { cString } = await import("../../src/os/ffi/libc.ts");
    const { untilInputCloses } = await import("./processes.ts");
    const { renameat2 } = Deno.dlopen("libc.so.6", {
      renameat2: { parameters: ["i32", "buffer", "i32", "buffer", "u32"], result: "i32" },
    }).symbols;
    const RENAME_EXCHANGE = 2, paths = [cString(one), cString(other)];
    let isOver = false;
    untilInputCloses().then(() => isOver = true);
    console.log("exchanging");
    for (let round = 0; !isOver; round++) {
      // Refreshed now and then, for the end of the input to be seen.
      if (round % 1_000 === 0) await new Promise((resolve) => setTimeout(resolve));
      renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE);
    }
    Deno.exit(0);
  }, { arg: { one, other } });
  await attacker.nextLine();
  return attacker;
}
