import { assertEquals } from "@std/assert";
import {
  chooseOwnServer,
  isServerName,
  METRICS_SERVER,
  ownServerArgument,
  splitOwnServer,
} from "../../src/config/own_server.ts";

Deno.test("splitOwnServer() takes the name from the first argument alone", () => {
  const given = ownServerArgument("web");
  assertEquals(splitOwnServer([given, "-x", "1", "MASTER"]), {
    ...{ name: "web", given, args: ["-x", "1", "MASTER"] },
  });
  for (const args of [[], ["MASTER", given], ["-x", given], ["web"], ["--zc-server", "web"]]) {
    assertEquals(splitOwnServer(args), { args });
  }
});

Deno.test("splitOwnServer() finds the name behind arguments of deno compile, and leaves those of the server", () => {
  const given = ownServerArgument("web"), other = ownServerArgument("mail");
  assertEquals(splitOwnServer(["-C", "/etc/app", given, other, "MASTER"], true), {
    ...{ name: "web", given, args: [other, "MASTER"] },
  });
  assertEquals(splitOwnServer(["-C", "/etc/app"], true), { args: ["-C", "/etc/app"] });
});

Deno.test("splitOwnServer() takes a plain word only once it was chosen, and only in front", () => {
  assertEquals(splitOwnServer(["chosen", "alone"]), { args: ["chosen", "alone"] });
  chooseOwnServer("chosen");
  assertEquals(splitOwnServer(["chosen", "alone"]), {
    ...{ name: "chosen", given: "chosen", args: ["alone"] },
  });
  assertEquals(splitOwnServer(["alone", "chosen"]), { args: ["alone", "chosen"] });
});

Deno.test("selfName() tells the name of a server of the program, and not that of the built-in one", async () => {
  const module = new URL("../../src/config/own_server.ts", import.meta.url).href;
  const code = `import { selfName } from "${module}"; console.log(selfName());`;
  const told = async (...args: string[]) => {
    const command = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--no-lock", code, ...args],
      stderr: "null",
    });
    return new TextDecoder().decode((await command.output()).stdout).trim();
  };
  assertEquals(await told(ownServerArgument("web"), "MASTER"), "web");
  assertEquals(await told(ownServerArgument(METRICS_SERVER), "MASTER"), "undefined");
  assertEquals(await told("-C", "conf"), "undefined");
});

Deno.test("isServerName() accepts plain names, and none that an option or a built-in server could have", () => {
  for (const name of ["web", "Web_1", "a.b-c", "1"]) assertEquals(isServerName(name), true, name);
  for (const name of ["", "-x", "--x", "@metrics", "a b", "a/b", ".", "a=b", "a\n"]) {
    assertEquals(isServerName(name), false, name);
  }
});
