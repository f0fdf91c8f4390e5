/**
 * What the test servers of both modes have in common: their commands and their hooks. Each step of
 * a server's life is a log line, which reaches the test through the master's error output.
 *
 * Settings of a service: `ready-when` (a file that beforeService waits for), `exit-at-start` (an exit
 * code), `own`, which beforeService logs, and any other: a client can ask for each. An argument `--before-softstop` in the command
 * adds that hook; with `--fail-in=HOOK` that hook throws.
 *
 * @module
 */
import { existsSync } from "@std/fs/exists";
import { openDescriptors } from "../../../src/os/fd/descriptor.ts";
import { listeningAt, shutdownSocket } from "../../../src/os/net/socket.ts";
import { defaultConfig, type FdType, type ServerHooks, zinfo } from "../../../src/server/common.ts";
import { eventually } from "../wait.ts";

/** Memory in use. */
const held: Uint8Array[] = [];

/** The calls that differ by mode. */
export interface Mode {
  readonly name: string;
  stopNotify(seconds: number): void;
  detach(): void;
}

/** What to answer, and whether to close the connection then. */
export interface Answer {
  readonly text: string;
  readonly close?: true;
}

/** The first line of each connection: mode, process, service, type. */
export function greeting(mode: Mode, service: string, fdType: FdType): string {
  return `${mode.name} ${Deno.pid} ${service || "-"} ${fdType}\n`;
}

/** Does what a client's line says. */
export function obey(mode: Mode, line: string): Answer {
  const [command, ...rest] = line.split(" ");
  const argument = rest.join(" ");
  switch (command) {
    case "echo":
      return { text: `${argument}\n` };
    case "log":
      zinfo(argument);
      return { text: "logged\n" };
    case "setting":
      return { text: `${defaultConfig.getStr(argument)}\n` };
    case "env":
      return { text: `${Deno.env.get(argument)}\n` };
    case "quit":
      return { text: "bye\n", close: true };
    case "stop":
      mode.stopNotify(Number(argument));
      return { text: "stopping\n" };
    case "detach":
      mode.detach();
      return { text: "detached\n" };
    case "exit":
      Deno.exit(Number(argument));
      break;
    case "shutdown":
      for (const fd of openDescriptors().keys()) {
        if (listeningAt(fd) !== undefined) shutdownSocket(fd);
      }
      return { text: "it is shut down\n" };
    case "block":
      for (;;);
    case "block-for":
      for (const until = performance.now() + Number(argument); performance.now() < until;);
      return { text: "back\n" };
    case "hold":
      held.push(new Uint8Array(Number(argument) * 2 ** 20).fill(1));
      return { text: "held\n" };
    case "collect":
      // With --expose-gc: a collection without end.
      for (const { gc } = globalThis as { gc?: () => void };;) gc?.();
    default:
      return { text: `unknown command ${line}\n` };
  }
}

/** The hooks of a test server. */
export function testHooks(
  serviceRegister: (service: string, fd: number, fdType: FdType) => void,
): ServerHooks {
  return {
    async beforeService() {
      zinfo(`beforeService with ${defaultConfig.getStr("own")}`);
      failIn("beforeService");
      const code = defaultConfig.getStr("exit-at-start");
      if (code !== "") Deno.exit(Number(code));
      await waitFor(defaultConfig.getStr("ready-when"));
    },
    serviceRegister(service, fd, fdType) {
      zinfo(`serviceRegister ${service || "-"} ${fdType}`);
      failIn("serviceRegister");
      serviceRegister(service, fd, fdType);
    },
    ...(Deno.args.includes("--before-softstop") ? { beforeSoftstop } : {}),
  };
}

function beforeSoftstop(): void {
  zinfo("beforeSoftstop");
  failIn("beforeSoftstop");
}

function failIn(hook: string): void {
  if (Deno.args.includes(`--fail-in=${hook}`)) throw new Error(`a fault in ${hook}`);
}

/** Waits until a file is there. */
async function waitFor(path: string): Promise<void> {
  if (path !== "") await eventually(() => existsSync(path), { what: path, withinMs: 60_000 });
}
