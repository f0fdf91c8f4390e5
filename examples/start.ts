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
  const [host, port] = address.split(":");
  if (port === undefined) return `nc -U ${address}`;
  return service === "http" ? `curl http://${host}:${port}/` : `nc ${host} ${port}`;
}

function printServices(): void {
  console.log(`Services of ${conf}:`);
  for (const config of masterServerLoadConfigFromDirname(conf)) {
    const command = config.getStr("server-command");
    for (const item of config.getStr("server-service").split(/[;, \t]+/)) {
      const [service, address] = item.includes("://") ? item.split("://") : ["", item];
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
