/**
 * The tables of docs/control.md, written from the types of the messages and their doc comments.
 *
 * Run by `deno task docs`.
 *
 * @module
 */
import { DocumentedTypes, formatted, propertyText, textOf, typeText } from "./documented_types.ts";
import { tableText, withPart } from "./page_part.ts";

/** The page, from the root. */
export const CONTROL_PAGE = "docs/control.md";

/** The types of all messages. */
export const controlTypes = (): DocumentedTypes =>
  new DocumentedTypes([
    "src/control/messages.ts",
    "src/control/status.ts",
    "src/config/errors.ts",
    "src/config/log_form.ts",
  ]);

/** The types that each part of the page has. */
export const PARTS: Readonly<Record<string, readonly string[]>> = {
  results: [
    "Greeting",
    "Plan",
    "PlanSummary",
    "ChangeOutcome",
    "ScaleOutcome",
    "UnreadyService",
    "Problem",
  ],
  status: [
    "Status",
    "MasterStatus",
    "ServiceStatus",
    "ServiceState",
    "LastExit",
    "ProcessStatus",
    "ProcessState",
    "AwaitedStep",
    "ListenerStatus",
    "ChangeStatus",
    "ReloadStatus",
    "MasterCounters",
    "ServiceCounters",
    "EndReason",
    "DrainCounters",
  ],
  lines: ["LogLine"],
};

/**
 * Puts the tables where the page has room for them.
 *
 * @param page The text of the page.
 * @returns The page with the tables as they are now.
 * @throws {Error} When the page has no such room.
 */
export async function withControl(page: string): Promise<string> {
  const types = controlTypes();
  page = withPart({ page: CONTROL_PAGE, name: "commands" }, page, renderCommands(types));
  for (const [name, names] of Object.entries(PARTS)) {
    const text = names.map((one) => renderType(types, one)).join("\n");
    page = withPart({ page: CONTROL_PAGE, name }, page, text);
  }
  return await formatted(page);
}

function renderCommands(types: DocumentedTypes): string {
  const commands = types.propertiesOf(types.get("Commands").type);
  return tableText([
    ["command", "arguments", "result", "what it does"],
    ...commands.map(({ name, jsDoc, tsType }) => {
      const [args, result] = types.propertiesOf(tsType);
      return [
        `\`${name}\``,
        types.propertiesOf(args.tsType).map((one) => code(propertyText(one))).join(", "),
        code(typeText(result.tsType)),
        cell(textOf(jsDoc)),
      ];
    }),
  ]);
}

/** The section of a type. */
function renderType(types: DocumentedTypes, name: string): string {
  const { doc, type } = types.get(name), properties = types.propertiesOf(type);
  const table = properties.length === 0 ? "" : `\n${
    tableText([
      ["field", "type", "meaning"],
      ...properties.map(({ name, optional, tsType, jsDoc }) => [
        `\`${name}${optional ? "?" : ""}\``,
        code(typeText(tsType)),
        cell(textOf(jsDoc)),
      ]),
    ])
  }`;
  return `### ${name}\n\n${doc}\n${table}`;
}

const code = (text: string): string => `\`${text.replaceAll("|", "\\|")}\``;

const cell = (text: string): string => text.replaceAll("\n", " ").replaceAll("|", "\\|");

if (import.meta.main) {
  Deno.writeTextFileSync(CONTROL_PAGE, await withControl(Deno.readTextFileSync(CONTROL_PAGE)));
}
