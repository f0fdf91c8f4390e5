/**
 * How a server of the benchmarks says that it listens: by a file in the folder that the benchmark
 * looks at, the same for every contender.
 *
 * @module
 */

/** The port to listen on. */
export const PORT = Number(Deno.env.get("BENCH_PORT"));

/** Says that this process listens. */
export function sayReady(): void {
  const name = `${Deno.pid}.${crypto.randomUUID()}`;
  Deno.writeTextFileSync(`${Deno.env.get("BENCH_READY")}/${name}`, "");
}
