/**
 * Mistakes in the hooks of a program, which the runtime runs without checking types.
 *
 * @module
 */
import { cannot, ConfigError } from "./errors.ts";
import { nearest } from "./nearest.ts";

/**
 * Checks the names and the types of hooks. A name that is not near that of a hook is the program's own.
 *
 * @param hooks What the program gives.
 * @param about `known`: the names of all hooks; `required`: those that have to be there.
 * @throws {ConfigError} With every mistake.
 */
export function checkHooks(
  hooks: object,
  about: { readonly known: readonly string[]; readonly required?: readonly string[] },
): void {
  const given = new Map<string, unknown>(Object.entries(hooks));
  for (const name of about.known) given.set(name, Reflect.get(hooks, name));
  const misspelt = new Set<string | undefined>();
  const problems: string[] = [];
  for (const [name, value] of given) {
    if (about.known.includes(name)) {
      if (value === undefined || typeof value === "function") continue;
      problems.push(cannot("use hook", name, { found: typeof value, expected: "a function" }));
    } else {
      const meant = nearest(name, about.known);
      if (meant === undefined || given.get(meant) !== undefined) continue;
      misspelt.add(meant);
      problems.push(cannot("use hook", name, { found: "no such hook", expected: meant }));
    }
  }
  for (const name of about.required ?? []) {
    if (given.get(name) !== undefined || misspelt.has(name)) continue;
    problems.push(
      cannot("use hooks", [...Object.keys(hooks)].join(" "), {
        found: `no ${name}`,
        expected: `a function ${name}`,
      }),
    );
  }
  if (problems.length > 0) throw new ConfigError(problems.map((message) => ({ message })));
}
