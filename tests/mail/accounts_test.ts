import { assertEquals, assertRejects } from "@std/assert";
import { readPlain } from "../../examples/mail/net/plain_auth.ts";
import { accountLine, Accounts } from "../../examples/mail/store/accounts.ts";
import { TempDir } from "../support/temp.ts";

Deno.test("Accounts knows users and their passwords, and nothing else", async () => {
  using dir = new TempDir();
  const lines = [await accountLine("alice", "sécret:1"), await accountLine("bob", "x")];
  const path = dir.write("users", `# users\n${lines.join("\n")}\n\n`);
  const accounts = await Accounts.read(path);
  assertEquals([accounts.names, accounts.has("bob"), accounts.has("eve")], [
    ...[["alice", "bob"], true, false],
  ]);
  const right = [["alice", "sécret:1"], ["bob", "x"]];
  const wrong = [["alice", "x"], ["bob", ""], ["eve", "x"], ["", ""], ["__proto__", "x"]];
  for (const [name, word] of right) assertEquals(await accounts.check(name, word), true, name);
  for (const [name, word] of wrong) assertEquals(await accounts.check(name, word), false, name);
});

Deno.test("Accounts refuses a file with a wrong line, and names that are no names", async () => {
  using dir = new TempDir();
  const path = dir.write("users", `${await accountLine("a", "b")}\nbob:clear\n`);
  await assertRejects(() => Accounts.read(path), SyntaxError, "line 2");
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
