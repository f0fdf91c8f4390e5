/** Tests of what a misspelt name is taken for. */
import { assertEquals } from "@std/assert";
import { nearest } from "../../src/config/nearest.ts";
import { ALL_SETTINGS } from "../../src/config/settings.ts";

const NAMES = ALL_SETTINGS.map(({ name }) => name);

const SLIPS: Readonly<Record<string, string>> = {
  "server-comand": "server-command",
  "server-commnad": "server-command",
  "Server-Command": "server-command",
  "server_command": "server-command",
  "servercommand": "server-command",
  "sever-service": "server-service",
  "server-servce": "server-service",
  "server-services": "server-service",
  "server-proc-cuont": "server-proc-count",
  "server_proc_count": "server-proc-count",
  "server.proc.count": "server-proc-count",
  "server-logs": "server-log",
  "server-usr": "server-user",
  "master-stop-timout": "master-stop-timeout",
  "pidfile": "pid-file",
  "exit-afer": "exit-after",
  "trylock": "try-lock",
  "c": "C",
};

for (const [written, meant] of Object.entries(SLIPS)) {
  Deno.test(`nearest() takes ${written} for ${meant}`, () => {
    assertEquals(nearest(written, NAMES), meant);
  });
}

for (
  const own of [
    ...["server-port", "server-name", "server-lang", "server-id", "server-host", "server-mode"],
    ...["port", "host", "user", "abc", "D", "", "-", "x".repeat(10_000), "imapd-ssl-cert"],
  ]
) {
  Deno.test(`nearest() leaves ${own.slice(0, 20)} alone`, () => {
    assertEquals(nearest(own, NAMES), undefined);
  });
}
