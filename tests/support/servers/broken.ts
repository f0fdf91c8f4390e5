/**
 * A program with an error that nothing awaits, of the framework or without it.
 *
 * @module
 */
import process from "node:process";

const [kind, how] = Deno.args;
if (kind === "coroutine") await import("../../../coroutine_server.ts");
if (kind === "aio") await import("../../../aio_server.ts");
if (kind === "serve") await import("../../../serve.ts");
if (how === "module") throw new Error("boom");
if (how === "handled by listener") {
  addEventListener("error", (event) => {
    event.preventDefault();
    console.error("handled", event.error.message);
  });
}
if (how === "handled by node") {
  process.on("uncaughtException", ({ message }) => console.error("handled", message));
}
// Its end is left open: the message of the runtime begins in the same line.
if (how === "line") Deno.stderr.writeSync(new TextEncoder().encode("a line without its end"));
setTimeout(() => {
  throw new Error("boom");
});
await new Promise((resolve) => setTimeout(resolve, 500));
