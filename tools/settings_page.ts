/**
 * Writes docs/settings.md and docs/zh-CN/settings.md from the records of the settings.
 *
 * The English texts are here and in the records, the Chinese ones in `settings_zh.ts`.
 *
 * @module
 */
import { aliasesOf } from "../src/config/aliases.ts";
import type { Setting, SettingGroup, SettingScope } from "../src/config/setting.ts";
import { ALL_SETTINGS } from "../src/config/settings.ts";
import { tableText } from "./page_part.ts";
import { CHINESE } from "./settings_zh.ts";

/** The texts of the page in one language. */
export interface PageTexts {
  /** The page, from the root. */
  readonly page: string;
  /** The line on top, which links to the page in the other language. */
  readonly link: string;
  readonly title: string;
  /** The paragraphs before the first section. */
  readonly introduction: string;
  readonly sections: Readonly<Record<SettingGroup, SectionTexts>>;
  /** The last section: its paragraph is before the example, its rules are behind it. */
  readonly iniFiles: SectionTexts & { readonly rules: string };
  readonly columns: readonly string[];
  readonly places: Readonly<Record<SettingScope, string>>;
  readonly notInGcf: string;
  /** The form of a value. */
  readonly value: (setting: Setting<unknown>) => string;
  readonly meaning: (setting: Setting<unknown>) => string;
  /** The sentence with the other names of a setting. */
  readonly alias: (name: string) => string;
  /** What stands between two sentences. */
  readonly space: string;
  /** What stands between two items of a list. */
  readonly comma: string;
}

/** The texts of a section in one language. */
export interface SectionTexts {
  readonly title: string;
  readonly purpose: string;
}

const INI_EXAMPLE = `; services.ini, for: deno run -A jsr:@zc/master/master -config services.ini
pid-file = /run/hello.pid
server-log = syslog,daemon

[hello]
server-command = hello.ts
server-service = hello://0:8800
server-proc-count = 4

[admin]
server-command = admin.ts
server-service = 127.0.0.1:8801
server-log = stdout
`;

/** The example of each section, a settings file whose name is in its first line, in the order of the page. */
export const EXAMPLES: Readonly<Record<SettingGroup, string>> = {
  processes: `# conf/hello.cf: 4 processes, down to 1 after a quiet hour, and 1 standby process
server-command = hello.ts
server-service = hello://0:8800
server-proc-count = 4
server-proc-min = 1
server-idle-exit = 1h
server-standby-count = 1
`,
  sockets:
    `# conf/hello.cf: a port with a queue for each process, and a unix socket for the group www
server-command = hello.ts
server-service = hello://0:8800, hello-local://./hello.sock
server-proc-count = 4
server-balance = reuseport
server-socket-mode = 0660
server-socket-owner = :www
`,
  reload: `# conf/hello.cf: one process after the other, undone if a new one ends within 10 s
server-command = hello.ts
server-service = hello://0:8800
server-proc-count = 4
server-reload-step = 1
server-ready-timeout = 20s
server-soak = 10s
server-drain-timeout = 1m
`,
  supervision: `# conf/hello.cf: at most 5 starts a minute in one slot; a new process each day
server-command = hello.ts
server-service = hello://0:8800
server-start-limit = 5/1m
server-watchdog = 30s
server-max-age = 1d
server-max-memory = 512m
`,
  logs: `# conf/hello.cf: to syslog, only what has failed or is not as it should be
server-command = hello.ts
server-service = hello://0:8800
server-log = syslog,daemon,hello
log-level = warn
`,
  privileges: `# conf/hello.cf: as the user www, with access to one directory only
server-command = hello.ts
server-service = hello://0:80
server-user = www
server-permissions = --allow-read=/srv/www
`,
  master: `# conf/master.gcf
pid-file = /run/hello.pid
master-stop-timeout = 1m
`,
  process: `# conf/report.cf: a server that is replaced each day, without core files
server-command = report.ts
server-service = report://127.0.0.1:8810
core-file-size = 0
exit-after = 1d
`,
};

const ENGLISH: PageTexts = {
  page: "docs/settings.md",
  link: "[中文](zh-CN/settings.md)",
  title: "Settings",
  introduction:
    `A setting is one line \`key = value\` in a file, or \`-key value\` on a command line (\`--key\` for a
yes). The same key can be set in several places. A \`.cf\` file of a service overrides the shared
\`*.gcf\` files, and a command line overrides both. In one file the last line of a key counts, but for
\`server-env\`, whose lines add up. An alias is another name of the same key.

In place of a directory of \`.cf\` files, or beside it, a master takes an INI file with a section for
each service: \`-config services.ini\`. See [INI files](#ini-files).

"Read by" says where a setting has an effect: in the \`.cf\` file of a service, in \`*.gcf\` for all
services, in the process of the master, or in the process of a server.

This page is written by \`deno task docs\` from the records in \`src/config/settings.ts\`.`,
  sections: {
    processes: {
      title: "Processes",
      purpose: "Which program is started, and how many processes of it run.",
    },
    sockets: {
      title: "Sockets",
      purpose: "Where a service listens, who may connect, and how its processes get the sockets.",
    },
    reload: {
      title: "Reload, stop and upgrade",
      purpose: "How new processes replace old ones, and how long old ones may drain.",
    },
    supervision: {
      title: "Supervision",
      purpose:
        "When a process is started again, ended because it hangs, or replaced because of its " +
        "age or use.",
    },
    logs: { title: "Logs", purpose: "Where log lines are written, and how detailed they are." },
    privileges: {
      title: "Privileges",
      purpose: "Which user a process runs as, and what it may do.",
    },
    master: {
      title: "Master",
      purpose:
        "The master itself: its directory, its lock, and its end. `-C` is given on the command line.",
    },
    process: {
      title: "Any process",
      purpose: "What a master or a server reads and does at its own start.",
    },
  },
  iniFiles: {
    title: "INI files",
    purpose: "A master takes a file whose name ends in `.ini` as an INI file.",
    rules:
      `- A section has the settings that a \`.cf\` file has. Its name is the name of the service in messages,
  in place of the file's name.
- The settings before the first section are those of the master, and those of all sections which do
  not set them. They override the \`*.gcf\` files. \`run-user\`, \`run-chroot\`, \`run-chdir\`, \`max-memory\`
  and \`core-file-size\` are the master's only.
- A line that begins with \`;\`, \`#\` or \`//\` is a comment. A value is what follows the first \`=\`, as
  in a \`.cf\` file: quotes and a \`;\` are part of it.
- A line that is nothing of this, and a second section of the same name, are mistakes. The master
  does not start then, and a reload changes nothing.
- A reload reads the file again. The processes do not read it: the master sends them their settings.
  A program of LIB-ZC gets them as arguments, which every user of the machine can read.
`,
  },
  columns: ["Setting", "Read by", "Value", "Default", "Meaning"],
  places: { service: "`.cf`", master: "master", server: "server" },
  notInGcf: " (not in `.gcf`)",
  value: ({ kind }) => kind.expected,
  meaning: ({ doc }) => doc,
  alias: (name) => `Alias: ${name}.`,
  space: " ",
  comma: ", ",
};

/** The texts by language. */
export const LANGUAGES = { en: ENGLISH, zh: CHINESE } as const;

/** The whole page in one language. */
export function renderSettingsPage(texts: PageTexts): string {
  const sections = Object.entries(EXAMPLES).map(([group, example]) => {
    const { title, purpose } = texts.sections[group as SettingGroup];
    const settings = ALL_SETTINGS.filter((setting) => setting.group === group);
    return `## ${title}

${purpose}

${iniBlock(example)}
${renderSettingsTable(settings, texts)}`;
  });
  return `${texts.link}

# ${texts.title}

${texts.introduction}

${sections.join("\n")}
## ${texts.iniFiles.title}

${texts.iniFiles.purpose}

${iniBlock(INI_EXAMPLE)}
${texts.iniFiles.rules}`;
}

function iniBlock(text: string): string {
  return `\`\`\`ini\n${text}\`\`\`\n`;
}

/** A table of settings, sorted by name. */
function renderSettingsTable(settings: readonly Setting<unknown>[], texts: PageTexts): string {
  const rows = settings.toSorted((a, b) => a.name < b.name ? -1 : 1).map((setting) => [
    `\`${setting.name}\``,
    [
      ...setting.scopes.map((scope) => placeOf(scope, setting, texts)),
      ...setting.inherited ? ["`.gcf`"] : [],
    ].join(texts.comma),
    texts.value(setting),
    setting.fallback === undefined ? "" : `\`${setting.fallback}\``,
    [
      texts.meaning(setting),
      ...aliasesOf(setting.name).map((alias) => texts.alias(`\`${alias}\``)),
    ].join(texts.space),
  ]);
  return tableText([texts.columns, ...rows]);
}

function placeOf(
  scope: SettingScope,
  { notInGcf = [] }: Setting<unknown>,
  { places, notInGcf: remark }: PageTexts,
): string {
  return notInGcf.includes(scope) ? places[scope] + remark : places[scope];
}

if (import.meta.main) {
  for (const texts of Object.values(LANGUAGES)) {
    Deno.writeTextFileSync(texts.page, renderSettingsPage(texts));
  }
}
