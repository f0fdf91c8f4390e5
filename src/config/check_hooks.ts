/**
 * Checks of a program's hooks, since the runtime does not check types.
 *
 * @module
 */
import { cannot, ConfigError } from "./errors.ts";
import { nearest } from "./nearest.ts";

/**
 * Checks the names and the types of hooks. A name that is not similar to a hook's is the program's own.
 *
 * @param hooks The program's hooks.
 * @param about `known`: the names of all hooks; `required`: the mandatory ones.
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
