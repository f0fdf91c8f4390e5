import { assertEquals, assertThrows } from "@std/assert";
import {
  median,
  medianInterval,
  quantile,
  ratios,
  summarize,
  unevenness,
} from "../../bench/stats.ts";

Deno.test("median() is the sample in the middle, or the mean of the two there", () => {
  assertEquals(median([9]), 9);
  assertEquals(median([30, 10, 20]), 20);
  assertEquals(median([40, 10, 30, 20]), 25);
});

Deno.test("quantile() interpolates, and its ends are the least and the greatest", () => {
  const samples = [5, 1, 3, 2, 4];
  assertEquals([0, 0.25, 0.9, 1].map((share) => quantile(samples, share)), [1, 2, 4.6, 5]);
  assertEquals(samples, [5, 1, 3, 2, 4]);
});

Deno.test("quantile() refuses to make something of nothing", () => {
  assertThrows(() => quantile([], 0.5), RangeError, "no samples");
});

Deno.test("summarize() gives median, least and greatest", () => {
  assertEquals(summarize([7, 100, 3]), { median: 7, min: 3, max: 100 });
});

Deno.test("ratios() compares the samples of the same round", () => {
  // The machine was half as fast in the second round: the ratio does not change.
  assertEquals(ratios([100, 50, 100], [200, 100, 200]), { median: 0.5, min: 0.5, max: 0.5 });
  assertEquals(ratios([1, 4, 9], [1, 2, 3]), { median: 2, min: 1, max: 3 });
});

Deno.test("ratios() takes the medians where the rounds differ in number", () => {
  assertEquals(ratios([10, 20, 30], [5, 5]), { median: 4, min: 4, max: 4 });
});

Deno.test("unevenness() is 1 for even shares, and the number of shares where one has all", () => {
  assertEquals(unevenness([8, 8, 8, 8]), 1);
  assertEquals(unevenness([0, 64, 0, 0]), 4);
  assertThrows(() => unevenness([0, 0]), RangeError, "all are 0");
});

Deno.test("medianInterval() leaves out as many samples on each side as the confidence allows", () => {
  const samples = [5, 1, 4, 2, 9, 6, 3, 8, 7];
  assertEquals(medianInterval(samples, 0.99), { low: 1, high: 9, confidence: 1 - 2 / 512 });
  assertEquals(medianInterval(samples, 0.95), { low: 2, high: 8, confidence: 1 - 20 / 512 });
  assertEquals(medianInterval(samples, 0.8), { low: 3, high: 7, confidence: 1 - 92 / 512 });
});

Deno.test("medianInterval() has the least and the greatest of a few samples, and a low confidence", () => {
  assertEquals(medianInterval([3, 1, 2], 0.99), { low: 1, high: 3, confidence: 0.75 });
  assertEquals(medianInterval([3], 0.99), { low: 3, high: 3, confidence: 0 });
});

Deno.test("median() of infinite ratios is infinite", () => {
  assertEquals(median([Infinity, Infinity]), Infinity);
});
