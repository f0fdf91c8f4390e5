/**
 * Compares the messages in docs/troubleshooting.md with the texts in the source: each must be what templates and texts
 * of the program make up, but for names, numbers and paths. Nothing is started.
 */
import { walkSync } from "@std/fs/walk";
import { assert, assertEquals } from "@std/assert";
import { COMMANDS } from "../src/commands/table.ts";
import { ALL_SETTINGS } from "../src/config/settings.ts";

const ROOT = new URL("..", import.meta.url).pathname;
const PAGE = Deno.readTextFileSync(`${ROOT}docs/troubleshooting.md`);

/** The fixed parts of a template, between which it has its values; one part is a plain text. */
type Template = readonly string[];

/** A node of a syntax tree, as far as it is looked at. */
interface Node {
  readonly type: string;
  readonly value?: unknown;
  readonly quasis?: readonly { readonly cooked: string }[];
  readonly operator?: string;
  readonly left?: Node;
  readonly right?: Node;
}

/** The template that an expression is: a text, a template literal, or a sum of these. */
function templateOf(node: Node): Template {
  if (node.type === "TemplateLiteral") return node.quasis!.map(({ cooked }) => cooked);
  if (node.type === "Literal" && typeof node.value === "string") return [node.value];
  if (node.type !== "BinaryExpression" || node.operator !== "+") return ["", ""];
  const left = templateOf(node.left!), right = templateOf(node.right!);
  return [...left.slice(0, -1), left.at(-1)! + right[0], ...right.slice(1)];
}

/** All texts and templates in the source. */
function templatesOfSource(): Template[] {
  const found = new Map<string, Template>();
  const add = (node: unknown) => {
    const template = templateOf(node as Node);
    found.set(JSON.stringify(template), template);
  };
  const create = () => ({ Literal: add, TemplateLiteral: add, BinaryExpression: add });
  const plugin: Deno.lint.Plugin = { name: "texts", rules: { all: { create } } };
  for (const { path } of walkSync(`${ROOT}src`, { exts: [".ts"], includeDirs: false })) {
    Deno.lint.runPlugin(plugin, path, Deno.readTextFileSync(path));
  }
  return [...found.values()];
}

/** What stands for a name, a number, a path, an address, a time or a text of the user or the system. */
const VALUE = new RegExp(
  [
    "",
    String.raw`\d[\d.:-]*( \d\d:\d\d UTC)?`, // also a date
    String.raw`\d[\d.]* (ms|s|min|h|d)`,
    String.raw`"[^"]*"`,
    String.raw`(inet:)?[\w-]*[./:][\w./:-]*\w`,
    String.raw`error: Uncaught [\w :()]+`,
    String.raw`Too many open files \(os error 24\)`,
    "SIG[A-Z]+|E[A-Z]+|www|-+[a-z/=-]+",
  ].map((one) => `^(?:${one})$`).join("|"),
);

/** What `join` puts between texts. */
const SEPARATORS: readonly Template[] = [["", ", ", ""], ["", "; ", ""]];

/** Looks for a way to make up texts from templates. */
class Explainer {
  readonly #texts = new Set<string>();
  readonly #templates: Template[] = [...SEPARATORS];
  readonly #known = new Map<string, boolean>();

  constructor(templates: Iterable<Template>) {
    for (const template of templates) {
      if (template.length === 1) this.#texts.add(template[0]);
      // Others would part a text anywhere.
      else if (/[a-z:(]/.test(template.join(""))) this.#templates.push(template);
    }
  }

  /** Whether the text can be a message of the program. */
  explains(text: string): boolean {
    let isKnown = this.#known.get(text);
    if (isKnown === undefined) {
      isKnown = VALUE.test(text) || this.#texts.has(text) || this.#isCounted(text) ||
        this.#templates.some((template) => this.#matches(text, template));
      this.#known.set(text, isKnown);
    }
    return isKnown;
  }

  /** Such as `2 services`, `1 replaced` and `opened ADDRESS`. */
  #isCounted(text: string): boolean {
    const [, before, noun, plural] = /^(\S+) (.+?)(s?)$/.exec(text) ?? [];
    if (noun === undefined) return false;
    return /^\d+$/.test(before)
      ? this.#texts.has(noun) || this.#texts.has(noun + plural)
      : this.#texts.has(before) && VALUE.test(noun + plural);
  }

  #matches(text: string, template: Template): boolean {
    const isPossible = text.startsWith(template[0]) && text.endsWith(template.at(-1)!) &&
      template.every((part) => text.includes(part));
    return isPossible && this.#matchesFrom(text, template);
  }

  /** Tries every place of the second part, with the value before it. */
  #matchesFrom(text: string, [first, second, ...rest]: Template): boolean {
    if (!text.startsWith(first)) return false;
    const behind = text.slice(first.length);
    if (second === undefined) return behind === "";
    if (rest.length === 0) {
      const value = behind.slice(0, behind.length - second.length);
      return behind.endsWith(second) && this.explains(value);
    }
    for (let at = behind.indexOf(second); at >= 0; at = behind.indexOf(second, at + 1)) {
      // In this order: a value is shorter than the text then.
      const isBehind = this.#matchesFrom(behind.slice(at), [second, ...rest]);
      if (isBehind && this.explains(behind.slice(0, at))) return true;
      if (at === behind.length) break;
    }
    return false;
  }
}

/** A message without the place that it begins with: a setting, or what `zc doctor` has looked at. */
function withoutPlace(message: string): string {
  const [, finding] = /^\S+(: found [^]*)$/.exec(message) ?? [];
  if (finding !== undefined) return finding;
  const [, key, rest] = /^(?:(?:warning: )?\S+\.cf:\d+: )?([\w-]+): (Cannot .*)$/.exec(message) ??
    [];
  if (key === undefined) return message;
  const isSetting = ALL_SETTINGS.some(({ name }) => name === key);
  assert(isSetting || rest.includes(`Cannot find setting "${key}"`), message);
  return rest;
}

const blocks = (language: string) =>
  [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, "gm"))].map(([, text]) =>
    text
  );

/** A symptom has a heading in quotes. */
const symptoms = PAGE.split(/^### (?=")/m).slice(1).map((text) => text.split(/^## /m)[0]);

Deno.test("docs/troubleshooting.md quotes messages that the source has", () => {
  const explainer = new Explainer(templatesOfSource());
  const messages = blocks("text").map((text) => text.trimEnd()).map((message) => {
    const [, before = "", rest = message] = /^(reload refused, .*?: )(.*)$/.exec(message) ?? [];
    return [before.slice(0, -1), withoutPlace(rest)] as const;
  });
  const isSound = (message: string) => explainer.explains(message);
  const all = messages.flat().filter((one) => one !== "");
  assertEquals(all.filter((message) => !isSound(message)), [], "no texts of the source");
  // A message that has changed must not be taken for another one.
  const mistaken = all.flatMap((message) =>
    [...message.matchAll(/(?<=^|(?<!Error:[^;]*) )[a-z]{2,}(?=[ ,;]|: |$)/gm)]
      .map(({ 0: { length }, index }) =>
        `${message.slice(0, index)}quite${message.slice(index + length)}`
      )
      .filter(isSound)
  );
  assertEquals(mistaken, []);
});

Deno.test("docs/troubleshooting.md has twenty symptoms, each with a message and a remedy", () => {
  assertEquals(symptoms.length, 20);
  for (const text of symptoms) {
    assert(text.includes("\n```text\n"), text);
    assert(text.includes("\n```sh\n"), text);
  }
});

Deno.test("docs/troubleshooting.md names commands and settings that there are", () => {
  for (const [, name] of blocks("sh").join("").matchAll(/^(?:.*&& )?zc (\S+)/gm)) {
    assert(COMMANDS.some((command) => command.name === name), name);
  }
  const names = new Set(ALL_SETTINGS.map(({ name }) => name));
  for (const [name] of PAGE.matchAll(/(?<=[`'])(?:server|master|log)-[a-z-]+(?= = |`)/g)) {
    assert(names.has(name), name);
  }
});
