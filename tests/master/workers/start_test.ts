import { assertEquals, assertMatch } from "@std/assert";
import { type ProgramStart, startProgram } from "../../../src/master/workers/start.ts";
import { mayChangeUser } from "../../../src/os/user/credentials.ts";
import { credentialsOf } from "../../../src/os/user/accounts.ts";
import { setprivCommand } from "../../../src/os/process/setpriv.ts";
import type { PlacedRequest } from "../../../src/os/process/posix_spawn.ts";
import { systemSpawner } from "../../../src/os/process/spawn.ts";
import { fakeLookup } from "../../fakes/fake_lookup.ts";
import { TempDir } from "../../support/temp.ts";
import { within } from "../../support/wait.ts";

/** Starts a shell that writes its user, a variable, and the program that it was started with. */
async function started(
  rights: Partial<ProgramStart>,
  { hasSetpriv }: { readonly hasSetpriv: boolean },
): Promise<{ argv: readonly string[]; first: string; status: string; home: string; cwd: string }> {
  using dir = new TempDir();
  Deno.chmodSync(dir.path, 0o777);
  const requests: PlacedRequest[] = [];
  const child = startProgram({
    path: "/bin/sh",
    args: [
      "-c",
      'cat /proc/self/status >"$0/status"; echo "$HOME" >"$0/home"; pwd >"$0/cwd"',
      dir.path,
    ],
    fds: [],
    blocksInspectorSignal: false,
    ...rights,
  }, {
    spawner: {
      ...systemSpawner,
      spawnPlaced(request) {
        requests.push(request);
        return systemSpawner.spawnPlaced(request);
      },
    },
    lookup: fakeLookup({}, {
      denoPath: Deno.execPath(),
      selfPath: Deno.execPath(),
      ...(hasSetpriv && { setprivCommand }),
    }),
  });
  assertEquals((await within(child.exited, { what: "the end of the program" })).code, 0);
  const [status, home, cwd] = ["status", "home", "cwd"]
    .map((name) => Deno.readTextFileSync(dir.file(name)));
  const [{ argv }] = requests;
  return { argv, first: argv[0], status, home: home.trim(), cwd: cwd.trim() };
}

for (const hasSetpriv of [true, false]) {
  const way = hasSetpriv ? "setpriv(1)" : "the shim, where there is no setpriv(1)";

  Deno.test(`startProgram() gives a program its user by ${way}`, async () => {
    // Other users can't start a program as another user.
    if (!mayChangeUser()) {
      return assertEquals(setprivCommand(credentialsOf({ user: "nobody" })), undefined);
    }
    const credentials = credentialsOf({ user: "nobody" });
    const { first, status, home } = await started({ credentials }, { hasSetpriv });
    assertEquals(first === Deno.execPath(), !hasSetpriv);
    assertMatch(
      status,
      new RegExp(`^Uid:\\s+${Array(4).fill(credentials.uid).join("\\s+")}$`, "m"),
    );
    assertMatch(
      status,
      new RegExp(`^Gid:\\s+${Array(4).fill(credentials.gid).join("\\s+")}$`, "m"),
    );
    assertMatch(status, /^NoNewPrivs:\s+1$/m);
    for (const set of ["CapPrm", "CapEff", "CapBnd"]) {
      assertMatch(status, new RegExp(`^${set}:\\s+0+$`, "m"));
    }
    assertEquals(home, credentials.home);
  });

  Deno.test(`startProgram() sets no_new_privs by ${way}`, async () => {
    const { first, status, home } = await started({ gainsNothing: true }, { hasSetpriv });
    assertEquals(first === Deno.execPath(), !hasSetpriv);
    assertMatch(status, /^NoNewPrivs:\s+1$/m);
    assertMatch(status, new RegExp(`^Uid:\\s+${Deno.uid()}\\s`, "m"));
    assertEquals(home, Deno.env.get("HOME") ?? "");
  });
}

Deno.test("startProgram() starts a program directly that needs no changes", async () => {
  const { first, status } = await started({}, { hasSetpriv: true });
  assertEquals(first, "/bin/sh");
  assertMatch(status, /^NoNewPrivs:\s+0$/m);
});

Deno.test("startProgram() starts a program in its directory by each way", async () => {
  const directory = "/usr/bin", hasSetpriv = true;
  const direct = await started({ directory }, { hasSetpriv });
  assertEquals([direct.first, direct.cwd], ["/bin/sh", directory]);
  const gainsNothing = await started({ directory, gainsNothing: true }, { hasSetpriv });
  assertEquals(gainsNothing.cwd, directory);
  if (!mayChangeUser()) return;
  // The user enters it, who may be allowed less than the master.
  const credentials = credentialsOf({ user: "nobody" });
  const asUser = await started({ directory, credentials }, { hasSetpriv });
  assertEquals([asUser.first, asUser.cwd], [Deno.execPath(), directory]);
});

Deno.test("startProgram() passes variables on by each way, and never in arguments", async () => {
  const env = { HOME: "/secret" };
  const direct: Partial<ProgramStart> = { env }, isRoot = mayChangeUser();
  const credentials = isRoot ? credentialsOf({ user: "nobody" }) : undefined;
  for (
    const [rights, hasSetpriv] of [
      [direct, true],
      [{ env, directory: "/" }, true],
      ...(credentials === undefined ? [] : [
        [{ env, credentials }, true],
        [{ env, credentials }, false],
      ] as const),
    ] as const
  ) {
    const { argv, home } = await started(rights, { hasSetpriv });
    assertEquals(home, "/secret");
    assertEquals(argv.some((word) => word.includes("/secret")), false);
  }
});

Deno.test("startProgram() keeps setpriv(1), which runs as root, from what variables would load", async () => {
  const env = { HOME: "/own", LD_PRELOAD: "" };
  const { first, home } = await started({ gainsNothing: true, env }, { hasSetpriv: true });
  assertEquals([first, home], [Deno.execPath(), "/own"]);
});
