/**
 * What the figures depend on: the machine, and the versions of what was measured.
 *
 * @module
 */
import { describeRounds } from "./measures/all.ts";
import type { Options } from "./options.ts";
import { run, type Tools } from "./tools.ts";

/**
 * The facts of a run of the benchmarks.
 *
 * @param tools The programs of others.
 * @param options Its command line.
 * @returns Name → value.
 */
export async function runFacts(
  tools: Tools,
  { command, rounds, seconds }: Options,
): Promise<Record<string, string>> {
  return {
    ...await machineFacts(tools, command),
    "Rounds": `${describeRounds(rounds)}; each load ${seconds} s`,
  };
}

/**
 * The facts of a machine at this moment.
 *
 * @param tools The programs of others.
 * @param command How it was started.
 * @returns Name → value.
 */
export async function machineFacts(tools: Tools, command: string): Promise<Record<string, string>> {
  const cpu = /^model name\s*:\s*(.*)$/m.exec(await Deno.readTextFile("/proc/cpuinfo"))?.[1];
  const memory = Deno.systemMemoryInfo().total / 2 ** 30;
  const facts: Record<string, string> = {
    "Command": `\`${command}\``,
    "Date": new Date().toISOString().slice(0, 10),
    "Machine": `${navigator.hardwareConcurrency} CPUs${cpu ? ` (${cpu})` : ""}, ${
      memory.toFixed(0)
    } GB, ${Deno.build.arch}`,
    "Kernel": `Linux ${Deno.osRelease()}`,
    "Load before the run": Deno.loadavg().map((load) => load.toFixed(2)).join(", "),
    "Deno": Deno.version.deno,
  };
  if (tools.node) facts["Node"] = (await run([tools.node, "--version"])).trim();
  if (tools.pm2) facts["PM2"] = JSON.parse(await Deno.readTextFile(packageOf(tools.pm2))).version;
  if (tools.nginx) facts["nginx"] = await nginxVersion(tools.nginx.path, tools.nginx.env);
  return facts;
}

function packageOf(script: string): string {
  return script.replace(/bin\/pm2$/, "package.json");
}

async function nginxVersion(path: string, env: Readonly<Record<string, string>>): Promise<string> {
  const { stderr } = await new Deno.Command(path, { args: ["-v"], env }).output();
  return /nginx\/(\S+)/.exec(new TextDecoder().decode(stderr))?.[1] ?? "of unknown version";
}
