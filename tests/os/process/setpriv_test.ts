import { assert, assertEquals } from "@std/assert";
import { mayChangeUser } from "../../../src/os/user/credentials.ts";
import { credentialsOf } from "../../../src/os/user/accounts.ts";
import { setprivCommand } from "../../../src/os/process/setpriv.ts";
import { id } from "../../support/credentials.ts";
import { leaveOut } from "../../support/left_out.ts";

const NOBODY = credentialsOf({ user: "nobody" });

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

Deno.test("setprivCommand() keeps root's privileges for root with another group", (t) => {
  if (!mayChangeUser()) return leaveOut(t);
  const status = statusOf(setprivCommand(credentialsOf({ group: "mail" }))!);
  assertEquals(line(status, "Uid"), "0 0 0 0");
  assertEquals(line(status, "CapEff"), line(Deno.readTextFileSync("/proc/self/status"), "CapEff"));
});
