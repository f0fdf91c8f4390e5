/**
 * Mail clients that others have written: programs, and the libraries of Python.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { missingPrograms } from "../../tools/test_programs.ts";
import type { MailSystem } from "./mail_system.ts";
import { plainPython } from "./python.ts";
import { within } from "./wait.ts";

/** How long a client may take: it may have to wait for a busy machine. */
const CLIENT_MS = 60_000;

/** Whether a program is there. */
export function hasProgram(name: string): boolean {
  return !missingPrograms().includes(name);
}

/** How a client ended. */
export interface ClientEnd {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a client to its end.
 *
 * @param argv The program and its arguments.
 * @param input What it reads.
 */
export async function runClient(argv: readonly string[], input = ""): Promise<ClientEnd> {
  const [program, ...args] = argv;
  const child = new Deno.Command(program, {
    args,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  // A client that does not read its input is no fault.
  writer.write(new TextEncoder().encode(input)).then(() => writer.close()).catch(() => {});
  const late = AbortSignal.timeout(CLIENT_MS);
  const kill = () => child.kill("SIGKILL");
  late.addEventListener("abort", kill);
  const { code, stdout, stderr } = await within(child.output(), {
    ...{ what: `the end of ${argv.join(" ")}`, withinMs: 2 * CLIENT_MS },
  });
  late.removeEventListener("abort", kill);
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/**
 * Runs curl, and fails if it does.
 *
 * @param system The mail system, whose certificate it trusts.
 * @param args Its arguments.
 * @param input What it sends.
 * @returns What it prints.
 */
export async function curl(
  system: MailSystem,
  args: readonly string[],
  input = "",
): Promise<string> {
  const argv = ["curl", "-sS", "--cacert", system.certFile, ...args];
  const { code, stdout, stderr } = await runClient(argv, input);
  assertEquals(code, 0, `${argv.join(" ")}: ${stderr}`);
  return stdout;
}

/**
 * Runs a client in Python, and fails if it does. In its script, `ports` has the ports by the names of the
 * services, `tls` is a context that trusts the certificate, and `words` has the passwords by users.
 *
 * @param system The mail system.
 * @param script Its source.
 */
export async function pythonMail(system: MailSystem, script: string): Promise<void> {
  const words = { alice: system.password("alice"), bob: system.password("bob") };
  const head = [
    "import json, os, re, socket, ssl, sys, time",
    `ports = json.loads(${JSON.stringify(JSON.stringify(system.ports))})`,
    `words = json.loads(${JSON.stringify(JSON.stringify(words))})`,
    `tls = ssl.create_default_context(cafile=${JSON.stringify(system.certFile)})`,
  ];
  const argv = [...plainPython(), "-c", [...head, script].join("\n")];
  const { code, stdout, stderr } = await runClient(argv);
  assertEquals(code, 0, stdout + stderr);
}
