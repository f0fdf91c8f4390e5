/** Tests of the grammar of `server-log` and `log-service`. */

import { assertEquals, assertThrows } from "@std/assert";
import {
  type LogServiceConfig,
  type LogTarget,
  parseLogService,
  parseLogTarget,
  SYSLOG_FACILITIES,
} from "../../src/config/log_target.ts";

const TARGETS: readonly (readonly [text: string, target: LogTarget])[] = [
  ["stdout", { kind: "stdout" }],
  ["syslog,mail", { kind: "syslog", facility: 2 }],
  ["syslog,LOG_MAIL", { kind: "syslog", facility: 2 }],
  ["syslog,log_Local7", { kind: "syslog", facility: 23 }],
  ["syslog, mail, imapd", { kind: "syslog", facility: 2, ident: "imapd" }],
  ["syslog mail\timapd", { kind: "syslog", facility: 2, ident: "imapd" }],
  [",syslog,,mail,", { kind: "syslog", facility: 2 }],
  ["masterlog,./var/socket/log", { kind: "masterlog", socket: "./var/socket/log" }],
];

Deno.test("parseLogTarget() reads every form", () => {
  for (const [text, target] of TARGETS) assertEquals(parseLogTarget(text), target, text);
});

Deno.test("parseLogTarget() knows every facility with and without LOG_", () => {
  assertEquals(SYSLOG_FACILITIES.size, 20);
  for (const [name, facility] of SYSLOG_FACILITIES) {
    for (const spelling of [name, name.toUpperCase(), `LOG_${name.toUpperCase()}`]) {
      assertEquals(parseLogTarget(`syslog,${spelling}`), { kind: "syslog", facility });
    }
  }
});

Deno.test("parseLogTarget() refuses every other form", () => {
  const wrong = ["syslog", "syslog,mail,a,b", "masterlog", "masterlog,a,b", "stdout,x", "stderr"];
  for (const text of [...wrong, "file,/tmp/x", "SYSLOG,mail", ","]) {
    const error = assertThrows(() => parseLogTarget(text), TypeError);
    assertEquals(
      error.message,
      `Cannot read "${text}": none of the forms, ` +
        "expected syslog,FACILITY[,IDENT] or masterlog,SOCKET or stdout",
    );
  }
});

Deno.test("parseLogTarget() names the facilities when it doesn't know one", () => {
  const error = assertThrows(() => parseLogTarget("syslog,mial"), TypeError);
  assertEquals(
    error.message,
    'Cannot read "syslog,mial": an unknown facility, expected one of kern user mail daemon auth ' +
      "syslog lpr news uucp cron authpriv ftp local0 local1 local2 local3 local4 local5 local6 local7",
  );
});

const SERVICES: readonly (readonly [text: string, service: LogServiceConfig])[] = [
  ["s,log/,day", { socket: "s", prefix: "log/", period: "day" }],
  ["/run/log,/var/log/mail-,hour", {
    socket: "/run/log",
    prefix: "/var/log/mail-",
    period: "hour",
  }],
  ["s,log/", { socket: "s", prefix: "log/", period: "day" }],
  ["s,a dir/,day", { socket: "s", prefix: "a dir/", period: "day" }],
];

Deno.test("parseLogService() reads socket, prefix and period", () => {
  for (const [text, service] of SERVICES) assertEquals(parseLogService(text), service, text);
});

Deno.test("parseLogService() refuses what has other parts", () => {
  for (const text of ["s", "s,", ",", "s,log/,week", "s,log/,day,x", "s,log/, day"]) {
    const error = assertThrows(() => parseLogService(text), TypeError);
    assertEquals(
      error.message,
      `Cannot read "${text}": none of the forms, ` +
        "expected SOCKET,PREFIX,day or SOCKET,PREFIX,hour",
    );
  }
});

Deno.test("parseLogTarget() and parseLogService() refuse a socket path that is too long", () => {
  const path = "p".repeat(108);
  const message = "a socket path of 108 bytes, expected at most 107 bytes";
  assertThrows(() => parseLogTarget(`masterlog,${path}`), RangeError, message);
  assertThrows(() => parseLogService(`${path},log/,day`), RangeError, message);
});
