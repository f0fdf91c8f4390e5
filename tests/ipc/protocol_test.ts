import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import type { Message } from "../../src/ipc/messages.ts";
import {
  decodeHeader,
  decodeMessage as decodeMessageOf,
  DESCRIPTORS_FRAME,
  encodeFrame,
  HEADER_BYTES,
  ProtocolError,
} from "../../src/ipc/protocol.ts";
import { ANYBODY } from "./channel_support.ts";
import { FUZZ_COUNT, FUZZ_SEED, pick, type Random, seededRandom } from "../support/random.ts";

const START = 1, SOFTSTOP = 2, READY = 65, DRAINING = 66, DETACH = 67;
const WATCHDOG = 3, LIMITS = 4, OUTPUTS = 6, HEARTBEAT = 68, SPENT = 69, USED = 70;
const STANDBY = 5, LOADED = 71, REPORT = 7, COUNTS = 72;
const INHERIT = 129, TAKEOVER = 130, RELOAD = 131;
const PROVEN = 193,
  TAKEN = 194,
  STOP = 195,
  BOUND = 196,
  REOPEN = 197,
  SETTLED = 198,
  DRAINED = 132,
  COUNTED = 134,
  COUNTED_SINCE = 199;

const MESSAGES: readonly (readonly [typeNumber: number, message: Message])[] = [
  [START, {
    type: "start",
    settings: { shared: [] },
    generation: 3,
    services: [
      { name: "imapd", type: "inet", address: "0:143" },
      { name: "", type: "unix", address: "./var/sücket" },
      { name: "log", type: "fifo", address: "fifo:/run/p" },
    ],
  }],
  [START, {
    ...{ type: "start", generation: 0, services: [], settings: { shared: [] } },
    capturesOutput: true,
  }],
  [STANDBY, {
    type: "standby",
    generation: 3,
    settings: { shared: [["size", "1"]], own: [["own", "ü = 1"]] },
    capturesOutput: false,
  }],
  [LOADED, { type: "loaded", pid: 1, generation: 2 }],
  [REPORT, { type: "report" }],
  [COUNTS, { type: "counts", pid: 1, generation: 2 }],
  [COUNTS, { type: "counts", pid: 1, generation: 2, open: 0, accepted: 2 ** 40 }],
  [SOFTSTOP, { type: "softstop" }],
  [WATCHDOG, { type: "watchdog", intervalMs: 1_000 }],
  [LIMITS, { type: "limits" }],
  [LIMITS, { type: "limits", connections: 1_000, idleMs: 60_000 }],
  [USED, { type: "used", pid: 1, generation: 2, used: true }],
  [HEARTBEAT, { type: "heartbeat", pid: 1, generation: 2 }],
  [SPENT, { type: "spent", pid: 1, generation: 2 }],
  [SOFTSTOP, { type: "softstop", closing: [0, 7] }],
  [INHERIT, {
    type: "inherit",
    generation: 7,
    pidFile: "/run/master.pid",
    logSocket: { path: "/run/log", dev: 1, ino: 2 },
    controlSocket: { path: "/run/control", dev: 1, ino: 3 },
    statusSocket: { path: "/run/status", dev: 1, ino: 4 },
    startSettings: [["run-user", "www"], ["max-memory", "0"]],
    given: [
      {
        kind: "inet",
        key: "inet:[::]:80",
        ipv4Key: "inet:0.0.0.0:80",
        name: "web",
        admission: { filtered: false, options: ["", "", "ff000000"] },
      },
      { kind: "fifo", key: "fifo:/run/f" },
    ],
    listeners: [
      { key: "inet:0.0.0.0:25" },
      { key: "unix:/run/s", file: { path: "/run/s", dev: 0, ino: 3 } },
    ],
  }],
  [TAKEOVER, { type: "takeover" }],
  [RELOAD, { type: "reload" }],
  [PROVEN, { type: "proven" }],
  [TAKEN, { type: "taken", dropped: [] }],
  [TAKEN, { type: "taken", dropped: ["inet:0.0.0.0:80"] }],
  [STOP, { type: "stop", timeoutMs: 35_000 }],
  [BOUND, { type: "bound", generations: 8 }],
  [REOPEN, { type: "reopen" }],
  [SETTLED, { type: "settled" }],
  [DRAINED, { type: "drained" }],
  [COUNTED, { type: "counted", increments: [] }],
  [COUNTED, { type: "counted", increments: [["a.cf", "ends.exit", 1], ["", "reloads", 0]] }],
  [COUNTED_SINCE, { type: "countedSince", increments: [["a.cf", "starts", 2]] }],
  [OUTPUTS, { type: "outputs", before: [{ dev: 2, ino: 77 }, { dev: 2 ** 40, ino: 0 }] }],
  [READY, { type: "ready", pid: 4_194_304, generation: 1 }],
  [DRAINING, { type: "draining", pid: 1, generation: 2, seconds: 0 }],
  [DETACH, { type: "detach", pid: 1, generation: Number.MAX_SAFE_INTEGER }],
];

const MIB = 1 << 20;

const decodeMessage = (typeNumber: number, payload: Uint8Array<ArrayBuffer>) =>
  decodeMessageOf(typeNumber, payload, ANYBODY);

function payloadOf(frame: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return frame.subarray(HEADER_BYTES);
}

function json(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value));
}

Deno.test("decodeMessage() reads back what encodeFrame() made of each message", () => {
  for (const [typeNumber, message] of MESSAGES) {
    const frame = encodeFrame(message, 2);
    const header = decodeHeader(frame, ANYBODY);
    assertEquals(header, { typeNumber, payloadLength: frame.length - HEADER_BYTES, fdCount: 2 });
    assertEquals(decodeMessage(typeNumber, payloadOf(frame)), message);
  }
});

Deno.test("encodeFrame() has the layout that docs/protocol.md tells", () => {
  assertEquals(
    [...encodeFrame({ type: "softstop" }, 0x0102)],
    [
      ...[0x5a, 0x43, 1, SOFTSTOP],
      ...[0, 0, 0, 19],
      ...[1, 2, 0, 0],
      ...new TextEncoder().encode('{"type":"softstop"}'),
    ],
  );
});

Deno.test("encodeFrame() makes a frame of descriptors alone", () => {
  const frame = encodeFrame(undefined, 253);
  assertEquals(frame.length, HEADER_BYTES);
  assertEquals(decodeHeader(frame, ANYBODY), {
    typeNumber: DESCRIPTORS_FRAME,
    payloadLength: 0,
    fdCount: 253,
  });
});

Deno.test("encodeFrame() takes a payload of 1 MiB and refuses a longer one", () => {
  const message = (bytes: number): Message => ({
    type: "start",
    settings: { shared: [] },
    generation: 0,
    services: [{ name: "x".repeat(bytes), type: "inet", address: "" }],
  });
  const overhead = encodeFrame(message(0), 0).length - HEADER_BYTES;
  const frame = encodeFrame(message(MIB - overhead), 1);
  assertEquals(decodeHeader(frame, ANYBODY).payloadLength, MIB);
  assert(decodeMessage(START, payloadOf(frame)) !== undefined);
  assertThrows(
    () => encodeFrame(message(MIB - overhead + 1), 1),
    ProtocolError,
    'Cannot send a "start" message: 1048577 bytes, expected at most 1048576',
  );
});

Deno.test("decodeHeader() reads a header anywhere in its buffer", () => {
  const frame = encodeFrame({ type: "softstop" }, 7);
  const around = new Uint8Array(frame.length + 20);
  around.set(frame, 13);
  assertEquals(decodeHeader(around.subarray(13), ANYBODY), decodeHeader(frame, ANYBODY));
});

Deno.test("decodeHeader() refuses another magic, another version and a length without sense", () => {
  const changed = (offset: number, byte: number) => {
    const frame = encodeFrame({ type: "softstop" }, 0);
    frame[offset] = byte;
    return () => decodeHeader(frame, ANYBODY);
  };
  assertThrows(
    changed(0, 0x47),
    ProtocolError,
    "Cannot read a frame: magic 0x4743 version 1, expected 0x5a43 version 1",
  );
  assertThrows(changed(1, 0), ProtocolError, "magic 0x5a00");
  assertThrows(changed(2, 0), ProtocolError, "version 0, expected");
  assertThrows(changed(2, 2), ProtocolError, "version 2, expected");
  assertThrows(
    changed(5, 0x11),
    ProtocolError,
    "Cannot read a frame of type 2: 1114131 bytes, expected at most 1048576",
  );
  assertThrows(changed(4, 0xff), ProtocolError, "4278190099 bytes");
});

Deno.test("decodeMessage() gives undefined for a type that this version does not know", () => {
  for (const typeNumber of [0, 32, 64, 96, 128, 255]) {
    assertEquals(decodeMessage(typeNumber, new Uint8Array([1, 2, 3])), undefined);
  }
});

Deno.test("decodeMessage() goes by the type in the header and keeps fields of later versions", () => {
  const payload = json({ type: "start", pid: 1, generation: 2, load: 0.5 });
  assertEquals(decodeMessage(READY, payload) as unknown, {
    type: "ready",
    pid: 1,
    generation: 2,
    load: 0.5,
  });
});

Deno.test("decodeMessage() refuses a payload that is no JSON object", () => {
  const refused = (payload: Uint8Array<ArrayBuffer>) =>
    assertThrows(() => decodeMessage(SOFTSTOP, payload), ProtocolError);
  for (const text of ["", "{", "softstop", "{}x", "{'a':1}", '{"a":1,}']) {
    const error = refused(new TextEncoder().encode(text));
    assertEquals(error.message, 'Cannot read a "softstop" message: not JSON');
    assertInstanceOf(error.cause, SyntaxError);
  }
  const error = refused(new Uint8Array([0x22, 0xff, 0x22]));
  assertInstanceOf(error.cause, TypeError);
  const prefix = 'Cannot read a "softstop" message: ';
  assertEquals(refused(json(null)).message, `${prefix}null, expected an object`);
  assertEquals(refused(json(5)).message, `${prefix}5, expected an object`);
  assertEquals(refused(json("{}")).message, `${prefix}"{}", expected an object`);
  assertEquals(refused(json([])).message, `${prefix}a list, expected an object`);
});

Deno.test("decodeMessage() refuses files that are no list of files", () => {
  for (const before of [undefined, 5, {}, [5], [null], [{ dev: 1 }], [{ dev: 1, ino: -1 }]]) {
    assertThrows(() => decodeMessage(OUTPUTS, json({ before })), ProtocolError);
  }
});

Deno.test("decodeMessage() refuses each number that is missing or no whole number from 0 on", () => {
  const fields: readonly (readonly [typeNumber: number, names: readonly string[]])[] = [
    [START, ["generation"]],
    [READY, ["pid", "generation"]],
    [DRAINING, ["pid", "generation", "seconds"]],
    [DETACH, ["pid", "generation"]],
    [STANDBY, ["generation"]],
    [LOADED, ["pid", "generation"]],
    [COUNTS, ["pid", "generation"]],
    [INHERIT, ["generation"]],
    [STOP, ["timeoutMs"]],
    [BOUND, ["generations"]],
  ];
  const values: readonly (readonly [value: unknown, shown: string])[] = [
    [undefined, "missing"],
    [null, "null"],
    [-1, "-1"],
    [0.5, "0.5"],
    [2 ** 53, "9007199254740992"],
    ["1", '"1"'],
    [true, "true"],
    [[1], "a list"],
    [{}, "an object"],
  ];
  for (const [typeNumber, names] of fields) {
    for (const name of names) {
      for (const [value, shown] of values) {
        const good = {
          ...{ pid: 1, generation: 1, seconds: 1, services: [], settings: { shared: [] } },
          ...{ timeoutMs: 1, generations: 1, pidFile: "p", given: [], listeners: [] },
        };
        assert(decodeMessage(typeNumber, json(good)) !== undefined);
        const error = assertThrows(
          () => decodeMessage(typeNumber, json({ ...good, [name]: value })),
          ProtocolError,
        );
        assert(
          error.message.endsWith(`: ${name} is ${shown}, expected a whole number from 0 on`),
          error.message,
        );
      }
    }
  }
});

for (const [name, typeNumber] of [["start", START], ["standby", STANDBY]] as const) {
  Deno.test(`decodeMessage() refuses a ${name} whose settings are no lists of pairs`, () => {
    const decode = (settings: unknown) =>
      decodeMessage(typeNumber, json({ generation: 1, services: [], settings }));
    const good = [["a", "1"], ["", ""]];
    assert(decode({ shared: good }) !== undefined);
    assert(decode({ shared: [], own: good }) !== undefined);
    for (
      const settings of [
        ...[undefined, null, 7, "a", [], {}],
        ...[{ own: [] }, { shared: {} }, { shared: [["a"]] }, { shared: [["a", 1]] }],
        ...[{ shared: [["a", "b", "c"]] }, { shared: [], own: null }, { shared: [], own: "a" }],
      ]
    ) {
      assertThrows(() => decode(settings), ProtocolError, "settings are no lists of pairs");
    }
  });

  Deno.test(`decodeMessage() refuses a ${name} whose capturesOutput is no flag`, () => {
    const decode = (capturesOutput: unknown) =>
      decodeMessage(
        typeNumber,
        json({ generation: 1, services: [], settings: { shared: [] }, capturesOutput }),
      );
    for (const flag of [true, false, undefined]) assert(decode(flag) !== undefined);
    for (const other of ["yes", 1, []]) {
      assertThrows(() => decode(other), ProtocolError, "capturesOutput is ");
    }
  });
}

Deno.test("decodeMessage() refuses a start without a list of whole services", () => {
  const good = { name: "a", type: "inet", address: "0:1" };
  const refused = (services: unknown) =>
    assertThrows(() => decodeMessage(START, json({ generation: 1, services })), ProtocolError)
      .message.replace('Cannot read a "start" message: ', "");
  assertEquals(refused(undefined), "services is missing, expected a list");
  assertEquals(refused({ length: 0 }), "services is an object, expected a list");
  assertEquals(refused("a"), 'services is "a", expected a list');
  assertEquals(refused([good, null]), "name of service 1 is missing");
  assertEquals(refused([7]), "name of service 0 is missing");
  assertEquals(refused([good, { ...good, name: 7 }]), "name of service 1 is 7");
  assertEquals(refused([{ ...good, type: "tcp" }]), 'type of service 0 is "tcp"');
  assertEquals(refused([{ ...good, type: "toString" }]), 'type of service 0 is "toString"');
  assertEquals(refused([{ ...good, address: undefined }]), "address of service 0 is missing");
});

Deno.test("decodeMessage() refuses a softstop whose places are none", () => {
  for (const closing of [null, 1, "0", {}, [-1], [0.5], ["0"], [null]]) {
    assertThrows(
      () => decodeMessage(SOFTSTOP, json({ closing })),
      ProtocolError,
      "expected a list of whole numbers",
    );
  }
});

Deno.test("decodeMessage() refuses an inherit that does not tell whole listeners and settings", () => {
  const good = { generation: 1, pidFile: "p", given: [], listeners: [] };
  const file = { path: "/s", dev: 1, ino: 1 };
  const refused = (changed: Record<string, unknown>) =>
    assertThrows(() => decodeMessage(INHERIT, json({ ...good, ...changed })), ProtocolError)
      .message.replace('Cannot read a "inherit" message: ', "");
  assertEquals(refused({ pidFile: 7 }), "pidFile is 7, expected a text");
  assertEquals(refused({ logSocket: "/s" }), 'logSocket is "/s", expected a file');
  assertEquals(
    refused({ logSocket: { ...file, ino: -1 } }),
    "ino is -1, expected a whole number from 0 on",
  );
  assertEquals(refused({ listeners: {} }), "listeners is an object, expected a list");
  assertEquals(refused({ listeners: [null] }), "listeners 0: key is missing, expected a text");
  assertEquals(
    refused({ listeners: [{ key: "a" }, { key: "b", file: { ...file, path: 1 } }] }),
    "listeners 1: path is 1, expected a text",
  );
  assertEquals(refused({ given: undefined }), "given is missing, expected a list");
  assertEquals(refused({ startSettings: {} }), "startSettings is an object, expected a list");
  assertEquals(
    refused({ startSettings: [["run-user", 7]] }),
    "startSettings 0: 7, expected a text",
  );
  assertEquals(refused({ given: [{ key: "a" }] }), "given 0: kind is missing");
  assertEquals(
    refused({ given: [{ key: "a", kind: "inet", name: 1 }] }),
    "given 0: name is 1, expected a text",
  );
  const wrong = [null, 7, {}, { filtered: 1, options: [] }, { filtered: true }];
  for (const admission of [...wrong, { filtered: true, options: [1] }]) {
    const text = refused({ given: [{ key: "a", kind: "inet", admission }] });
    assert(text.startsWith("given 0: admission is "), text);
  }
});

Deno.test("decodeMessage() refuses a taken whose addresses are none", () => {
  for (const dropped of [undefined, {}, "a", [1], [null]]) {
    assertThrows(() => decodeMessage(TAKEN, json({ dropped })), ProtocolError, "dropped");
  }
});

Deno.test("decodeMessage() keeps its errors short, whatever was sent", () => {
  const deep = `{"pid":${"[".repeat(500_000)}${"]".repeat(500_000)}}`;
  for (const text of [deep, `{"pid":"${"x".repeat(900_000)}"}`, `"${"x".repeat(900_000)}"`]) {
    const payload = new TextEncoder().encode(text);
    assert(payload.length <= MIB);
    const { message } = assertThrows(() => decodeMessage(READY, payload), ProtocolError);
    assert(message.length < 200, `${message.length} characters`);
  }
});

/** Text that is JSON, nearly JSON, or not at all, with the words of the protocol in it. */
function randomText(random: Random, depth = 0): string {
  const part = () => randomText(random, depth + 1);
  const list = () => Array.from({ length: random(4) }, part).join();
  const word = () =>
    pick(random, ["pid", "generation", "seconds", "services", "name", "type", "address", "inet"]);
  switch (random(depth > 4 ? 4 : 8)) {
    case 0:
      return pick(random, ["null", "true", "1e999", "-0", "0.1", "1e-7", "", "\u0000", "{", "]"]);
    case 1:
      return String(random(70_000) - 5);
    case 2:
      return `"${word()}"`;
    case 3:
      return `"${"\\ud800".repeat(random(3))}${"é".repeat(random(3))}"`;
    case 4:
      return `[${list()}]`;
    case 5:
      return `{"name":${part()},"type":"${pick(random, ["inet", "unix", "udp"])}","address":"a"}`;
    default:
      return `{${Array.from({ length: random(5) }, () => `"${word()}":${part()}`).join()}${
        pick(random, ["", "", "", ",", ',"__proto__":{}'])
      }}`;
  }
}

/** A frame that is sound, damaged, or made of anything. */
function randomFrame(random: Random): Uint8Array<ArrayBuffer> {
  const known = [START, SOFTSTOP, READY, DRAINING, DETACH, INHERIT, STOP, BOUND, STANDBY, LOADED];
  const typeNumber = pick(random, [0, ...known, 9, 255]);
  const payload = new TextEncoder().encode(randomText(random));
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  frame.set(encodeFrame(undefined, random(65_536)));
  frame[3] = typeNumber;
  new DataView(frame.buffer).setUint32(4, payload.length);
  frame.set(payload, HEADER_BYTES);
  const sound = pick(random, MESSAGES)[1];
  const chosen = random(4) === 0 ? encodeFrame(sound, random(300)) : frame;
  // One in two gets up to three wrong bytes.
  for (let wrong = random(2) * random(4); wrong > 0; wrong--) {
    chosen[random(chosen.length)] = random(256);
  }
  return chosen;
}

Deno.test(`decodeHeader() and decodeMessage() throw nothing but ProtocolError (${FUZZ_COUNT} frames)`, () => {
  const random = seededRandom(FUZZ_SEED);
  let accepted = 0, refused = 0;
  for (let round = 0; round < FUZZ_COUNT; round++) {
    const frame = randomFrame(random);
    try {
      const { typeNumber, payloadLength } = decodeHeader(frame, ANYBODY);
      const message = decodeMessage(typeNumber, payloadOf(frame).subarray(0, payloadLength));
      if (message === undefined) continue;
      accepted++;
      assertIsSound(message);
    } catch (error) {
      refused++;
      if (error instanceof ProtocolError) continue;
      throw new Error(`frame ${round} of seed ${FUZZ_SEED}: ${frame}`, { cause: error });
    }
  }
  // Else the frames would not test much.
  assert(accepted > FUZZ_COUNT / 20, `${accepted} accepted`);
  assert(refused > FUZZ_COUNT / 5, `${refused} refused`);
});

/** What a handler may rely on. */
function assertIsSound(message: Message): void {
  const isCount = (value: number) => Number.isSafeInteger(value) && value >= 0;
  switch (message.type) {
    case "start":
      assert(isCount(message.generation));
      for (const { name, type, address } of message.services) {
        assert(typeof name === "string" && typeof address === "string");
        assert(["inet", "unix", "fifo"].includes(type));
      }
      for (const [key, value] of [...message.settings.shared, ...message.settings.own ?? []]) {
        assert(typeof key === "string" && typeof value === "string");
      }
      return assert(typeof (message.capturesOutput ?? false) === "boolean");
    case "standby":
      assert(isCount(message.generation));
      for (const [key, value] of [...message.settings.shared, ...message.settings.own ?? []]) {
        assert(typeof key === "string" && typeof value === "string");
      }
      return assert(typeof (message.capturesOutput ?? false) === "boolean");
    case "softstop":
      return assert((message.closing ?? []).every(isCount));
    case "inherit":
      assert(isCount(message.generation) && typeof message.pidFile === "string");
      for (const { key } of [...message.given, ...message.listeners]) {
        assert(typeof key === "string");
      }
      return;
    case "watchdog":
      return assert(isCount(message.intervalMs));
    case "limits":
      return assert(isCount(message.connections ?? 0) && isCount(message.idleMs ?? 0));
    case "used":
      return assert(typeof message.used === "boolean" && isCount(message.pid));
    case "counts":
      assert(isCount(message.pid) && isCount(message.generation));
      return assert(isCount(message.open ?? 0) && isCount(message.accepted ?? 0));
    case "report":
    case "takeover":
    case "reload":
    case "proven":
    case "reopen":
    case "settled":
    case "drained":
      return;
    case "counted":
    case "countedSince":
      return assert(
        message.increments.every(([service, name, by]) =>
          typeof service === "string" && typeof name === "string" && isCount(by)
        ),
      );
    case "outputs":
      return assert(message.before.every(({ dev, ino }) => isCount(dev) && isCount(ino)));
    case "taken":
      return assert(message.dropped.every((key) => typeof key === "string"));
    case "stop":
      return assert(isCount(message.timeoutMs));
    case "bound":
      return assert(isCount(message.generations));
    case "draining":
      assert(isCount(message.seconds));
      // The other two fields are those of every server's message.
      // falls through
    case "ready":
    case "loaded":
    case "detach":
    case "heartbeat":
    case "spent":
      assert(isCount(message.pid) && isCount(message.generation));
      return;
    default:
      throw new Error(`unknown type in ${JSON.stringify(message)}`);
  }
}
