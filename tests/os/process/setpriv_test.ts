import { assert, assertEquals } from "@std/assert";
import { mayChangeUser } from "../../../src/os/user/credentials.ts";
import { identityOf } from "../../../src/os/user/identity.ts";
import { accessAs, setprivCommand } from "../../../src/os/process/setpriv.ts";
import { id } from "../../support/credentials.ts";
import { startFunction } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";

const NOBODY = identityOf({ user: "nobody" });

function statusOf(command: readonly string[]): string {
  const { stdout } = new Deno.Command(command[0], {
    args: [...command.slice(1), "cat", "/proc/self/status"],
  }).outputSync();
  return new TextDecoder().decode(stdout);
}

function line(status: string, name: string): string {
  return new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*$`, "m").exec(status)?.[1].replaceAll("\t", " ") ??
    "";
}

Deno.test("setprivCommand() has a program gain nothing, and changes nothing else", () => {
  const command = setprivCommand();
  assert(command !== undefined, "no setpriv(1) on this machine");
  const status = statusOf(command), own = Deno.readTextFileSync("/proc/self/status");
  assertEquals(line(status, "NoNewPrivs"), "1");
  for (const name of ["Uid", "Gid", "Groups", "CapEff", "CapBnd"]) {
    assertEquals(line(status, name), line(own, name), name);
  }
});

Deno.test("setprivCommand() has a program run as a user with its groups, and with no capability for good", () => {
  const command = setprivCommand(NOBODY);
  if (!mayChangeUser()) return assertEquals(command, undefined);
  const status = statusOf(command!);
  assertEquals(line(status, "Uid"), Array(4).fill(NOBODY.uid).join(" "));
  assertEquals(line(status, "Gid"), Array(4).fill(NOBODY.gid).join(" "));
  assertEquals(line(status, "Groups"), id("-G", "nobody"));
  for (const name of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
    assertEquals(BigInt(`0x${line(status, name)}`), 0n, name);
  }
});

Deno.test("setprivCommand() keeps root's privileges for root with another group", () => {
  if (!mayChangeUser()) return;
  const status = statusOf(setprivCommand(identityOf({ group: "mail" }))!);
  assertEquals(line(status, "Uid"), "0 0 0 0");
  assertEquals(line(status, "CapEff"), line(Deno.readTextFileSync("/proc/self/status"), "CapEff"));
});

Deno.test("accessAs() tests a user's access by mode, owner, group and directories", () => {
  using dir = new TempDir();
  const open = dir.write("open", ""), closed = dir.write("closed", "");
  const sticky = dir.file("sticky"), loose = dir.file("loose"), hidden = dir.file("hidden");
  for (const path of [sticky, loose, hidden]) Deno.mkdirSync(path);
  Deno.writeTextFileSync(`${hidden}/file`, "");
  const modes = { [dir.path]: 0o755, [open]: 0o644, [closed]: 0o600, [hidden]: 0o700 };
  for (const [path, mode] of Object.entries({ ...modes, [sticky]: 0o1777, [loose]: 0o777 })) {
    Deno.chmodSync(path, mode);
  }
  const answers = accessAs(NOBODY, [
    ["r", open],
    ["w", open],
    ["x", open],
    ["r", closed],
    ["r", `${hidden}/file`],
    ["x", "/bin/sh"],
    ["w", loose],
    // Its entries can't be removed.
    ["w", sticky],
    ["r", dir.file("a name with\nits own line")],
  ]);
  const expected = [true, false, false, false, false, true, true, false, false];
  assertEquals(answers, mayChangeUser() ? expected : undefined);
});

Deno.test("accessAs() treats the owner of a sticky directory as able to change its entries", () => {
  if (!mayChangeUser()) return;
  using dir = new TempDir();
  Deno.chmodSync(dir.path, 0o1777);
  Deno.chownSync(dir.path, NOBODY.uid!, NOBODY.gid);
  assertEquals(accessAs(NOBODY, [["w", dir.path]]), [true]);
});

Deno.test("accessAs() gives up where a process of the user stops every other one of that user", async () => {
  // A user without other processes, so that nothing else is stopped.
  const number = "61234", hostile = identityOf({ user: number, group: number });
  if (!mayChangeUser()) return assertEquals(accessAs(hostile, [["r", "/"]]), undefined);
  const loop = "i=0; while [ $i -lt 1000000 ]; do kill -s STOP -- -1; i=$((i + 1)); done";
  await using attacker = startFunction(import.meta, () => {}, {
    prefix: [...setprivCommand(hostile)!, "/bin/sh", "-c", `echo stopping; ${loop}`, "sh"],
  });
  assertEquals(await attacker.nextLine(), "stopping");
  await using asker = startFunction(import.meta, async (identity) => {
    const { accessAs } = await import("../../../src/os/process/setpriv.ts");
    // Now and then the answer is faster than the attacker.
    while (accessAs(identity, [["r", "/"]]) !== undefined);
    console.log("given up");
    Deno.exit(0);
  }, { arg: { ...hostile } });
  assertEquals(await asker.succeeds(30_000), "given up\n");
});
