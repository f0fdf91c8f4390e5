/**
 * Writes docs/settings.md from the records of the settings.
 *
 * @module
 */
import { renderSettingsTable } from "../src/config/reference.ts";
import { ALL_SETTINGS, type SettingGroup } from "../src/config/settings.ts";

/** The page's path from the root of the project. */
export const SETTINGS_PAGE = "docs/settings.md";

/** A section of the page. */
interface Section {
  readonly title: string;
  readonly purpose: string;
  /** A settings file; its name is in the first line. */
  readonly example: string;
}

/** The end of the page. */
const INI_FILES = `## INI files

A master takes a file whose name ends in \`.ini\` as an INI file.

\`\`\`ini
; services.ini, for: deno run -A jsr:@zc/master/master -config services.ini
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
\`\`\`

- A section has the settings that a \`.cf\` file has. Its name is the name of the service in messages,
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
`;

/** The sections, in the order of the page. */
export const SECTIONS: Readonly<Record<SettingGroup, Section>> = {
  processes: {
    title: "Processes",
    purpose: "Which program is started, and how many processes of it run.",
    example: `# conf/hello.cf: 4 processes, down to 1 after a quiet hour, and 1 standby process
server-command = hello.ts
server-service = hello://0:8800
server-proc-count = 4
server-proc-min = 1
server-idle-exit = 1h
server-standby-count = 1
`,
  },
  sockets: {
    title: "Sockets",
    purpose: "Where a service listens, who may connect, and how its processes get the sockets.",
    example:
      `# conf/hello.cf: a port with a queue for each process, and a unix socket for the group www
server-command = hello.ts
server-service = hello://0:8800, hello-local://./hello.sock
server-proc-count = 4
server-balance = reuseport
server-socket-mode = 0660
server-socket-owner = :www
`,
  },
  reload: {
    title: "Reload, stop and upgrade",
    purpose: "How new processes replace old ones, and how long old ones may drain.",
    example: `# conf/hello.cf: one process after the other, undone if a new one ends within 10 s
server-command = hello.ts
server-service = hello://0:8800
server-proc-count = 4
server-reload-step = 1
server-ready-timeout = 20s
server-soak = 10s
server-stop-on-softstop-after = 1m
`,
  },
  supervision: {
    title: "Supervision",
    purpose:
      "When a process is started again, ended because it hangs, or replaced because of its " +
      "age or use.",
    example: `# conf/hello.cf: at most 5 starts a minute in one slot; a new process each day
server-command = hello.ts
server-service = hello://0:8800
server-start-limit = 5/1m
server-watchdog = 30s
server-max-age = 1d
server-max-memory = 512m
`,
  },
  logs: {
    title: "Logs",
    purpose: "Where log lines are written, and how detailed they are.",
    example: `# conf/hello.cf: to syslog, only what has failed or is not as it should be
server-command = hello.ts
server-service = hello://0:8800
server-log = syslog,daemon,hello
log-level = warn
`,
  },
  privileges: {
    title: "Privileges",
    purpose: "Which user a process runs as, and what it may do.",
    example: `# conf/hello.cf: as the user www, with access to one directory only
server-command = hello.ts
server-service = hello://0:80
server-user = www
server-permissions = --allow-read=/srv/www
`,
  },
  master: {
    title: "Master",
    purpose:
      "The master itself: its directory, its lock, and its end. `-C` is given on the command line.",
    example: `# conf/master.gcf
pid-file = /run/hello.pid
master-stop-timeout = 1m
`,
  },
  process: {
    title: "Any process",
    purpose: "What a master or a server reads and does at its own start.",
    example: `# conf/report.cf: a server that is replaced each day, without core files
server-command = report.ts
server-service = report://127.0.0.1:8810
core-file-size = 0
exit-after = 1d
`,
  },
};

/** The whole page. */
export function renderSettingsPage(): string {
  const sections = Object.entries(SECTIONS).map(([group, { title, purpose, example }]) =>
    `## ${title}

${purpose}

\`\`\`ini
${example}\`\`\`

${renderSettingsTable(ALL_SETTINGS.filter((setting) => setting.group === group))}`
  );
  return `# Settings

A setting is one line \`key = value\` in a file, or \`-key value\` on a command line (\`--key\` for a
yes). The same key can be set in several places. A \`.cf\` file of a service overrides the shared
\`*.gcf\` files, and a command line overrides both. In one file the last line of a key counts, but for
\`server-env\`, whose lines add up. An alias is another name of the same key.

In place of a directory of \`.cf\` files, or beside it, a master takes an INI file with a section for
each service: \`-config services.ini\`. See [INI files](#ini-files).

"Read by" says where a setting has an effect: in the \`.cf\` file of a service, in \`*.gcf\` for all
services, in the process of the master, or in the process of a server.

This page is written by \`deno task docs\` from the records in \`src/config/settings.ts\`.

${sections.join("\n")}
${INI_FILES}`;
}

if (import.meta.main) Deno.writeTextFileSync(SETTINGS_PAGE, renderSettingsPage());
