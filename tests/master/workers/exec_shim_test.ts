import { assertEquals, assertMatch } from "@std/assert";
import {
  SHIM_ARGUMENT,
  SHIM_VARIABLE,
  shimArguments,
} from "../../../src/master/workers/exec_shim.ts";
import { mayChangeUser } from "../../../src/os/user/credentials.ts";
import type { ExecPlan } from "../../../src/os/process/exec.ts";
import { credentialsOf } from "../../../src/os/user/accounts.ts";
import { leaveOut } from "../../support/left_out.ts";
import { startDeno, type TestProcess } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";

const SHIM = new URL("../../../src/master/workers/exec_shim.ts", import.meta.url).pathname;

/** Starts the shim with a plan. */
function shim(
  { env = {}, ...plan }: Partial<ExecPlan> & Pick<ExecPlan, "path" | "argv">,
): TestProcess {
  const whole = { fds: [], deathSignal: "SIGHUP", parent: Deno.pid, ...plan };
  const argv = ["run", "-A", "--no-config", SHIM, SHIM_ARGUMENT, JSON.stringify(whole)];
  return startDeno(argv, { env: { [SHIM_VARIABLE]: JSON.stringify(env) } });
}

Deno.test("runShim() becomes the program, with its own pid in the environment where requested", async () => {
  await using process = shim({
    path: "/bin/sh",
    argv: ["a name", "-c", 'echo "$0 $LISTEN_PID $$ $OWN; ${ZC_EXEC_ENV-none}"'],
    env: { LISTEN_PID: "{pid}", OWN: "{pid}" },
  });
  assertEquals(await process.succeeds(), `a name ${process.pid} ${process.pid} {pid}; none\n`);
});

Deno.test("runShim() passes on 0, 1, 2 and the descriptors of the plan, no others", async () => {
  await using process = shim({
    path: "/bin/ls",
    argv: ["ls", "/proc/self/fd"],
    fds: [{ from: 2, to: 9 }],
  });
  // 3 is the directory that is being listed.
  assertEquals((await process.succeeds()).trim().split("\n"), ["0", "1", "2", "3", "9"]);
});

Deno.test("runShim() resets the signals that the runtime ignores", async () => {
  await using process = shim({ path: "/bin/cat", argv: ["cat", "/proc/self/status"] });
  const [, ignored] = /SigIgn:\s*([0-9a-f]+)/.exec(await process.succeeds()) ?? [];
  const SIGPIPE = 13n;
  assertEquals(BigInt(`0x${ignored}`) >> SIGPIPE - 1n & 1n, 0n);
});

Deno.test("runShim() changes the working directory, and then looks for the program", async () => {
  using dir = new TempDir();
  Deno.chmodSync(dir.write("script", "#!/bin/sh\npwd\n"), 0o755);
  await using process = shim({ path: "./script", argv: ["script"], directory: dir.path });
  assertEquals(await process.succeeds(), `${dir.path}\n`);
});

Deno.test("runShim() runs a script without an interpreter line by the shell", async () => {
  using dir = new TempDir();
  Deno.chmodSync(dir.write("script", "echo $1\n"), 0o755);
  await using process = shim({ path: dir.file("script"), argv: ["script", "one"] });
  assertEquals(await process.succeeds(), "one\n");
});

Deno.test("runShim() says why it can't become a program, and ends with 127", async () => {
  await using process = shim({ path: "/nonexistent/program", argv: ["x"] });
  const { code, stderr } = await process.ended();
  assertEquals(code, 127);
  assertEquals(
    stderr,
    'Cannot run "/nonexistent/program": execve "/nonexistent/program": ' +
      "no such file or directory (ENOENT)\n",
  );
});

Deno.test("runShim() becomes nothing when its parent has ended already", async () => {
  await using process = shim({ path: "/bin/echo", argv: ["echo"], parent: 999_999_999 });
  const { code, stdout, stderr } = await process.ended();
  assertEquals([code, stdout], [127, ""]);
  assertMatch(stderr, /the parent, process 999999999, has ended/);
});

Deno.test("runShim() gives a program its user, with the user's home and name, and no_new_privs", async (t) => {
  if (!mayChangeUser()) return leaveOut(t);
  const credentials = credentialsOf({ user: "nobody" });
  await using process = shim({
    path: "/bin/sh",
    argv: ["sh", "-c", 'echo "$HOME $USER $LOGNAME $XDG_DATA_HOME"; cat /proc/self/status'],
    credentials,
    env: { XDG_DATA_HOME: "its own" },
  });
  const [first, ...status] = (await process.succeeds()).split("\n");
  assertEquals(first, `${credentials.home} nobody nobody its own`);
  const line = (name: string) => status.find((text) => text.startsWith(`${name}:`))?.split(/\s+/);
  assertEquals(line("Uid"), ["Uid:", ...Array(4).fill(`${credentials.uid}`)]);
  assertEquals(line("NoNewPrivs"), ["NoNewPrivs:", "1"]);
  for (const name of ["CapPrm", "CapEff", "CapBnd"]) {
    assertEquals(BigInt(`0x${line(name)?.[1]}`), 0n, name);
  }
});

Deno.test("runShim() sets no_new_privs without a user where requested", async () => {
  await using process = shim({
    path: "/bin/cat",
    argv: ["cat", "/proc/self/status"],
    gainsNothing: true,
  });
  assertMatch(await process.succeeds(), /^NoNewPrivs:\s*1$/m);
});

Deno.test("shimArguments() finds the two arguments of the shim, also behind those of deno compile", () => {
  const own = [SHIM_ARGUMENT, "{}"];
  assertEquals(shimArguments(own, false), own);
  assertEquals(shimArguments(own, true), own);
  assertEquals(shimArguments(["-C", "conf", ...own], true), own);
  assertEquals(shimArguments(["-C", "conf", ...own], false), undefined);
  for (const args of [[], [SHIM_ARGUMENT], ["-C", "conf"], [...own, "x"]]) {
    for (const isCompiled of [true, false]) {
      assertEquals(shimArguments(args, isCompiled), undefined);
    }
  }
});
