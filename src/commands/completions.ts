/**
 * `completions`: writes the completions of a shell, from the table of commands.
 *
 * @module
 */
import { cannot } from "../config/errors.ts";
import type { Setting } from "../config/setting.ts";
import { CONFIG, CONFIG_DIR, MASTER_CONTROL, PID_FILE } from "../config/settings.ts";
import { COMMON_OPTIONS } from "./call.ts";
import type { Command, CommandCall, CommandOption } from "./command.ts";
import { EXIT, fail } from "./connect.ts";

const SHELLS: Readonly<Record<string, (commands: readonly Command[]) => string>> = {
  bash,
  fish,
  zsh,
};

/** The master's arguments that every command takes. */
const PLACE: readonly Setting<unknown>[] = [CONFIG_DIR, CONFIG, PID_FILE, MASTER_CONTROL];

/** Runs the command. */
export function run({ operands: [shell], commands }: CommandCall): Promise<number> {
  if (!Object.hasOwn(SHELLS, shell)) {
    const about = { found: "no shell of this name", expected: Object.keys(SHELLS).join(", ") };
    return Promise.resolve(fail(cannot("complete for", shell, about), EXIT.usage));
  }
  console.log(SHELLS[shell](commands).trimEnd());
  return Promise.resolve(EXIT.ok);
}

const optionsOf = ({ options = [] }: Command): readonly CommandOption[] => [
  ...options,
  ...COMMON_OPTIONS,
];

/** The words of a command that begin with a dash. */
function dashed(command: Command): string[] {
  return [
    ...optionsOf(command).flatMap(({ name, short }) =>
      short === undefined ? [`--${name}`] : [`--${name}`, `-${short}`]
    ),
    ...PLACE.map(({ name }) => `-${name}`),
  ];
}

function bash(commands: readonly Command[]): string {
  const cases = commands.map((command) =>
    `    ${command.name}) words="${dashed(command).join(" ")}" ;;`
  );
  return `_zc() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD - 1]}" words=""
  if [[ $COMP_CWORD == 1 ]]; then
    COMPREPLY=($(compgen -W "${commands.map(({ name }) => name).join(" ")} help" -- "$word"))
    return
  fi
  case "$before" in
    -C) COMPREPLY=($(compgen -d -- "$word")); return ;;
    ${
    PLACE.filter((one) => one !== CONFIG_DIR).map(({ name }) => `-${name}`).join("|")
  }) COMPREPLY=($(compgen -f -- "$word")); return ;;
  esac
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
    help) words="${commands.map(({ name }) => name).join(" ")}" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _zc zc
`;
}

function zsh(commands: readonly Command[]): string {
  const described = commands.map(({ name, summary }) => `    '${name}:${quoted(summary)}'`);
  const cases = commands.map((command) => {
    const options = optionsOf(command).flatMap(({ name, short, doc }) => [
      `'--${name}[${quoted(doc)}]'`,
      ...(short === undefined ? [] : [`'-${short}[${quoted(doc)}]'`]),
    ]);
    const place = PLACE.map((setting) => {
      const files = setting === CONFIG_DIR ? "_files -/" : "_files";
      return `'-${setting.name}:${setting.name}:${files}'`;
    });
    return `    ${command.name}) _arguments ${[...options, ...place].join(" ")} ;;`;
  });
  return `#compdef zc
_zc() {
  local -a commands=(
${described.join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case "$words[2]" in
${cases.join("\n")}
  esac
}
compdef _zc zc
`;
}

function fish(commands: readonly Command[]): string {
  const first = "not __fish_seen_subcommand_from " + commands.map(({ name }) => name).join(" ");
  return [
    "complete -c zc -f",
    ...commands.map(({ name, summary }) =>
      `complete -c zc -n '${first}' -a ${name} -d '${quoted(summary)}'`
    ),
    ...commands.flatMap((command) =>
      optionsOf(command).map(({ name, short, doc }) =>
        `complete -c zc -n '__fish_seen_subcommand_from ${command.name}' -l ${name}` +
        `${short === undefined ? "" : ` -s ${short}`} -d '${quoted(doc)}'`
      )
    ),
    ...PLACE.map(({ name, doc }) =>
      `complete -c zc -o ${name} -r -F -d '${quoted(doc.split(/[.:] /)[0])}'`
    ),
    "",
  ].join("\n");
}

/** A text within single quotes, without the characters that end a description. */
function quoted(text: string): string {
  return text.replaceAll("'", "").replace(/[[\]:]/g, " ");
}
