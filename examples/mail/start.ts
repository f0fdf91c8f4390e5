/**
 * Runs the mail system: `deno run -A examples/mail/start.ts`. Started by root its servers run as another
 * user, and their root directory is the spool.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { Config, masterServerLoadConfigFromDirname, masterServerMain } from "../../master.ts";
import { prepare } from "./setup.ts";

const { conf } = parseArgs(Deno.args, {
  string: ["conf"],
  default: { conf: "examples/mail/conf" },
});

/** The user of the servers when root starts them. */
const SERVER_USER = "nobody";

const settings = new Config().loadFile(`${conf}/shared.gcf`);

function loadConfig(): Config[] {
  const services = masterServerLoadConfigFromDirname(conf);
  if (Deno.uid() !== 0) return services;
  for (const service of services) {
    service.set("server-user", SERVER_USER).set("server-chroot", settings.getStr("mail-spool"));
  }
  return services;
}

/** The number of a user. */
function uidOf(user: string): number {
  const { success, stdout } = new Deno.Command("id", { args: ["-u", user] }).outputSync();
  if (!success) throw new Error(`Cannot run servers as "${user}": no such user`);
  return Number(new TextDecoder().decode(stdout));
}

async function beforeService(): Promise<void> {
  const text = (key: string) => settings.getStr(key);
  const paths = {
    spool: text("mail-spool"),
    users: text("mail-users"),
    certFile: text("server-tls-cert"),
    keyFile: text("server-tls-key"),
    log: text("log-service").split(",")[1],
  };
  await prepare(paths, Deno.uid() === 0 ? uidOf(SERVER_USER) : undefined);
  for (const service of loadConfig()) {
    console.log(service.getStr("server-command"), " ", service.getStr("server-service"));
  }
  console.log(`Log: ${paths.log}*    Reload: kill -HUP ${Deno.pid}    Stop: Ctrl-C`);
}

if (import.meta.main) {
  Deno.exit(
    await masterServerMain({ beforeService, loadConfig }, ["-C", conf, "-pid-file", "mail.pid"]),
  );
}
