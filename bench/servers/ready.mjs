// The same as ready.ts, for servers that run in Node as well.
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import process from "node:process";

export const PORT = Number(process.env.BENCH_PORT);

export function sayReady() {
  writeFileSync(`${process.env.BENCH_READY}/${process.pid}.${randomUUID()}`, "");
}
