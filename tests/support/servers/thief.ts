/**
 * A server in the hands of an attacker: at its clients' requests it tries to get at what is not its own,
 * by FFI or, where it has no permission, by what the runtime lets every program do.
 *
 * @module
 */
import process from "node:process";
import { coroutineServe, coroutineServerMain } from "../../../coroutine_server.ts";
import { testHooks } from "./behaviour.ts";

/** Numbers beyond those of all descriptors that a server has. */
const NUMBERS = 128;
const LEVELS = 12;

/** As much of the runtime's inner objects as is used here. */
interface Pipe {
  open(fd: number): number;
  writeBuffer(request: unknown, bytes: Uint8Array): number;
}
interface Bindings {
  pipe_wrap: { Pipe: new (type: number) => Pipe };
  stream_wrap: { WriteWrap: new () => unknown };
}

/** What has been opened, so that no collection of garbage closes it. */
const opened: Pipe[] = [];

const hasFfi = Deno.permissions.querySync({ name: "ffi" }).state === "granted";

let functions: ReturnType<typeof openLibc> | undefined;

/** Opened before the change of the root. */
const libc = () => functions ??= openLibc();

function openLibc() {
  return Deno.dlopen("libc.so.6", {
    pwrite: { parameters: ["i32", "buffer", "usize", "i64"], result: "i64" },
    openat: { parameters: ["i32", "buffer", "i32"], result: "i32" },
    setresuid: { parameters: ["u32", "u32", "u32"], result: "i32" },
    chroot: { parameters: ["buffer"], result: "i32" },
  }).symbols;
}

if (hasFfi) libc();

const cString = (text: string) => new TextEncoder().encode(`${text}\0`);

const binding = <T extends keyof Bindings>(name: T): Bindings[T] =>
  (process as unknown as { binding(name: string): Bindings[T] }).binding(name);

/** Overwrites the beginning of a file by its descriptor. */
function plant(fd: number, bytes: Uint8Array<ArrayBuffer>): string {
  if (hasFfi) return `${libc().pwrite(fd, bytes, BigInt(bytes.length), 0n)}`;
  const { Pipe } = binding("pipe_wrap"), { WriteWrap } = binding("stream_wrap");
  const pipe = new Pipe(0), code = pipe.open(fd);
  opened.push(pipe);
  return `${code} ${code === 0 && pipe.writeBuffer(new WriteWrap(), bytes)}`;
}

/** The paths by which a file outside of the root can be opened. */
function escape(target: string): string {
  const found: string[] = [];
  for (let fd = 0; fd < NUMBERS; fd++) {
    for (let up = 0; up < LEVELS; up++) {
      const path = `${"../".repeat(up)}${target}`;
      if (libc().openat(fd, cString(path), 0) >= 0) found.push(`${fd}/${path}`);
    }
  }
  return found.join(" ") || "nothing";
}

/** Tries to become root again. */
function rise(): string {
  return `${libc().setresuid(0, 0, 0)} ${libc().chroot(cString("/"))}`;
}

function obey([command, ...rest]: readonly string[]): string {
  switch (command) {
    case "plant":
      return plant(Number(rest[0]), Uint8Array.fromBase64(rest[1]));
    case "escape":
      return escape(rest[0]);
    case "rise":
      return rise();
    default:
      return `unknown command ${command}`;
  }
}

async function serve(conn: Deno.Conn): Promise<void> {
  const encoder = new TextEncoder(), decoder = new TextDecoder();
  await conn.write(encoder.encode(`thief ${Deno.pid}\n`));
  const room = new Uint8Array(65_536);
  let text = "";
  for (let count; (count = await conn.read(room)) !== null;) {
    text += decoder.decode(room.subarray(0, count));
    if (!text.endsWith("\n")) continue;
    await conn.write(encoder.encode(`${obey(text.trim().split(" "))}\n`));
    text = "";
  }
}

Deno.exit(
  await coroutineServerMain(testHooks((_service, fd, fdType) => coroutineServe(fd, fdType, serve))),
);
