/**
 * A server that starts programs: one when the framework is imported, one in `beforeService`, and one when it
 * serves. Each tells its sockets and files, as `started WHEN: socket:[4600] …`.
 *
 * @module
 */
import { coroutineServe, coroutineServerMain } from "../../../coroutine_server.ts";

const LIST = 'PATH=/usr/bin:/bin; for fd in /proc/self/fd/*; do readlink "$fd"; done';

function start(when: string): void {
  const command = new Deno.Command("/bin/sh", { args: ["-c", LIST], stdin: "null" });
  const all = new TextDecoder().decode(command.outputSync().stdout).split("\n");
  const own = all.filter((path) => /^socket:|^\/(?!dev\/|proc\/)/.test(path));
  console.error(`started ${when}: ${own.join(" ") || "none"}`);
}

start("at import");
Deno.exit(
  await coroutineServerMain({
    beforeService: () => start("before"),
    serviceRegister(_service, fd, fdType) {
      coroutineServe(fd, fdType, (conn) => {
        start("while serving");
        conn.close();
      });
    },
  }),
);
