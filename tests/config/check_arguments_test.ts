/** Tests of what is said of a command line that means something else than it looks. */
import { assertEquals } from "@std/assert";
import { checkArguments } from "../../src/config/check_arguments.ts";
import { formatProblem } from "../../src/config/errors.ts";

const MASTER = { scope: "master", isOpen: false } as const;
const OPEN_MASTER = { scope: "master", isOpen: true } as const;
const SERVER = { scope: "server", isOpen: true } as const;

/** What is wrong, and what is odd behind `warning: `. */
function told(line: string, whose: Parameters<typeof checkArguments>[1]): string[] {
  const { problems, warnings } = checkArguments(line.split(" ").filter((arg) => arg !== ""), whose);
  return [
    ...problems.map(formatProblem),
    ...warnings.map((warning) => `warning: ${formatProblem(warning)}`),
  ];
}

const VALUE = "two dashes, which are for flags without a value";
const EQUALS = 'a "=" in it, but a value is an argument of its own';
const PLAIN = "no name before it, expected -NAME VALUE or --FLAG, as --help lists them";

/** Command lines of the master, and the whole of what is said. */
const LINES: Readonly<Record<string, readonly string[]>> = {
  "": [],
  "-C conf -pid-file x -log-service a,b,day -server-log syslog,mail --DEBUG": [],
  "-pid-file x --try-lock": [],
  "-sleep 100": [],
  "-debug yes --debug-config -try-lock no --": [],
  "-C -weird -pid-file -": [],
  "-pid-file": [],
  "-C config -pid-file debug": [],
  "--C conf": [`Cannot read argument "--C": ${VALUE}, expected -C DIR`],
  "--C -pid-file x": [`Cannot read argument "--C": ${VALUE}, expected -C DIR`],
  "-C=conf": [`Cannot read argument "-C=conf": ${EQUALS}, expected -C DIR`],
  "--C=conf -pid-file x": [
    `Cannot read argument "--C=conf": ${EQUALS}, expected -C DIR`,
  ],
  "--try-lock=yes": [
    `Cannot read argument "--try-lock=yes": ${EQUALS}, expected --try-lock`,
  ],
  "-try-lock -pid-file x": [
    'Cannot read argument "-try-lock": no yes or no after it, ' +
    "expected --try-lock",
  ],
  "-C --debug": [
    'Cannot read argument "-C": --debug after it, which is no value, expected -C DIR',
  ],
  "conf": [`Cannot read argument "conf": ${PLAIN}`],
  "-C conf more": [`Cannot read argument "more": ${PLAIN}`],
  "-pidfile x -c conf": [
    'Cannot read argument "-pidfile": no argument has this name, ' +
    "expected -pid-file FILE",
    'Cannot read argument "-c": no argument has this name, expected -C DIR',
  ],
  "-server-syslog mail,mailer --master-server-debug": [
    'Cannot read argument "-server-syslog": an argument of LIB-ZC\'s C++ edition, ' +
    "expected -server-log syslog,mail,mailer",
    'Cannot read argument "--master-server-debug": an argument of LIB-ZC\'s C++ edition, ' +
    "expected --DEBUG",
  ],
  "-server-syslog": [
    'Cannot read argument "-server-syslog": an argument of LIB-ZC\'s C++ edition, ' +
    "expected -server-log syslog,FACILITY",
  ],
  "--trylock": [
    'Cannot read argument "--trylock": no argument has this name, ' +
    "expected --try-lock",
  ],
  "-v": ['Cannot read argument "-v": no argument has this name, expected --version'],
  "--verison": [
    'Cannot read argument "--verison": no argument has this name, expected --version',
  ],
  "-server-spare-count 1": [
    'Cannot read argument "-server-spare-count": ' +
    "a setting for a file, expected it in the .cf of a service, or in a .gcf",
  ],
  "-port 80 --verbose": [
    'Cannot read argument "-port": no argument has this name, ' +
    "expected one that --help lists",
    'Cannot read argument "--verbose": no argument has this name, ' +
    "expected one that --help lists",
  ],
  "-server-proc-count 4": [
    'Cannot read argument "-server-proc-count": ' +
    "a setting for a file, expected it in the .cf of a service",
  ],
  "-server-soak 4": [
    'Cannot read argument "-server-soak": ' +
    "a setting for a file, expected it in the .cf of a service, or in a .gcf",
  ],
  "-C conf -config a -config b -C other --debug": [
    'warning: Cannot read argument "-C": it was there before, and the last one counts, ' +
    "expected it once",
  ],
  "--log-output-disable -fork-concurrency 4 -C conf": [
    'warning: Cannot use argument "--log-output-disable": ' +
    "LIB-ZC's, and without effect here, expected no such argument",
    'warning: Cannot use argument "-fork-concurrency": ' +
    "LIB-ZC's, and without effect here, expected no such argument",
  ],
};

for (const [line, expected] of Object.entries(LINES)) {
  Deno.test(`checkArguments() says what is wrong with "master ${line}"`, () => {
    assertEquals(told(line, MASTER), expected);
  });
}

Deno.test("checkArguments() leaves the arguments of a program around the master alone", () => {
  assertEquals(
    told("-services-from x --mark --fail-in=a plain -server-proc-count 4", OPEN_MASTER),
    [],
  );
  assertEquals(told("-pid-fil x", OPEN_MASTER), [
    'warning: Cannot read argument "-pid-fil": no argument has this name, ' +
    "expected -pid-file FILE",
  ]);
  assertEquals(told("-C=conf", OPEN_MASTER), LINES["-C=conf"]);
});

Deno.test("checkArguments() leaves the arguments of a server alone, but for slips in known ones", () => {
  assertEquals(
    told("alone -server-service 0:80 -config x -port 1 --verbose plain -C x", SERVER),
    [],
  );
  assertEquals(told("alone --server-service 0:80", SERVER), [
    'Cannot read argument "--server-service": ' +
    `${VALUE}, expected -server-service LIST`,
  ]);
  assertEquals(told("alone -server-servce 0:80", SERVER), [
    'Cannot read argument "-server-servce": ' +
    "no argument has this name, expected -server-service LIST",
  ]);
  assertEquals(told("alone -exit-afer 5", SERVER), [
    'warning: Cannot read argument "-exit-afer": ' +
    "no argument has this name, expected -exit-after SECONDS",
  ]);
});
