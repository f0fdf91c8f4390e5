import { assertEquals } from "@std/assert";
import { cString, libc } from "../../../src/os/ffi/libc.ts";
import { accessAs } from "../../../src/os/process/file_access.ts";
import { setprivCommand } from "../../../src/os/process/setpriv.ts";
import { mayChangeUser } from "../../../src/os/user/credentials.ts";
import { credentialsOf } from "../../../src/os/user/accounts.ts";
import { leaveOut } from "../../support/left_out.ts";
import { startFunction } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";

const NOBODY = credentialsOf({ user: "nobody" });

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
    // But new ones can be created.
    ["c", sticky],
    ["c", closed],
    ["r", dir.file("a name with\nits own line")],
  ]);
  const expected = [true, false, false, false, false, true, true, false, true, false, false];
  assertEquals(answers, mayChangeUser() ? expected : undefined);
});

Deno.test("accessAs() treats the owner of a sticky directory as able to change its entries", (t) => {
  if (!mayChangeUser()) return leaveOut(t);
  using dir = new TempDir();
  Deno.chmodSync(dir.path, 0o1777);
  Deno.chownSync(dir.path, NOBODY.uid!, NOBODY.gid);
  assertEquals(accessAs(NOBODY, [["w", dir.path]]), [true]);
});

Deno.test("accessAs() counts an owner, who can change the mode, as able to write", (t) => {
  if (!mayChangeUser()) return leaveOut(t);
  using dir = new TempDir();
  const closed = dir.file("closed"), hidden = `${closed}/hidden`;
  Deno.mkdirSync(closed);
  Deno.writeTextFileSync(hidden, "");
  for (const path of [dir.path, closed, hidden]) Deno.chownSync(path, NOBODY.uid!, NOBODY.gid);
  Deno.chmodSync(dir.path, 0o555);
  Deno.chmodSync(closed, 0);
  assertEquals(accessAs(NOBODY, [["w", dir.path], ["w", closed], ["r", closed]]), [
    true,
    true,
    false,
  ]);
});

Deno.test("accessAs() counts the owner of a link as able to replace it", (t) => {
  if (!mayChangeUser()) return leaveOut(t);
  using dir = new TempDir();
  Deno.chmodSync(dir.path, 0o1777);
  const targets = {
    theirs: "/",
    own: "/",
    theirsToNothing: "/nonexistent",
    ownToNothing: "/nonexistent",
  };
  for (const [name, target] of Object.entries(targets)) {
    Deno.symlinkSync(target, dir.file(name));
    if (!name.startsWith("theirs")) continue;
    libc().fchownat(-100, cString(dir.file(name)), NOBODY.uid!, NOBODY.gid, 0x100);
  }
  const answers = accessAs(NOBODY, Object.keys(targets).map((name) => ["w", dir.file(name)]));
  assertEquals(answers, [true, false, true, false]);
});

Deno.test("accessAs() finds no access to a file that is removed after the kernel was asked", (t) => {
  if (!mayChangeUser()) return leaveOut(t);
  using dir = new TempDir();
  Deno.chmodSync(dir.path, 0o755);
  const path = dir.write("journal", "");
  Deno.chmodSync(path, 0o666);
  let looks = 0;
  const wanted = Object.defineProperty([], 0, {
    get: () => {
      if (++looks === 2) Deno.removeSync(path);
      return ["w", path];
    },
  });
  assertEquals(accessAs(NOBODY, wanted), [false]);
  assertEquals(looks, 2);
});

Deno.test("accessAs() heeds groups, links and names that are not UTF-8", (t) => {
  if (!mayChangeUser()) return leaveOut(t);
  using dir = new TempDir();
  Deno.chmodSync(dir.path, 0o755);
  const shared = dir.write("shared", ""), link = dir.file("link"), gid = 61235;
  Deno.chmodSync(shared, 0o620);
  Deno.chownSync(shared, 0, gid);
  Deno.symlinkSync(shared, link);
  const member = { uid: 61234, gid: 61234, groups: [61234, gid] };
  const wanted = [["w", link], ["r", link], ["w", dir.file("\udcff")]] as const;
  assertEquals(accessAs(member, wanted), [true, false, false]);
  assertEquals(accessAs({ ...member, groups: [61234] }, wanted), [false, false, false]);
  assertEquals(accessAs({ ...member, gid, groups: [] }, wanted), [true, false, false]);
});

Deno.test("accessAs() leaves this process and this thread as they were", () => {
  const PR_GET_DUMPABLE = 3, PR_SET_PDEATHSIG = 1, SIGURG = 23;
  const dumpable = () => libc().prctl(PR_GET_DUMPABLE, 0n, 0n, 0n, 0n);
  const state = () => {
    // The process is described by its first thread, which is not this one.
    const statuses = ["thread-self", "self"].map((thread) =>
      Deno.readTextFileSync(`/proc/${thread}/status`).match(/^(?:Uid|Gid|Groups|Cap\w+):.*$/gm)
    );
    return { statuses, dumpable: dumpable() };
  };
  libc().prctl(PR_SET_PDEATHSIG, BigInt(SIGURG), 0n, 0n, 0n);
  try {
    const before = state();
    accessAs(NOBODY, [["r", "/"]]);
    assertEquals(state(), before);
    const signal = new Int32Array(new ArrayBuffer(4));
    const address = Deno.UnsafePointer.value(Deno.UnsafePointer.of(signal));
    libc().prctl(2, address, 0n, 0n, 0n);
    assertEquals(signal[0], SIGURG);
  } finally {
    libc().prctl(PR_SET_PDEATHSIG, 0n, 0n, 0n, 0n);
  }
});

for (const signal of ["STOP", "KILL"]) {
  Deno.test(`accessAs() answers while a process of the user sends SIG${signal} to all processes that it can reach`, async () => {
    // A user without other processes, so that nothing else is reached.
    const number = "61234", hostile = credentialsOf({ user: number, group: number });
    if (!mayChangeUser()) return assertEquals(accessAs(hostile, [["r", "/"]]), undefined);
    const loop = `while :; do kill -s ${signal} -- -1; done`;
    await using attacker = startFunction(import.meta, () => {}, {
      prefix: [...setprivCommand(hostile)!, "/bin/sh", "-c", `echo attacking; ${loop}`, "sh"],
    });
    assertEquals(await attacker.nextLine(), "attacking");
    for (let round = 0; round < 2_000; round++) {
      assertEquals(accessAs(hostile, [["r", "/"], ["w", "/"]]), [true, false]);
    }
  });
}
