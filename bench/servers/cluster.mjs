// A node:cluster of COUNT processes of SERVER, in Node and in Deno: replaces what dies, and reloads on
// SIGHUP, one process after the other, the new one first.
// Run: cluster.mjs SERVER COUNT
import cluster from "node:cluster";
import process from "node:process";

const [server, count] = process.argv.slice(2);
const leaving = new Set();
cluster.setupPrimary({ exec: server });
cluster.on("exit", (worker) => leaving.delete(worker.id) || cluster.fork());
for (let i = 0; i < Number(count); i++) cluster.fork();

async function reload() {
  for (const old of Object.values(cluster.workers)) {
    const fresh = cluster.fork();
    await new Promise((resolve) => fresh.once("listening", resolve));
    leaving.add(old.id);
    old.send("stop");
  }
}

let reloading = Promise.resolve();
process.on("SIGHUP", () => reloading = reloading.then(reload));
process.on("SIGTERM", () => process.exit(0));
