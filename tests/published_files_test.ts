import { assertEquals } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import manifest from "../deno.json" with { type: "json" };

const ROOT = new URL("..", import.meta.url);

/** What `deno publish` leaves out of the package: other members of the workspace, and what no tool is to look at. */
const LEFT_OUT = [
  ...manifest.workspace.map((member) => `${member.replace("./", "")}/`),
  ...manifest.exclude,
];

/** Whether a file is in the published package. */
function isPublished(path: string): boolean {
  if (LEFT_OUT.some((folder) => path.startsWith(folder))) return false;
  const isIncluded = manifest.publish.include.some((name) =>
    name.endsWith("/") ? path.startsWith(name) : path === name
  );
  return isIncluded && existsSync(new URL(path, ROOT));
}

for (
  const page of ["README.md", "README.zh-CN.md", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md"]
) {
  Deno.test(`the links in ${page} lead to published files or to other sites`, () => {
    const text = Deno.readTextFileSync(new URL(page, ROOT));
    const links = text.matchAll(/(?:\]\(|\bsrc(?:set)?=")([^)"\s]+)/g)
      .map(([, link]) => link.replace(/#.*/, ""));
    const own = [...links].filter((link) => link !== "" && !link.startsWith("https://"));
    assertEquals(own.filter((link) => !isPublished(link)), []);
  });
}
