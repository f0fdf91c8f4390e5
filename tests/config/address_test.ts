/** Tests of addresses: their canonical keys, and why others are refused. */

import { assertEquals, assertThrows } from "@std/assert";
import { addressSlips, parseAddress, resolvePath } from "../../src/config/address.ts";

const cwd = "/srv/mail";

/** Each key, with the spellings that share it. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  "inet:0.0.0.0:80": ["0:80", ":80", "0.0.0.0:80", "0:080", ":00080"],
  "inet:127.0.0.1:1143": ["127.0.0.1:1143"],
  "inet:255.255.255.255:65535": ["255.255.255.255:65535"],
  "inet:10.0.0.1:1": ["10.0.0.1:1"],
  "inet:[::]:80": ["[::]:80", "[0::]:80", "[::0]:80", "[0:0:0:0:0:0:0:0]:80", "[::0.0.0.0]:080"],
  "inet:[::1]:80": ["[::1]:80", "[0:0:0:0:0:0:0:1]:80", "[0000::0001]:80", "[::0.0.0.1]:80"],
  "inet:[2001:db8::1]:443": ["[2001:db8::1]:443", "[2001:DB8:0:0:0:0:0:1]:443"],
  "inet:[2001:db8::1:0:0:1]:443": ["[2001:db8:0:0:1:0:0:1]:443", "[2001:db8::1:0:0:1]:443"],
  "inet:[2001:0:0:1::1]:443": ["[2001:0:0:1:0:0:0:1]:443"],
  "inet:[1:0:2:3:4:5:6:7]:9": ["[1:0:2:3:4:5:6:7]:9", "[1::2:3:4:5:6:7]:9"],
  "inet:[10:0:10:a0:a:1:1:1]:9": ["[10:0:10:a0:0a:1:1:1]:9"],
  "inet:[1::]:9": ["[1::]:9", "[1:0:0:0:0:0:0:0]:9"],
  "inet:[::ffff:102:304]:9": ["[::ffff:1.2.3.4]:9", "[0:0:0:0:0:FFFF:102:304]:9"],
  "unix:/srv/mail/var/socket/imapd": [
    "./var/socket/imapd",
    "var/socket/imapd",
    "var//socket/./imapd",
    "local:var/socket/imapd",
    "local:./x/../var/socket/imapd",
    "/srv/mail/var/socket/imapd",
    "../mail/var/socket/imapd",
    "local:/../srv/mail/var/socket/imapd",
  ],
  "unix:/run/a:b": ["local:/run/a:b"],
  "unix:/srv/mail/host:80": ["local:host:80"],
  "unix:/srv/mail/80": ["80", "local:80"],
  "unix:/srv/mail/local": ["local"],
  "fifo:/srv/mail/in": ["fifo:in", "fifo:./in"],
  "fifo:/var/spool/in:1": ["fifo:/var/spool/in:1"],
};

Deno.test("parseAddress() gives all spellings of an address one key", () => {
  for (const [key, spellings] of Object.entries(KEYS)) {
    for (const text of spellings) assertEquals(parseAddress(text, { cwd }).key, key, text);
  }
});

Deno.test("parseAddress() gives what is bound", () => {
  assertEquals(parseAddress("0:143", { cwd }), {
    ...{ service: "", text: "0:143", origin: undefined },
    kind: "inet",
    hostname: "0.0.0.0",
    port: 143,
    key: "inet:0.0.0.0:143",
  });
  assertEquals(parseAddress("[0::1]:143", { cwd }), {
    ...{ service: "", text: "[0::1]:143", origin: undefined },
    kind: "inet",
    hostname: "::1",
    port: 143,
    key: "inet:[::1]:143",
  });
  assertEquals(parseAddress("./imapd", { cwd }), {
    ...{ service: "", text: "./imapd", origin: undefined },
    kind: "unix",
    path: "/srv/mail/imapd",
    key: "unix:/srv/mail/imapd",
  });
  assertEquals(parseAddress("fifo:in", { cwd }), {
    ...{ service: "", text: "fifo:in", origin: undefined },
    kind: "fifo",
    path: "/srv/mail/in",
    key: "fifo:/srv/mail/in",
  });
});

const FORMS =
  'expected HOST:PORT, [IPV6]:PORT, "local:PATH", "fifo:PATH" or a PATH without a colon';
const HOSTS = 'expected an IPv4 address such as 127.0.0.1, "0" or nothing for any, or [IPV6]';
const PORTS = "expected a port from 1 to 65535";
const V6 = "expected [IPV6]:PORT such as [::1]:80";

/** Each refusal, with the addresses that it is for. */
const REFUSALS: Readonly<Record<string, readonly string[]>> = {
  [`nothing, ${FORMS}`]: [""],
  [`no path, ${FORMS}`]: ["local:", "fifo:"],
  [`a NUL character, ${FORMS}`]: ["a\0b", "local:/x\0", "0:80\0"],
  ["a scheme that no address has, expected the path alone: /run/a"]: ["unix:/run/a"],
  [`a host name, ${HOSTS}`]: ["example.com:80", "0x7f.1:80", "LOCAL:/x"],
  ["a host name, expected 127.0.0.1:80"]: ["localhost:80"],
  ["a host name, expected 0:80"]: ["*:80"],
  ["quotes, which belong to the value, expected none"]: [
    '"0:80"',
    "'0:80'",
    '127.0.0.1:80"',
    "[::1]:80'",
  ],
  ["a path behind the port, expected the address alone, without a path"]: ["0:80/", "[::1]:80/x"],
  [`no IPv4 address, ${HOSTS}`]: [
    "127.1:80",
    "1.2.3.256:80",
    "1.2.3:80",
    "1.2.3.4.5:80",
    "01.2.3.4:80",
    "1.2.3.:80",
    "00:80",
    "1:80",
  ],
  [`no port, ${PORTS}`]: ["0:", ":", "127.0.0.1:", "[::1]:"],
  [`a port that is no number, ${PORTS}`]: ["0:http", "0:8o", "0:-1", "0:+80", "0:80x", "[::]:x"],
  [`a port out of range, ${PORTS}`]: ["0:0", ":0", "0:65536", "0:99999999999", "[::1]:0"],
  ["an address with several colons, expected an IPv6 address as [IPV6]:PORT"]: [
    "::1:80",
    "fe80::1:80",
    "0:80:90",
  ],
  [`no IPv6 address, ${V6}`]: [
    "[",
    "[]:80",
    "[:]:80",
    "[:::]:80",
    "[::1",
    "[1:2:3:4:5:6:7]:80",
    "[1:2:3:4:5:6:7:8:9]:80",
    "[1::2::3]:80",
    "[1:2:3:4::5:6:7:8]:80",
    "[12345::]:80",
    "[g::]:80",
    "[::1.2.3]:80",
    "[1.2.3.4::]:80",
    "[fe80::1%eth0]:80",
    "[127.0.0.1]:80",
    "[ ::1]:80",
  ],
  [`no port, ${V6}`]: ["[::1]", "[::1]80", "[::1]x:80"],
  ["a directory, expected the path of a file"]: ["/", ".", "..", "var/", "local:/run/.", "a/.."],
};

Deno.test("parseAddress() says why it refuses an address", () => {
  for (const [reason, addresses] of Object.entries(REFUSALS)) {
    for (const text of addresses) {
      const error = assertThrows(() => parseAddress(text, { cwd }), Error);
      assertEquals(error.message, `Cannot listen on ${JSON.stringify(text)}: ${reason}`);
      const ErrorClass = reason.includes("out of range") ? RangeError : TypeError;
      assertEquals(error.constructor, ErrorClass, text);
    }
  }
});

Deno.test("parseAddress() counts the bytes of a unix path, not its characters", () => {
  const fits = `/${"é".repeat(53)}`;
  assertEquals(parseAddress(fits, { cwd }).key, `unix:${fits}`);
  const error = assertThrows(() => parseAddress(`${fits}x`, { cwd }), RangeError);
  assertEquals(
    error.message,
    `Cannot listen on "${fits}x": a path of 108 bytes, expected at most 107 bytes`,
  );
});

Deno.test("parseAddress() binds a relative path as it stands where the absolute one is too long", () => {
  const deep = `/${"d".repeat(150)}`;
  assertEquals(parseAddress("./run/imapd", { cwd: deep }), {
    ...{ service: "", text: "./run/imapd", origin: undefined },
    kind: "unix",
    path: "./run/imapd",
    key: `unix:${deep}/run/imapd`,
  });
  assertThrows(() => parseAddress("x".repeat(108), { cwd: deep }), RangeError);
});

Deno.test("parseAddress() lets a fifo's path be longer than a socket's", () => {
  const path = `/${"d".repeat(150)}`;
  assertEquals(parseAddress(`fifo:${path}`, { cwd }).key, `fifo:${path}`);
});

Deno.test("resolvePath() is lexical and never leaves the root", () => {
  assertEquals(resolvePath("/a/b", "c"), "/a/b/c");
  assertEquals(resolvePath("/a/b", "../../../c"), "/c");
  assertEquals(resolvePath("/a/b", "/c//d/./e/.."), "/c/d");
  assertEquals(resolvePath("/", "a"), "/a");
  assertEquals(resolvePath("/a", "/"), "/");
});

/** Lists of addresses, with those that look like a host or a port, and what was probably meant. */
const SLIPS: Readonly<Record<string, readonly [slips: string, meant: string]>> = {
  "8810": ["8810", "0:8810"],
  "127.0.0.1": ["127.0.0.1", "127.0.0.1:PORT"],
  "0 993": ["0 993", "0:993"],
  "0:80 0 993 ./x 127.0.0.1 994": ["0 993 127.0.0.1 994", "0:993 127.0.0.1:994"],
  "0 ./x 993": ["0 993", "0:PORT 0:993"],
  "80 443": ["80 443", "0:80 0:443"],
  "localhost web-1.example.com *": [
    "localhost web-1.example.com *",
    "localhost:PORT web-1.example.com:PORT 0:PORT",
  ],
  "127.0.0.1/8080 0/993": ["127.0.0.1/8080 0/993", "127.0.0.1:8080 0:993"],
  "web": ["web", "web:PORT"],
  "0\uff1a993 ./a\uff1a1": ["0\uff1a993", "0:993"],
  "\uff1a80 localhost\uff1a81": ["\uff1a80 localhost\uff1a81", ":80 localhost:81"],
  "./8810 local:8810 fifo:8810 /8810 0:8810 [::1]:80": ["", ""],
  "imapd.sock imapd.socket var/imapd mysql.ipc web/socket http_sock": ["", ""],
};

for (const [list, expected] of Object.entries(SLIPS)) {
  Deno.test(`addressSlips() finds what looks like a host or a port in ${list}`, () => {
    const { slips, meant } = addressSlips(list.split(" "));
    assertEquals([slips.join(" "), meant.join(" ")], expected);
  });
}
