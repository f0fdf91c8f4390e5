import { assertEquals } from "@std/assert";
import { Site } from "../support/master.ts";

/** Asks for the status, changes something, and watches the answers, with nothing but a socket. */
const CLIENT = `
import json, socket, sys

sock = socket.socket(socket.AF_UNIX)
sock.settimeout(30)
sock.connect(sys.argv[1])
lines = sock.makefile("rw", encoding="utf-8", newline="\\n")

def ask(number, command, **arguments):
    lines.write(json.dumps({"v": 1, "id": number, "do": command, **arguments}) + "\\n")
    lines.flush()
    for line in lines:
        answer = json.loads(line)
        assert answer["id"] == number, answer
        if "ok" in answer:
            return answer

print(ask(1, "hello")["result"]["pid"])
print(ask(2, "status")["result"]["services"][0]["id"])
print(ask(3, "scale", service="a.cf", count=2)["result"]["now"])
print(ask(4, "reload")["result"]["outcome"])
print(ask(5, "stop", services=["b.cf"])["error"]["code"])
assert ask(6, "stop")["result"] is None
assert lines.readline() == ""
print("closed")
`;

Deno.test("a client in python3 asks for the status, reloads, and stops the master", async () => {
  await using site = new Site();
  site.serve("a.cf", { mode: "coroutine", service: site.port() });
  const master = await site.start();
  await master.serving("a.cf", 1);
  const client = site.execute(["python3", "-c", CLIENT, `${site.pidFile}.sock`]);
  const { code } = await client.ended();
  assertEquals(code, 0, client.stderr);
  assertEquals(client.stdout.split("\n"), [
    String(master.pid),
    "a.cf",
    "2",
    "committed",
    "unknown-service",
    "closed",
    "",
  ]);
  await master.logs(/stopping;/);
  await master.stopped();
});
