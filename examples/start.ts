/**
 * Runs the master in the foreground with the services of a directory, after telling what will
 * listen where and how to talk to it.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { masterServerLoadConfigFromDirname, masterServerMain } from "../master.ts";

const { conf, help } = parseArgs(Deno.args, {
  string: ["conf"],
  boolean: ["help"],
  default: { conf: "examples/conf" },
});

/** How a person talks to an address. */
function howToTalk(service: string, address: string): string {
  if (address.startsWith("fifo:")) return `echo hello > ${address.slice(5)}`;
  const [, host, port] = /^(.*):([0-9]+)$/.exec(address) ?? [];
  if (port === undefined) return `nc -U ${address.replace(/^local:/, "")}`;
  const peer = host === "0" || host === "" ? "127.0.0.1" : host;
  return service === "http"
    ? `curl http://${peer}:${port}/`
    : `nc ${peer.replace(/[[\]]/g, "")} ${port}`;
}

function printServices(): void {
  console.log(`Services of ${conf}:`);
  for (const config of masterServerLoadConfigFromDirname(conf)) {
    const command = config.getStr("server-command");
    for (const item of config.getStr("server-service").split(/[;, \t]+/)) {
      const [service, address] = item.includes("://") ? item.split("://", 2) : ["", item];
      console.log(`  ${address.padEnd(16)} ${command.padEnd(30)} ${howToTalk(service, address)}`);
    }
  }
  console.log(`Reload: kill -HUP ${Deno.pid}    Stop: Ctrl-C, or kill ${Deno.pid}\n`);
}

if (help) {
  console.log("Usage: deno task start [--conf DIR]");
} else {
  Deno.exit(await masterServerMain({ beforeService: printServices }, ["-C", conf]));
}
