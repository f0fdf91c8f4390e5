/** Programs whose handler of SIGTERM takes its time, longer than the master waits for a process without a socket. */
import process from "node:process";

const [port, how] = Deno.args;
let told = 0;
function onSignal() {
  console.log(`${how} is told`, ++told);
  // Such as a data base that is written to the disk.
  setTimeout(() => {
    console.log(`${how} has written`, told);
    Deno.exit(0);
  }, 4_000);
}

if (how === "Deno") Deno.addSignalListener("SIGTERM", onSignal);
else process.on("SIGTERM", onSignal);
Deno.serve({ port: Number(port) }, () => new Response(how));
