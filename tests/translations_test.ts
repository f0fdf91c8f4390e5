import { assertEquals } from "@std/assert";
import { differences, PAGE_PAIRS, type PagePair } from "../tools/translations.ts";

for (const pair of PAGE_PAIRS) {
  Deno.test(`${pair.chinese} has what ${pair.english} has`, () => {
    const textOf = (path: string) => Deno.readTextFileSync(new URL(`../${path}`, import.meta.url));
    assertEquals(differences(pair, { pairs: PAGE_PAIRS, textOf }), []);
  });
}

Deno.test("each page in docs/zh-CN is compared with an English one", () => {
  const folder = new URL("../docs/zh-CN/", import.meta.url);
  const names = Array.from(Deno.readDirSync(folder), ({ name }) => `docs/zh-CN/${name}`);
  const compared = PAGE_PAIRS.map(({ chinese }) => chinese);
  assertEquals(names.filter((name) => !compared.includes(name)), []);
});

const PAIR: PagePair = { english: "docs/a.md", chinese: "docs/zh-CN/a.md" };

const ENGLISH = `[中文](zh-CN/a.md)

# A page

Set \`pid-file\` within 30 s, as [below](#the-end) and in
[the list](b.md#top) of [Deno](https://deno.com/), or server-soak.

\`\`\`sh
zc start
zc stop
\`\`\`

- one item
- another item with
  two lines

| name | meaning    |
| ---- | ---------- |
| \`a\`  | it is some |

## The end
`;

const CHINESE = `[English](../a.md)

# 一页

在 30 秒之内设置 \`pid-file\`，见 [Deno](https://deno.com/) 的
[列表](../b.md#top)、[下文](#结尾)或 server-soak。

\`\`\`sh
zc start
zc stop
\`\`\`

- 一项
- 另一项

| 名称 | 含义     |
| ---- | -------- |
| \`a\`  | 某种东西 |

## 结尾
`;

/** The differences between the two texts above, with a part of one of them replaced. */
function differencesWith(
  { chinese = ["", ""], english = ["", ""] }: {
    readonly chinese?: readonly [string, string];
    readonly english?: readonly [string, string];
  },
): string[] {
  const texts = new Map([
    [PAIR.english, ENGLISH.replace(...english)],
    [PAIR.chinese, CHINESE.replace(...chinese)],
  ]);
  return differences(PAIR, { pairs: [PAIR], textOf: (path) => texts.get(path)! });
}

Deno.test("differences() finds none where only words and their order differ", () => {
  assertEquals(differencesWith({}), []);
});

for (
  const [what, chinese, ...expected] of [
    [
      "a heading of another level",
      ["## 结尾", "### 结尾"],
      "docs/zh-CN/a.md:20: found a heading of level 3, expected a heading of level 2, as in docs/a.md:21",
    ],
    [
      "a heading that is missing",
      ["## 结尾", ""],
      "docs/zh-CN/a.md:19: found the end of the page, expected a heading of level 2, as in docs/a.md:21",
    ],
    [
      "a heading too many",
      ["## 结尾\n", "## 结尾\n\n## 更多\n"],
      "docs/zh-CN/a.md:22: found a heading of level 2, expected the end of the page, as in docs/a.md:22",
    ],
    [
      "a paragraph too many",
      ["```sh", "又一段。\n\n```sh"],
      "docs/zh-CN/a.md:8: found a paragraph, expected a block of code, as in docs/a.md:8",
    ],
    [
      "headings in another order",
      ["# 一页", "## 结尾\n\n# 一页"],
      "docs/zh-CN/a.md:3: found a heading of level 2, expected a heading of level 1, as in docs/a.md:3",
    ],
    [
      "another line of code",
      ["zc stop", "zc status"],
      'docs/zh-CN/a.md:10: found "zc status", expected "zc stop", as in docs/a.md:8',
    ],
    [
      "another language of code",
      ["```sh", "```console"],
      'docs/zh-CN/a.md:8: found "```console", expected "```sh", as in docs/a.md:8',
    ],
    [
      "a line of code that is missing",
      ["zc stop\n", ""],
      'docs/zh-CN/a.md:10: found the end of the block, expected "zc stop", as in docs/a.md:8',
    ],
    [
      "a line of code too many",
      ["zc stop\n", "zc stop\nzc start\n"],
      'docs/zh-CN/a.md:11: found "zc start", expected the end of the block, as in docs/a.md:8',
    ],
    [
      "a list item that is missing",
      ["- 另一项\n", ""],
      "docs/zh-CN/a.md:15: found a table row of 2 cells, expected a list item of depth 0, as in docs/a.md:14",
    ],
    [
      "a table row that is missing",
      ["| `a`  | 某种东西 |\n", ""],
      "docs/zh-CN/a.md:19: found a heading of level 2, expected a table row of 2 cells, as in docs/a.md:19",
    ],
    [
      "a table column that is missing",
      ["| 名称 | 含义     |", "| 名称 |"],
      "docs/zh-CN/a.md:16: found a table row of 1 cells, expected a table row of 2 cells, as in docs/a.md:17",
    ],
    [
      "another code span",
      ["`a`", "`b`"],
      "docs/zh-CN/a.md:18: found code `b`, expected `a`, as in docs/a.md:19",
    ],
    [
      "another setting",
      ["server-soak", "server-user"],
      "docs/zh-CN/a.md:5: found settings server-user, expected server-soak, as in docs/a.md:5",
    ],
    [
      "another number",
      ["30 秒", "35 秒"],
      "docs/zh-CN/a.md:5: found numbers 35, expected 30, as in docs/a.md:5",
    ],
    [
      "a link to another site",
      ["https://deno.com/", "https://deno.land/"],
      "docs/zh-CN/a.md:5: found links to docs/b.md#top docs/zh-CN/a.md#结尾 https://deno.land/, " +
      "expected docs/b.md#top docs/zh-CN/a.md#结尾 https://deno.com/, as in docs/a.md:5",
    ],
    [
      "a link to the English page, where there is a Chinese one",
      ["(#结尾)", "(../a.md#the-end)"],
      "docs/zh-CN/a.md:5: found links to docs/a.md#the-end docs/b.md#top https://deno.com/, " +
      "expected docs/b.md#top docs/zh-CN/a.md#结尾 https://deno.com/, as in docs/a.md:5",
    ],
    [
      "a text that is not translated",
      ["某种东西", "it is some"],
      'docs/zh-CN/a.md:18: found the English text "it is some", expected a Chinese one, as in docs/a.md:19',
    ],
    [
      "a first line without a link",
      ["[English](../a.md)", "英文"],
      'docs/zh-CN/a.md:1: found "英文", expected "[English](../a.md)"',
    ],
  ] as const
) {
  Deno.test(`differences() finds ${what}`, () => {
    assertEquals(differencesWith({ chinese }), expected);
  });
}

Deno.test("differences() finds an English page that does not name its Chinese one", () => {
  assertEquals(differencesWith({ english: ["[中文](zh-CN/a.md)", ""] }), [
    'docs/a.md:1: found "", expected "[中文](zh-CN/a.md)"',
  ]);
});
