import { assertEquals, assertThrows } from "@std/assert";
import { formatServiceList, parseServiceList } from "../../src/ipc/service_list.ts";

Deno.test("formatServiceList() numbers the descriptors from 5 on", () => {
  assertEquals(
    formatServiceList([
      { name: "", type: "inet" },
      { name: "ssl", type: "inet" },
      { name: "", type: "unix" },
      { name: "log", type: "fifo" },
    ]),
    ":i5,ssl:i6,:u7,log:f8",
  );
  assertEquals(formatServiceList([]), "");
});

Deno.test("parseServiceList() reads back what formatServiceList() wrote", () => {
  const services = [
    { name: "imapd", type: "inet" },
    { name: "", type: "unix" },
    { name: "a b", type: "fifo" },
  ] as const;
  assertEquals(
    parseServiceList(formatServiceList(services)),
    services.map((service, index) => ({ ...service, fd: 5 + index })),
  );
});

Deno.test("parseServiceList() takes any order, empty entries and entries without a colon", () => {
  assertEquals(parseServiceList(""), []);
  assertEquals(parseServiceList(",b:u7,,i5,"), [
    { name: "b", type: "unix", fd: 7 },
    { name: "", type: "inet", fd: 5 },
  ]);
});

Deno.test("parseServiceList() refuses entries of another form", () => {
  for (
    const entry of ["a:x5", "a:i", "a:i4", "a:i-5", "a:5", "a", "a:b:i5", ":i5 ", ":i99999999"]
  ) {
    assertThrows(() => parseServiceList(`:i5,${entry}`), TypeError, JSON.stringify(entry));
  }
});
