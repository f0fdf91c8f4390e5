/**
 * `doctor`: compares the running processes and the machine with what is right, and gives advice.
 *
 * @module
 */
import { counted, quoteJson, withoutControls } from "../config/errors.ts";
import type { CommandCall } from "./command.ts";
import { EXIT, withMaster } from "./connect.ts";
import { examine, type Finding } from "./doctor_checks.ts";
import { gatherFacts } from "./doctor_facts.ts";
import { showsColour, styled } from "./output.ts";

/** Runs the command. */
export function run(call: CommandCall): Promise<number> {
  return withMaster(call.settings, async (master) => {
    const facts = await gatherFacts(call, await master.request("status"));
    const findings = examine(facts);
    if (call.options.json) console.log(quoteJson({ findings }, 2));
    else {
      for (const one of findings) console.log(textOf(one));
      const { length } = facts.processes;
      console.log(
        `the master, ${counted(length, "ready process", "ready processes")}, ` +
          `${counted(facts.listeners.length, "listener")} and the machine: ` +
          counted(findings.length, "finding"),
      );
    }
    return findings.length === 0 ? EXIT.ok : EXIT.failed;
  }, { onlyReads: true });
}

function textOf({ subject, found, expected, advice, command }: Finding): string {
  const plain = withoutControls(subject);
  const name = showsColour() ? styled(plain, "yellow") : plain;
  const how = command === null ? advice : `${advice}: ${command}`;
  return `${name}${withoutControls(`: found ${found}, expected ${expected}\n  ${how}`)}`;
}
