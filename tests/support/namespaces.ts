/**
 * Processes in namespaces of their own (unshare(1)), so that one of them can be process 1.
 *
 * @module
 */

/** What the kernel, or its configuration, says where no namespace can be made. */
const REFUSAL = /not permitted|denied|No space|Invalid|unrecognized option/;

/**
 * The command that makes namespaces of processes and mounts, in which its child is process 1 and
 * ends with it; with one of users too where it has to be.
 *
 * @param asUser What an ordinary user is in that namespace.
 */
export function unshare(asUser: readonly string[] = ["--map-root-user"]): string[] {
  const users = Deno.uid() === 0 ? [] : ["--user", ...asUser];
  return ["unshare", ...users, "--mount", "--pid", "--fork", "--kill-child"];
}

/**
 * What prevents a command that makes namespaces; undefined when it works.
 *
 * @param argv The command, which does nothing else.
 * @throws {Error} When it fails for another reason than a refusal of the kernel.
 */
export async function obstacle([program, ...args]: readonly string[]): Promise<string | undefined> {
  const { success, stderr } = await new Deno.Command(program, { args }).output();
  if (success) return undefined;
  const problem = new TextDecoder().decode(stderr).trim();
  if (!REFUSAL.test(problem)) throw new Error(`Cannot make namespaces: ${problem}`);
  return problem;
}

/**
 * The processes that the kernel has as children of a process, with their states.
 *
 * @param parent Its id.
 */
export function childrenOf(parent: number): { pid: number; state: string }[] {
  return [...Deno.readDirSync("/proc")].flatMap(({ name }) => {
    try {
      const stat = Deno.readTextFileSync(`/proc/${name}/stat`);
      const [, state, ppid] = /^\d+ \([^]*\) (\w) (\d+)/.exec(stat)!;
      return Number(ppid) === parent ? [{ pid: Number(name), state }] : [];
    } catch {
      // No process, or one that has ended meanwhile.
      return [];
    }
  });
}
