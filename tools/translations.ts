/**
 * Compares pages with their translations: the same blocks in the same order, and in each block the
 * same code, names, numbers and links. What the sentences say is left to readers.
 *
 * @module
 */
import { ALIASES } from "../src/config/aliases.ts";
import { ALL_SETTINGS } from "../src/config/settings.ts";

/** A page in both languages, as paths from the root. */
export interface PagePair {
  readonly english: string;
  readonly chinese: string;
}

/** The translated pages. */
export const PAGE_PAIRS: readonly PagePair[] = [
  { english: "README.md", chinese: "README.zh-CN.md" },
  {
    english: "docs/migrating_from_libzc.md",
    chinese: "docs/zh-CN/migrating_from_libzc.md",
  },
  { english: "docs/settings.md", chinese: "docs/zh-CN/settings.md" },
  { english: "docs/tutorial.md", chinese: "docs/zh-CN/tutorial.md" },
];

/** Where the pages are read from. */
export interface Pages {
  readonly pairs: readonly PagePair[];
  /** The text of a page. */
  textOf(path: string): string;
}

/** A heading, paragraph, list item, table row or block of code. */
interface Block {
  /** What it is, with the level of a heading, the depth of an item or the number of cells. */
  readonly shape: string;
  /** Its first line. */
  readonly line: number;
  /** The cells of a row, the lines of a block of code, the text of anything else. */
  readonly parts: readonly string[];
}

const CODE = "a block of code";

/** Everything of a page below its first line. */
function blocksOf(page: string): Block[] {
  const lines = page.split("\n"), blocks: Block[] = [];
  // The paragraph or item that the next line goes on with.
  let open: { shape: string; line: number; parts: [string] } | undefined;
  for (let at = 1; at < lines.length; at++) {
    const text = lines[at].trim(), line = at + 1;
    const [, level] = /^(#+) /.exec(text) ?? [];
    const [, indent] = /^( *)(?:-|\d+\.) /.exec(lines[at]) ?? [];
    if (/^<!--.*-->$/.test(text)) {
      // The mark of a written part, which no reader sees.
      open = undefined;
    } else if (text.startsWith("```")) {
      const end = lines.findIndex((other, index) => index > at && /^ *```$/.test(other));
      const parts = lines.slice(at, end < 0 ? undefined : end);
      blocks.push({ shape: CODE, line, parts });
      at += parts.length;
      open = undefined;
    } else if (level !== undefined) {
      blocks.push({ shape: `a heading of level ${level.length}`, line, parts: [text] });
      open = undefined;
    } else if (text.startsWith("|")) {
      const parts = text.slice(1, -1).split(/(?<!\\)\|/).map((cell) => cell.trim());
      blocks.push({ shape: `a table row of ${parts.length} cells`, line, parts });
      open = undefined;
    } else if (text === "") {
      open = undefined;
    } else if (indent === undefined && open !== undefined) {
      open.parts[0] += ` ${text}`;
    } else {
      const shape = indent === undefined ? "a paragraph" : `a list item of depth ${indent.length}`;
      open = { shape, line, parts: [text] };
      blocks.push(open);
    }
  }
  return blocks;
}

/**
 * Finds where a page and its translation differ in more than their words.
 *
 * @param pair The page.
 * @param pages Where it is read from; a link to one of these pages leads to it in the same language.
 * @returns One message for each difference, with file, line, what was found and what was expected.
 */
export function differences(pair: PagePair, pages: Pages): string[] {
  const english = withEnd(pages.textOf(pair.english));
  const chinese = withEnd(pages.textOf(pair.chinese));
  const top = [
    ...firstLine(pair.english, `[中文](${pathBetween(pair.english, pair.chinese)})`, pages),
    ...firstLine(pair.chinese, `[English](${pathBetween(pair.chinese, pair.english)})`, pages),
  ];
  const told = ({ line, found, expected }: Difference, from: Block) =>
    `${pair.chinese}:${line}: found ${found}, expected ${expected}, ` +
    `as in ${pair.english}:${from.line}`;

  const index = english.findIndex(({ shape }, index) => shape !== chinese[index].shape);
  if (index >= 0) {
    // All other blocks would be compared with the wrong ones.
    const [from, { line, shape }] = [english[index], chinese[index]];
    return [...top, told({ line, found: shape, expected: from.shape }, from)];
  }
  return english.reduce((messages, from, index) => {
    const to = chinese[index];
    const found = from.shape === CODE ? inCode(from, to) : inText(from, to, { pair, pages });
    return [...messages, ...found.map((difference) => told(difference, from))];
  }, top);
}

/** A difference in a block. */
interface Difference {
  /** The line in the translation. */
  readonly line: number;
  readonly found: string;
  readonly expected: string;
}

/** The blocks of a page, and its end as the last one. */
function withEnd(page: string): Block[] {
  const line = page.trimEnd().split("\n").length + 1;
  return [...blocksOf(page), { shape: "the end of the page", line, parts: [] }];
}

function firstLine(page: string, expected: string, { textOf }: Pages): string[] {
  const [line] = textOf(page).split("\n", 1);
  return line === expected ? [] : [`${page}:1: found ${shown(line)}, expected ${shown(expected)}`];
}

function inCode(from: Block, to: Block): Difference[] {
  for (let at = 0; at < Math.max(from.parts.length, to.parts.length); at++) {
    const [expected, found] = [from.parts[at], to.parts[at]].map(shown);
    if (found !== expected) return [{ line: to.line + at, found, expected }];
  }
  return [];
}

function inText(
  from: Block,
  { line, parts }: Block,
  { pair, pages }: { readonly pair: PagePair; readonly pages: Pages },
): Difference[] {
  return from.parts.flatMap((english, part) => {
    const chinese = parts[part];
    const differences: Difference[] = [];
    const compare = (what: string, wanted: readonly string[], actual: readonly string[]) => {
      const [expected, found] = [wanted, actual].map(list);
      if (found !== expected) differences.push({ line, found: `${what} ${found}`, expected });
    };
    for (const [what, of] of Object.entries(ITEMS)) compare(what, of(english), of(chinese));
    compare(
      "links to",
      linksOf(english).map((link) => translated(targetOf(pair.english, link), pages)),
      linksOf(chinese).map((link) => targetOf(pair.chinese, link)),
    );
    if (english === chinese && /\b[a-z]+ [a-z]+/.test(proseOf(english))) {
      const found = `the English text ${shown(english)}`;
      differences.push({ line, found, expected: "a Chinese one" });
    }
    return differences;
  });
}

function shown(text: string | undefined): string {
  return text === undefined ? "the end of the block" : JSON.stringify(text);
}

function list(items: readonly string[]): string {
  return items.length === 0 ? "none" : items.toSorted().join(" ");
}

const CODE_SPAN = /(`+)(.+?)\1/g;
const LINK = /\]\(([^)\s]+)\)/g;

/** What a text has in both languages, in any order. */
const ITEMS: Readonly<Record<string, (text: string) => readonly string[]>> = {
  "code": (text) => Array.from(text.matchAll(CODE_SPAN), ([span]) => span),
  "settings": (text) => Array.from(proseOf(text).matchAll(SETTING), ([name]) => name),
  "numbers": (text) => [...new Set(proseOf(text).match(/\d+(?:[.,:]\d+)*/g))],
};

/** The settings whose names are no words of English. */
const SETTING = new RegExp(
  `(?<![\\w-])(?:${
    [...ALL_SETTINGS.map(({ name }) => name), ...ALIASES].filter((name) => name.includes("-"))
      .join("|")
  })(?![\\w-])`,
  "g",
);

function proseOf(text: string): string {
  return text.replaceAll(CODE_SPAN, "").replaceAll(LINK, "]");
}

function linksOf(text: string): string[] {
  return Array.from(text.replaceAll(CODE_SPAN, "").matchAll(LINK), ([, link]) => link);
}

/** Where a link leads: a path from the root with its anchor, or an address of another site. */
function targetOf(page: string, link: string): string {
  if (/^\w+:/.test(link)) return link;
  const [path, anchor] = link.split("#");
  const whole = path === "" ? page : new URL(path, `file:///${page}`).pathname.slice(1);
  return anchor === undefined ? whole : `${whole}#${anchor}`;
}

/** Where the same link leads from a Chinese page. */
function translated(target: string, { pairs, textOf }: Pages): string {
  const [path, anchor] = target.split("#");
  const pair = pairs.find(({ english }) => english === path);
  if (pair === undefined || anchor === undefined) return pair?.chinese ?? target;
  const index = anchorsOf(textOf(path)).indexOf(anchor);
  const heading = index < 0 ? undefined : anchorsOf(textOf(pair.chinese))[index];
  return `${pair.chinese}#${heading ?? anchor}`;
}

/** The anchors of a page's headings, as GitHub and JSR make them. */
function anchorsOf(page: string): string[] {
  return blocksOf(page).filter(({ shape }) => shape.startsWith("a heading")).map(({ parts }) =>
    parts[0].replace(/^#+ /, "").toLowerCase().replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, "")
      .replaceAll(" ", "-")
  );
}

/** The relative path from one file to another. */
function pathBetween(from: string, to: string): string {
  const folders = from.split("/").slice(0, -1), names = to.split("/");
  while (folders.length > 0 && folders[0] === names[0]) {
    folders.shift();
    names.shift();
  }
  return "../".repeat(folders.length) + names.join("/");
}
