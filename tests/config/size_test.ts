import { assertEquals } from "@std/assert";
import { formatSize } from "../../src/config/size.ts";

Deno.test("formatSize() shows a number of two or three digits", () => {
  assertEquals(formatSize(512), "512 B");
  assertEquals(formatSize(1_536), "1.5 KiB");
  assertEquals(formatSize(61 * 2 ** 20), "61 MiB");
  assertEquals(formatSize(3 * 2 ** 30), "3.0 GiB");
});
