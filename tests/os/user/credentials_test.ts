import { assertEquals } from "@std/assert";
import { installationFor } from "../../support/installation.ts";

const IS_ROOT = Deno.uid() === 0;
const NOBODY = 65534;

Deno.test("a process with capabilities that is not root's changes to no other user: it would keep them", () => {
  const { deno, denoDir, root } = installationFor("nobody");
  const module = `file://${root}src/os/user/credentials.ts`;
  const code = `
    const { enter, mayChangeUser } = await import(${JSON.stringify(module)});
    console.log(mayChangeUser());
    try {
      enter({ uid: 1, gid: ${NOBODY}, groups: [] }, undefined);
    } catch (error) {
      console.log(error.message);
    }
    console.log(Deno.uid());
  `;
  const flags = ["inh", "ambient"].map((set) => `--${set}-caps=+setuid,+setgid`);
  const become = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", ...flags];
  // Without root it has no capability, and is another user than the one that it is to become.
  const words = [...(IS_ROOT ? ["setpriv", ...become] : []), deno, "eval", "--no-lock", code];
  const { stdout, stderr } = new Deno.Command(words[0], {
    args: words.slice(1),
    env: { DENO_DIR: denoDir },
  }).outputSync();
  const [may, why, uid] = new TextDecoder().decode(stdout).trimEnd().split("\n");
  const refusal =
    'setuid "1": not permitted to a user other than root, whose capabilities would stay';
  const expected = IS_ROOT
    ? ["false", `${refusal} (EPERM)`, `${NOBODY}`]
    : ["false", why, `${Deno.uid()}`];
  assertEquals([may, why, uid], expected, new TextDecoder().decode(stderr));
});
