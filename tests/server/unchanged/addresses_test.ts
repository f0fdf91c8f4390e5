import { assertEquals } from "@std/assert";
import type { ListenAddress } from "../../../src/os/net/socket.ts";
import {
  type Candidate,
  type RequestedAddress,
  serviceFor,
  warningOf,
} from "../../../src/server/unchanged/addresses.ts";

const inet = (hostname: string, port: number) => ({ kind: "inet", hostname, port }) as const;
const unix = (path: string) => ({ kind: "unix", path }) as const;
const service = (address: ListenAddress, isTaken = false, name = ""): Candidate => ({
  name,
  address,
  isTaken,
});

const MANY = [
  service(inet("127.0.0.1", 80)),
  service(inet("::1", 80)),
  service(inet("0.0.0.0", 443)),
  service(unix("/run/app")),
];

for (
  const [asked, index] of [
    [inet("0.0.0.0", 443), 2],
    [inet("127.0.0.1", 443), 2],
    [inet("0.0.0.0", 80), 0],
    [inet("::1", 80), 1],
    [unix("/run/app"), 3],
    [unix("/run/other"), undefined],
    [inet("0.0.0.0", 8000), undefined],
    [inet("0.0.0.0", 0), undefined],
  ] as [RequestedAddress, number | undefined][]
) {
  Deno.test(`serviceFor() of ${JSON.stringify(asked)} among many is ${index}`, () => {
    assertEquals(serviceFor(asked, MANY), index);
  });
}

Deno.test("serviceFor() takes any address for the only service, once", () => {
  for (const asked of [inet("0.0.0.0", 8000), inet("0.0.0.0", 0), unix("/run/other")]) {
    assertEquals(serviceFor(asked, [service(inet("127.0.0.1", 80))]), 0);
    assertEquals(serviceFor(asked, [service(unix("/run/app"))]), 0);
    assertEquals(serviceFor(asked, [service(inet("127.0.0.1", 80), true)]), undefined);
  }
});

Deno.test("serviceFor() takes the second service of a port when the first one is taken", () => {
  const services = [service(inet("127.0.0.1", 80), true), service(inet("::1", 80))];
  assertEquals(serviceFor(inet("127.0.0.1", 80), services), 1);
});

Deno.test("warningOf() names the address, the services, and what to write", () => {
  const services = [
    service(inet("127.0.0.1", 80), true, "web"),
    service(unix("/run/app")),
  ];
  assertEquals(
    warningOf(inet("0.0.0.0", 9090), services),
    "Cannot pass on 0.0.0.0:9090: no free service has the port 9090, found " +
      "web://127.0.0.1:80 (listened on already), /run/app, expected it in server-service; " +
      "this process opens the address itself, and another process can't",
  );
});
