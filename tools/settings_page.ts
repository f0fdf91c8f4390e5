/**
 * Writes docs/settings.md from the records of the settings.
 *
 * @module
 */
import { renderSettingsReference } from "../src/config/reference.ts";

/** The page's path from the root of the project. */
export const SETTINGS_PAGE = "docs/settings.md";

/** The whole page. */
export function renderSettingsPage(): string {
  return `# Settings

One \`key = value\` a line, in the \`*.cf\` of a service, in the \`*.gcf\` that all share, or as
\`-key value\` on a command line, the later winning in this order. This page is written by
\`deno task docs\` from the records in \`src/config/settings.ts\`.

${renderSettingsReference()}`;
}

if (import.meta.main) Deno.writeTextFileSync(SETTINGS_PAGE, renderSettingsPage());
