/**
 * The table of all commands. Help, completions and the dispatch of calls follow from it.
 *
 * @module
 */
import { EX_CONFIG } from "../config/errors.ts";
import type { Command, CommandOption } from "./command.ts";

const NO_WAIT: CommandOption = {
  name: "no-wait",
  doc: "Return as soon as the master has the request.",
};
const JSON_OUTPUT: CommandOption = {
  name: "json",
  doc: "Write JSON, whose fields docs/control.md describes.",
};

const NOT_RUNNING = [3, "no master runs"] as const;
const WRONG = [64, "the command line is wrong"] as const;
const UNREADABLE = [EX_CONFIG, "the settings of the master can't be read"] as const;

const CHANGE_EXITS: Command["exits"] = [
  [0, "all processes are ready, or, with --no-wait, the master has the request"],
  [1, "a service was rolled back"],
  [2, "the request or the configuration was refused, nothing has changed"],
  NOT_RUNNING,
  WRONG,
  UNREADABLE,
];

/** All commands, in the order of the help. */
export const COMMANDS: readonly Command[] = [
  {
    name: "start",
    summary: "Start a master, or services that were stopped",
    details: "Without a service it starts a master: in the foreground, or with --daemon in the " +
      "background. Then it returns when every service is ready, or ends everything and says why.",
    operands: "[SERVICE...]",
    options: [
      { name: "foreground", doc: "Run the master in the foreground (default)." },
      { name: "daemon", doc: "Run the master in the background, once all services are ready." },
    ],
    exits: [
      [0, "all services are ready"],
      [1, "a service did not become ready, or the master could not start"],
      [2, "the request was refused"],
      NOT_RUNNING,
      WRONG,
      [EX_CONFIG, "the configuration has problems"],
    ],
    load: () => import("./start.ts"),
  },
  {
    name: "stop",
    summary: "Stop the master, or services until the next reload",
    details: "It waits, and tells every few seconds which processes it waits for.",
    operands: "[SERVICE...]",
    options: [NO_WAIT],
    exits: [
      [0, "stopped, or, with --no-wait, the master has the request"],
      [1, "a service could not be removed"],
      [2, "the request was refused"],
      NOT_RUNNING,
      WRONG,
      UNREADABLE,
    ],
    load: () => import("./stop.ts"),
  },
  {
    name: "restart",
    summary: "Stop and start the master, or replace the processes of services",
    details: "The processes of a service are replaced one generation by the next: the old ones " +
      "serve until the new ones are ready. The master itself is only stopped if its configuration " +
      "has no problems, and starts in the background.",
    operands: "[SERVICE...]",
    exits: [
      [0, "all services are ready"],
      [1, "a service was rolled back, or the new master did not become ready and is stopped"],
      [2, "the request was refused, nothing has changed"],
      NOT_RUNNING,
      WRONG,
      [EX_CONFIG, "the configuration has problems, nothing has changed"],
    ],
    load: () => import("./restart.ts"),
  },
  {
    name: "reload",
    summary: "Read the configuration again, and replace the processes",
    details:
      "It waits for the outcome. With services, only these take their new settings; a problem in " +
      "the file of another one refuses the reload as well.",
    operands: "[SERVICE...]",
    options: [NO_WAIT],
    exits: CHANGE_EXITS,
    load: () => import("./reload.ts"),
  },
  {
    name: "upgrade",
    summary: "Replace the master itself by a new one",
    details:
      "The new master has the present program and configuration. It waits for the outcome, and " +
      "after a failure shows the problems of the configuration.",
    exits: [
      [0, "the new master serves"],
      [1, "the new master did not become ready, the old one serves on"],
      [2, "the request was refused"],
      NOT_RUNNING,
      WRONG,
      UNREADABLE,
    ],
    load: () => import("./upgrade.ts"),
  },
  {
    name: "status",
    summary: "Show the services, their processes and their addresses",
    operands: "[SERVICE]",
    count: [0, 1],
    options: [
      { name: "watch", short: "w", doc: "Show it again every second, in place." },
      JSON_OUTPUT,
    ],
    exits: [
      [0, "the services are ready"],
      [2, "no service has this name"],
      NOT_RUNNING,
      [4, "a service is not ready"],
      WRONG,
      UNREADABLE,
    ],
    load: () => import("./status.ts"),
  },
  {
    name: "check",
    summary: "Look for problems in the configuration, without a change",
    details:
      "It reads the files as a start or reload would; without -C, those of the directory of " +
      "the running master, which is not touched.",
    count: [0, 0],
    options: [
      { name: "strict", doc: "Count warnings as problems." },
      JSON_OUTPUT,
    ],
    exits: [
      [0, "no problems"],
      [1, "problems"],
      [64, "the command line is wrong, or it has no -C and no master runs"],
    ],
    load: () => import("./check.ts"),
  },
  {
    name: "plan",
    summary: "Show what a reload would change now",
    count: [0, 0],
    options: [JSON_OUTPUT],
    exits: [
      [0, "shown"],
      [2, "a reload would be refused"],
      NOT_RUNNING,
      WRONG,
      UNREADABLE,
    ],
    load: () => import("./plan.ts"),
  },
  {
    name: "logs",
    summary: "Show the last lines of the log, and what the servers have printed",
    details: "With a service they are what it has printed, and the lines of the master about it. " +
      "The master keeps the last 1,000 lines of itself and of each service, 262,144 characters at most. " +
      "Older ones are where the master logs to, and in the files of server-output-file.",
    operands: "[SERVICE]",
    count: [0, 1],
    options: [
      { name: "follow", short: "f", doc: "Show further lines as they come, over upgrades." },
      { name: "lines", short: "n", value: "N", doc: "Begin with the last N lines (default 100)." },
      JSON_OUTPUT,
    ],
    exits: [
      [0, "shown"],
      [2, "no service has this name"],
      [3, "no master runs, or with --follow it has ended"],
      WRONG,
      UNREADABLE,
    ],
    load: () => import("./logs.ts"),
  },
  {
    name: "scale",
    summary: "Set the number of processes of a service until the next reload",
    details: "It waits until the processes are ready.",
    operands: "SERVICE N",
    count: [2, 2],
    options: [NO_WAIT],
    exits: [
      [0, "all processes are ready, or, with --no-wait, the master has the request"],
      [1, "processes do not become ready; further ones are started all the same"],
      [2, "the request was refused"],
      NOT_RUNNING,
      WRONG,
      UNREADABLE,
    ],
    load: () => import("./scale.ts"),
  },
  {
    name: "doctor",
    summary: "Compare processes and machine with what is right, and give advice",
    details: "It looks at services that have failed, at descriptors, user, limits and " +
      "permissions of each ready process, at settings files that were changed, and at the " +
      "machine. It changes nothing.",
    count: [0, 0],
    options: [JSON_OUTPUT],
    exits: [[0, "all is well"], [1, "findings"], NOT_RUNNING, WRONG, UNREADABLE],
    load: () => import("./doctor.ts"),
  },
  {
    name: "init",
    summary: "Write a first project into an empty folder, or settings for the program in it",
    details: "In an empty folder: a service, a test, and tasks for the commands: then deno task " +
      "start works. Beside a program with a start task (deno.json, package.json), or a main.ts " +
      "that serves: conf/web.cf, which runs it unchanged in two processes.",
    count: [0, 0],
    exits: [[0, "written"], [1, "the folder has other files, and no such program"], WRONG],
    load: () => import("./init.ts"),
  },
  {
    name: "completions",
    summary: "Write the completions of a shell: bash, fish or zsh",
    details: 'For bash: eval "$(zc completions bash)" in ~/.bashrc.',
    operands: "SHELL",
    count: [1, 1],
    exits: [[0, "written"], WRONG],
    load: () => import("./completions.ts"),
  },
];
