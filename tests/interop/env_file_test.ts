/** `server-env-file` in a directory of the service's user, who wants to read or stop what is root's. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { mayChangeUser } from "../../src/os/user/credentials.ts";
import { greeted } from "../support/client.ts";
import { id } from "../support/credentials.ts";
import { installationFor } from "../support/installation.ts";
import { giveLinkAway } from "../support/privileges.ts";
import { Site } from "../support/master.ts";

const IS_ROOT = mayChangeUser();
/** The user of the service: another one, if the tests may change to it. */
const USER = IS_ROOT ? "nobody" : id("-un");

Deno.test("server-env-file: its owner can neither read another file of root's by it, nor stop the master, at check, start and reload", async () => {
  await using site = new Site(installationFor(USER));
  const port = site.port(), file = site.dir.write("env", "A=first\n");
  const secret = site.dir.write("secret", "A=of-another-service\n");
  Deno.chmodSync(secret, 0o600);
  site.serve("a.cf", {
    ...{ mode: "coroutine", service: port },
    ...{ "server-user": USER, "server-env-file": file },
  });
  const master = await site.start();
  const refuses = async (what: string) => {
    const found = `Cannot read file of variables "${file}": ${what}`;
    assertStringIncludes(await master.reloadRefused(), found);
    const { code, stderr } = await site.run(["check", "-C", site.conf]).ended();
    assertEquals(code, 1);
    assertStringIncludes(stderr, found);
    using client = await greeted(port);
    assertEquals(await client.ask("env A"), "first");
    client.close();
  };

  Deno.removeSync(file);
  assert(new Deno.Command("mkfifo", { args: [file] }).outputSync().success);
  await refuses("not a file");

  Deno.removeSync(file);
  Deno.writeTextFileSync(file, "");
  Deno.truncateSync(file, 2 ** 40);
  await refuses("too large, expected at most 245760 bytes");

  Deno.removeSync(file);
  Deno.symlinkSync("secret", file);
  if (IS_ROOT) {
    giveLinkAway(file);
    await refuses('"env" in it is a link of user 65534, which is not followed');
  }
  await master.stop();
  assert(!master.log.includes("of-another-service"), master.log);
});
