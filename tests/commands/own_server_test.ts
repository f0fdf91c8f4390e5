import { assertEquals, assertThrows } from "@std/assert";
import { checkOwnServers, noOwnServer, ownServer } from "../../src/commands/own_server.ts";
import { renderProgramHelp } from "../../src/commands/help.ts";
import { ConfigError } from "../../src/config/errors.ts";

const main = () => 0;

Deno.test("checkOwnServers() accepts functions with plain names", () => {
  checkOwnServers({}, ["status"]);
  checkOwnServers({ servers: {} }, ["status"]);
  checkOwnServers({ servers: { web: main, "a.b-1": main } }, ["status"]);
});

Deno.test("checkOwnServers() tells every name and every value that it can't use", () => {
  const servers = { status: main, help: main, "@metrics": main, web: "web" as never, mail: main };
  const { problems } = assertThrows(() => checkOwnServers({ servers }, ["status"]), ConfigError);
  assertEquals(problems.map(({ message }) => message).sort(), [
    'Cannot use server "@metrics": another character, expected letters, digits, ., _ and -',
    'Cannot use server "help": a command has this name, expected another name',
    'Cannot use server "status": a command has this name, expected another name',
    'Cannot use server "web": string, expected a function',
  ]);
});

Deno.test("ownServer() finds no property that every object has", () => {
  assertEquals(ownServer({ servers: { web: main } }, "web"), main);
  for (const name of ["toString", "constructor", "__proto__"]) {
    assertEquals(ownServer({ servers: { web: main } }, name), undefined);
  }
});

Deno.test("noOwnServer() names the nearest server, all of them, or what is missing", () => {
  const found = "no server of this program has this name, expected";
  const hooks = { servers: { web: main, mail: main } };
  assertEquals(noOwnServer(hooks, "wbe"), `Cannot start server "wbe": ${found} web`);
  assertEquals(noOwnServer(hooks, "other"), `Cannot start server "other": ${found} web, mail`);
  assertEquals(
    noOwnServer({}, "web"),
    `Cannot start server "web": ${found} a call of masterServerMain with this server in servers`,
  );
});

Deno.test("the help of a program lists its servers, if it has any", () => {
  const title = "Servers of this program";
  assertEquals(renderProgramHelp().includes(title), false);
  assertEquals(renderProgramHelp(["web"]).includes("  web alone -server-service LIST"), true);
});
