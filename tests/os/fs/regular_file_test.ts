import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { SysError } from "../../../src/os/ffi/errors.ts";
import { readRegularFile } from "../../../src/os/fs/regular_file.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { leaveOut } from "../../support/left_out.ts";
import { giveLinkAway } from "../../support/privileges.ts";
import { startFunction } from "../../support/processes.ts";
import { swapPipeAndLink } from "../../support/swapping.ts";
import { TempDir } from "../../support/temp.ts";

const MOST = 1 << 20;

/** The code of the error with which a file is not read. */
function refused(path: string, options: Parameters<typeof readRegularFile>[1]): string {
  return assertThrows(() => readRegularFile(path, options), SysError, path).code;
}

Deno.test("readRegularFile() reads a file up to a bound, whatever size the kernel tells", () =>
  leavesNothingOpen(() => {
    using dir = new TempDir();
    const bytes = crypto.getRandomValues(new Uint8Array(65_536));
    for (const length of [0, 1, 65_535, 65_536]) {
      Deno.writeFileSync(dir.file("file"), bytes.subarray(0, length));
      for (const trustsNoLinks of [false, true]) {
        const options = { most: length, trustsNoLinks };
        assertEquals(readRegularFile(dir.file("file"), options), bytes.subarray(0, length));
      }
    }
    assertEquals(refused(dir.file("file"), { most: 65_535 }), "EFBIG");
    // It takes no time and no memory.
    Deno.truncateSync(dir.file("file"), 2 ** 42);
    assertEquals(refused(dir.file("file"), { most: MOST }), "EFBIG");
    // Files of /proc have the size 0.
    const status = readRegularFile("/proc/self/status", { most: MOST });
    assertMatch(new TextDecoder().decode(status), /^Name:/);
  }));

Deno.test("readRegularFile() reads no directory, pipe or device, and waits for none", () =>
  leavesNothingOpen(() => {
    using dir = new TempDir();
    new Deno.Command("mkfifo", { args: [dir.file("pipe")] }).outputSync();
    for (const trustsNoLinks of [false, true]) {
      const options = { most: MOST, trustsNoLinks };
      assertEquals(refused(dir.path, options), "EISDIR");
      assertEquals(refused(dir.file("pipe"), options), "EINVAL");
      assertEquals(refused("/dev/zero", options), "EINVAL");
      assertThrows(() => readRegularFile(dir.file("none"), options), Deno.errors.NotFound);
    }
  }));

Deno.test("readRegularFile() follows no link of another user where that is asked for", (t) => {
  using dir = new TempDir();
  const options = { most: MOST, trustsNoLinks: true };
  dir.write("file", "x");
  Deno.symlinkSync("file", dir.file("link"));
  assertEquals(readRegularFile(dir.file("link"), options).length, 1);
  if (Deno.uid() !== 0) return leaveOut(t);
  giveLinkAway(dir.file("link"));
  assertEquals(refused(dir.file("link"), options), "ELOOP");
  assertEquals(readRegularFile(dir.file("link"), { most: MOST }).length, 1);
});

for (const reader of ["readCfText", "readForeignText"] as const) {
  Deno.test(`${reader}() does not wait for a named pipe that takes the place of a file again and again`, async () => {
    using dir = new TempDir();
    const path = dir.file("file"), victim = dir.write("victim", "a = b\n");
    await using attacker = await swapPipeAndLink(path, victim);
    await using child = startFunction(import.meta, async ({ path, reader }) => {
      const cf = await import("../../../src/config/cf.ts");
      const found = { read: 0, refused: 0 };
      for (let round = 0; round < 3_000 || found.read === 0 || found.refused === 0; round++) {
        try {
          if (reader === "readCfText") cf.readCfText(path);
          else cf.readForeignText(path, { what: "file", most: 100 });
          found.read++;
        } catch {
          found.refused++;
        }
      }
      console.log("over");
      Deno.exit(0);
    }, { arg: { path, reader } });
    assertEquals(await child.nextLine(), "over");
    await attacker.closeInput();
    await attacker.succeeds();
  });
}
