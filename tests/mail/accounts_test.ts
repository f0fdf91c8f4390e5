import { assertEquals, assertRejects } from "@std/assert";
import { mayLogIn, readPlain } from "../../examples/mail/net/plain_auth.ts";
import { accountLine, Accounts } from "../../examples/mail/store/accounts.ts";
import { TempDir } from "../support/temp.ts";

Deno.test("Accounts knows users and their passwords, and nothing else", async () => {
  using dir = new TempDir();
  const lines = [await accountLine("alice", "sécret:1"), await accountLine("bob", "x")];
  const path = dir.write("users", `# users\n${lines.join("\n")}\n\n`);
  const accounts = await Accounts.read(path);
  assertEquals(["alice", "bob", "eve"].map((name) => accounts.has(name)), [true, true, false]);
  const right = [["alice", "sécret:1"], ["bob", "x"]];
  const wrong = [["alice", "x"], ["bob", ""], ["eve", "x"], ["", ""], ["__proto__", "x"]];
  for (const [name, word] of right) assertEquals(await accounts.check(name, word), true, name);
  for (const [name, word] of wrong) assertEquals(await accounts.check(name, word), false, name);
});

Deno.test("Accounts refuses a file with a wrong line, and names that are no names", async () => {
  using dir = new TempDir();
  const line = await accountLine("a", "b"), [name, method, rounds, salt, hash] = line.split(":");
  const wrong: [fields: string[], found: string, expected: string][] = [
    [["bob", "clear"], "2 fields", "the 5 of name:pbkdf2-sha256:ROUNDS:SALT:HASH"],
    [[name, method, rounds, salt], "4 fields", "the 5"],
    [[name, method, rounds, salt, hash, ""], "6 fields", "the 5"],
    [["B", method, rounds, salt, hash], 'name "B"', "up to 64 small letters"],
    [["b", "md5", rounds, salt, hash], 'method "md5"', '"pbkdf2-sha256"'],
    [["b", method, "x", salt, hash], 'rounds "x"', "a whole number"],
    [["b", method, "0", salt, hash], 'rounds "0"', "a whole number"],
    [["b", method, rounds, "", hash], 'salt ""', "base64"],
    [["b", method, rounds, "?", hash], 'salt "?"', "base64"],
    [["b", method, rounds, salt, "AAAA"], "a hash of 3 bytes", "32 bytes"],
    [["b", method, rounds, salt, "?"], "a hash of no base64", "32 bytes"],
    [[name, method, rounds, salt, hash], 'a second "a"', "one"],
  ];
  for (const [fields, found, expected] of wrong) {
    const path = dir.write("users", `${line}\n${fields.join(":")}\n`);
    const text = `Cannot read "${path}" line 2: ${found}, expected ${expected}`;
    await assertRejects(() => Accounts.read(path), SyntaxError, text);
  }
  for (const name of ["", "A", "../x", "a/b", ".a", "a:b"]) {
    await assertRejects(() => accountLine(name, "x"), TypeError, name);
  }
});

Deno.test("readPlain() reads name and password, and no other form", () => {
  const read = (text: string) => readPlain(btoa(text));
  assertEquals(read("\0al\0pw"), { name: "al", password: "pw" });
  assertEquals(read("al\0al\0p:w"), { name: "al", password: "p:w" });
  assertEquals(read("\0al\0p\xc3\xa4"), { name: "al", password: "pä" });
  for (const text of ["", "\0al", "bob\0al\0pw", "\0\0pw", "\0a\0b\0c"]) {
    assertEquals(read(text), undefined, JSON.stringify(text));
  }
  assertEquals(readPlain("*"), undefined);
});

Deno.test("mayLogIn() allows passwords over TLS, and without it from this machine alone", () => {
  const plain = (peer: string) => mayLogIn({ isSecure: false, peer });
  assertEquals(["127.0.0.1", "127.9.9.9", "::1", "local"].map(plain), Array(4).fill(true));
  const others = ["10.0.0.1", "128.0.0.1", "::ffff:10.0.0.1", "::2", "fe80::1", ""];
  assertEquals(others.map(plain), others.map(() => false));
  assertEquals(mayLogIn({ isSecure: true, peer: "10.0.0.1" }), true);
});
