import { assert, assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "../../../src/config/errors.ts";
import {
  type ActivationSource,
  readActivation,
  takeListener,
} from "../../../src/master/listeners/socket_activation.ts";
import { admissionOf } from "../../../src/os/net/listener_damage.ts";
import { closeFd, setCloseOnExec } from "../../../src/os/fd/descriptor.ts";
import { describeListener, pipe, socketPair } from "../../../src/os/net/socket.ts";
import { openListener } from "../../../src/os/net/open_listener.ts";
import { flagsOf, leavesNothingOpen } from "../../support/descriptors.ts";
import { TempDir } from "../../support/temp.ts";

const PID = 4711;

/** An environment of numbers and names; each descriptor is a port of its own number. */
class FakeSource implements ActivationSource {
  readonly variables: Map<string, string>;
  readonly pid = PID;
  readonly warnings: string[] = [];
  readonly env = {
    get: (name: string) => this.variables.get(name),
    delete: (name: string) => void this.variables.delete(name),
  };

  constructor(variables: Readonly<Record<string, string>>) {
    this.variables = new Map(Object.entries(variables));
  }

  take(fd: number): ReturnType<ActivationSource["take"]> {
    if (fd > 9) throw new TypeError(`Cannot serve descriptor ${fd}`);
    return { kind: "inet", key: `inet:0.0.0.0:${fd}` };
  }

  warn(text: string): void {
    this.warnings.push(text);
  }
}

function given(fd: number, name?: string) {
  const owner = "activation" as const;
  return { fd, kind: "inet" as const, key: `inet:0.0.0.0:${fd}`, owner, ...(name && { name }) };
}

Deno.test("readActivation() takes the descriptors from 3 on, with their names", () => {
  const source = new FakeSource({
    LISTEN_PID: `${PID}`,
    LISTEN_FDS: "3",
    LISTEN_FDNAMES: "web:unknown:",
    OTHER: "stays",
  });
  assertEquals(readActivation(source), [given(3, "web"), given(4), given(5)]);
  assertEquals([...source.variables.keys()], ["OTHER"]);
  assertEquals(readActivation(source), [], "they are taken once");
  assertEquals(source.warnings, []);
});

Deno.test("readActivation() accepts descriptors without names", () => {
  const source = new FakeSource({ LISTEN_PID: `${PID}`, LISTEN_FDS: "1" });
  assertEquals(readActivation(source), [given(3)]);
});

Deno.test("readActivation() leaves the descriptors of another process alone, and says so", () => {
  const source = new FakeSource({ LISTEN_PID: "1", LISTEN_FDS: "x", LISTEN_FDNAMES: "a:b" });
  assertEquals(readActivation(source), []);
  assertEquals(source.variables.size, 0, "and no child sees the variables");
  assertEquals(source.warnings, [
    `LISTEN_FDS is for process 1 and this is ${PID}: no listener is taken from it`,
  ]);
});

for (
  const [variables, message] of [
    [{ LISTEN_FDS: "two" }, 'LISTEN_FDS: Cannot take "two": no number, expected a number of'],
    [{ LISTEN_FDS: "-1" }, 'LISTEN_FDS: Cannot take "-1": no number'],
    [{ LISTEN_FDS: "" }, 'LISTEN_FDS: Cannot take "": no number'],
    [{ LISTEN_FDS: "8" }, "LISTEN_FDS: Cannot serve descriptor 10"],
    [
      { LISTEN_FDS: "1", LISTEN_FDNAMES: "a:b" },
      'LISTEN_FDNAMES: Cannot take "a:b": 2 names, expected 1, as LISTEN_FDS says',
    ],
  ] satisfies [Record<string, string>, string][]
) {
  Deno.test(`readActivation() refuses ${JSON.stringify(variables)}`, () => {
    const source = new FakeSource({ LISTEN_PID: `${PID}`, ...variables });
    assertThrows(() => readActivation(source), ConfigError, message);
    assertEquals(source.variables.size, 0);
  });
}

Deno.test("readActivation() names a descriptor that is not open", () => {
  const source = new FakeSource({ LISTEN_PID: `${PID}`, LISTEN_FDS: "1" });
  const take = () => takeListener(1_000_000, "/");
  assertThrows(
    () => readActivation({ ...source, env: source.env, pid: PID, take, warn: () => {} }),
    ConfigError,
    'LISTEN_FDS: Cannot take "descriptor 3": it is not open, expected a listening stream socket',
  );
});

Deno.test("takeListener() finds the address of a listener, and makes it close-on-exec", () =>
  leavesNothingOpen(() => {
    using dir = new TempDir();
    const opened = [
      openListener({ kind: "inet", hostname: "127.0.0.1", port: 0 }),
      openListener({ kind: "inet", hostname: "::", port: 0 }),
      openListener({ kind: "unix", path: dir.file("u") }),
      openListener({ kind: "fifo", path: dir.file("f") }),
    ].map(({ fd }) => fd);
    const ports = opened.slice(0, 2).map((fd) => (describeListener(fd) as { port: number }).port);
    for (const fd of opened) setCloseOnExec(fd, false);
    const admissions = opened.map((fd) => admissionOf(fd));
    assert(admissions[0]!.options.every((value) => value === ""));
    const [admission, ofIpv6] = admissions;
    assertEquals(opened.map((fd) => takeListener(fd, "/")), [
      { kind: "inet", key: `inet:127.0.0.1:${ports[0]}`, admission },
      // It accepts IPv6 connections only.
      { kind: "inet", key: `inet:[::]:${ports[1]}`, admission: ofIpv6 },
      { kind: "unix", key: `unix:${dir.file("u")}` },
      { kind: "fifo", key: `fifo:${dir.file("f")}` },
    ]);
    for (const fd of opened) {
      assertEquals(flagsOf(fd), { closeOnExec: true, nonblocking: true });
      closeFd(fd);
    }
  }));

Deno.test("takeListener() resolves the relative path of a socket", () =>
  leavesNothingOpen(() => {
    using dir = new TempDir();
    const before = Deno.cwd();
    Deno.chdir(dir.path);
    try {
      const { fd } = openListener({ kind: "unix", path: "./u" });
      assertEquals(takeListener(fd, dir.path).key, `unix:${dir.file("u")}`);
      closeFd(fd);
    } finally {
      Deno.chdir(before);
    }
  }));

Deno.test("takeListener() refuses a descriptor that is no listener", () =>
  leavesNothingOpen(() => {
    const fds = [...socketPair(), ...pipe()];
    for (const fd of fds) {
      assertThrows(() => takeListener(fd, "/"), TypeError, "expected a listening stream socket");
    }
    fds.forEach(closeFd);
  }));
