import { assertEquals, assertThrows } from "@std/assert";
import { serverArguments, settingArguments } from "../../../src/master/services/server_argv.ts";
import { fakeLookup } from "../../fakes/fake_lookup.ts";
import { configOf } from "../service_configs.ts";

const place = { cwd: "/srv", lookup: fakeLookup({}) };

Deno.test("serverArguments() of a service of a file are LIB-ZC's, byte for byte", () => {
  const service = configOf("aio.cf", {
    file: "etc/aio.cf",
    addresses: "0:143, ssl://0:993, local:/run/aio",
    settings: { abc: "xxx" },
  });
  assertEquals(
    serverArguments(service, { ...place, configPath: "etc" }).join(" "),
    "MASTER -server-config-path etc -config etc/aio.cf -server-service :i5,ssl:i6,:u7",
  );
});

Deno.test("serverArguments() name each listener by service, type and address", () => {
  const service = configOf("x", { addresses: "a://0:1 b://fifo:/f c://local:/u [::1]:2" });
  assertEquals(serverArguments(service, place).slice(0, 3), [
    "MASTER",
    "-server-service",
    "a:i5,b:f6,c:u7,:i8",
  ]);
});

Deno.test("serverArguments() hold no setting, and settingArguments() all but the master's own", () => {
  const settings = { abc: "x y", "server-log": "stdout", empty: "", "master-chroot": "/" };
  const service = configOf("hook:1", { addresses: "0:143", procCount: 3, settings });
  assertEquals(serverArguments(service, { ...place, configPath: "etc" }), [
    ...["MASTER", "-server-config-path", "/srv/etc", "-server-service", ":i5"],
  ]);
  assertEquals(settingArguments(service), [
    ...["-abc", "x y", "-server-log", "stdout", "-empty", ""],
  ]);
  const ofFile = configOf("a.cf", { file: "etc/a.cf", settings: { abc: "x" } });
  assertEquals(settingArguments(ofFile), []);
});

Deno.test("serverArguments() make paths absolute for a server that changes its directory", () => {
  const service = configOf("x.cf", {
    file: "etc/x.cf",
    addresses: "0:143",
    settings: { "master-chdir": "/var" },
  });
  assertEquals(serverArguments(service, { ...place, configPath: "etc" }), [
    "MASTER",
    "-server-config-path",
    "/srv/etc",
    "-config",
    "/srv/etc/x.cf",
    "-server-service",
    ":i5",
  ]);
});

Deno.test("serverArguments() make paths relative to the new root of a server", () => {
  const service = configOf("x.cf", {
    file: "etc/x.cf",
    addresses: "0:143",
    settings: { "master-chroot": "." },
  });
  assertEquals(serverArguments(service, { ...place, configPath: "etc" }), [
    "MASTER",
    "-server-config-path",
    "/etc",
    "-config",
    "/etc/x.cf",
    "-server-service",
    ":i5",
  ]);
});

Deno.test("serverArguments() keep paths as they are for a server whose new root is /", () => {
  const service = configOf("x.cf", { file: "/etc/x.cf", settings: { "master-chroot": "/" } });
  assertEquals(serverArguments(service, place).slice(0, 3), ["MASTER", "-config", "/etc/x.cf"]);
});

Deno.test("serverArguments() call a settings directory that is the new root itself /", () => {
  const service = configOf("x.cf", { file: "etc/x.cf", settings: { "master-chroot": "etc" } });
  assertEquals(serverArguments(service, { ...place, configPath: "etc" }).slice(1, 5), [
    ...["-server-config-path", "/", "-config", "/x.cf"],
  ]);
});

for (const root of ["jail", "/srv/et"]) {
  Deno.test(`serverArguments() refuse a settings file outside of the new root ${root}`, () => {
    const service = configOf("x.cf", { file: "etc/x.cf", settings: { "master-chroot": root } });
    assertThrows(
      () => serverArguments(service, { ...place, configPath: "etc" }),
      TypeError,
      `Cannot pass on "etc": a path outside, expected one inside of`,
    );
  });
}
