import { assertEquals } from "@std/assert";
import { existsSync } from "@std/fs/exists";
import { Config } from "../../../src/config/config.ts";
import { closeLog } from "../../../src/log/log.ts";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { openStandaloneServices } from "../../../src/server/runtime/standalone.ts";
import { leavesNothingOpen } from "../../support/descriptors.ts";
import { TempDir } from "../../support/temp.ts";

Deno.test("openStandaloneServices().close() removes the other socket files where one can't be removed", async () => {
  await leavesNothingOpen(() => {
    using dir = new TempDir();
    const directory = dir.file("run"), other = dir.file("other");
    Deno.mkdirSync(directory);
    const config = new Config();
    config.set("server-service", `${directory}/socket, ${other}`);
    const { services, close } = openStandaloneServices(config);
    Deno.renameSync(directory, dir.file("moved"));
    // A link to itself.
    Deno.symlinkSync(directory, directory);
    close();
    assertEquals(existsSync(other), false);
    for (const { fd } of services) closeFd(fd);
    closeLog();
  });
});
