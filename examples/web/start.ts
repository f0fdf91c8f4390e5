/**
 * Runs the board: `deno run -A examples/web/start.ts`. It makes the certificate and the tables that are missing, and
 * then is the master.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { Config, masterServerMain } from "@zc/master/master";
import { makeCertificate } from "../certificate.ts";
import { migrateFor } from "./migrate.ts";

if (import.meta.main) {
  const { conf } = parseArgs(Deno.args, {
    string: ["conf"],
    default: { conf: "examples/web/conf" },
  });
  const file = `${conf}/web.cf`, settings = new Config().loadFile(file);
  const [cert, key] = ["server-tls-cert", "server-tls-key"].map((name) => settings.getStr(name));
  await makeCertificate(cert, key);
  await migrateFor(file);
  const addresses = settings.getStr("server-service").split(/[, ]+/);
  const urls = addresses.map((address) =>
    address.replace("web://", "http://").replace("secure://127.0.0.1", "https://localhost")
  );
  console.log(`Board: ${urls.join("  ")}    Reload: kill -HUP ${Deno.pid}    Stop: Ctrl-C`);
  Deno.exit(await masterServerMain({}, ["-C", conf, "-pid-file", "web.pid"]));
}
