import { assertEquals, assertRejects } from "@std/assert";
import { prepare } from "../../examples/mail/setup.ts";
import { TempDir } from "../support/temp.ts";

/** The user to whom this process can give files: another one only as root. */
const USER = Deno.uid() === 0 ? 65_534 : Deno.uid()!;

function pathsIn(dir: TempDir) {
  for (const name of ["users", "cert", "key"]) dir.write(name, "");
  const [users, certFile, keyFile] = ["users", "cert", "key"].map((name) => dir.file(name));
  return { spool: dir.file("data/spool"), users, certFile, keyFile, log: dir.file("log/mail.") };
}

Deno.test("prepare() gives a new spool to the user of the servers, and never what is in one", async () => {
  using dir = new TempDir();
  const paths = pathsIn(dir);
  await prepare(paths, USER);
  assertEquals(Deno.statSync(paths.spool).uid, USER);
  // A server could do this.
  const target = dir.write("target", "");
  Deno.symlinkSync(target, `${paths.spool}/link`);
  Deno.linkSync(paths.users, `${paths.spool}/second_name`);
  await prepare(paths, USER);
  for (const path of [target, paths.users]) assertEquals(Deno.statSync(path).uid, Deno.uid());
});

Deno.test("prepare() refuses a spool of another user", async () => {
  using dir = new TempDir();
  const paths = pathsIn(dir);
  await prepare(paths, undefined);
  await prepare(paths, Deno.uid()!);
  await assertRejects(() => prepare(paths, 12_345), Error, "expected 12345");
});

Deno.test("prepare() writes no users through a link that leads nowhere", async () => {
  using dir = new TempDir();
  const paths = { ...pathsIn(dir), users: dir.file("link") };
  Deno.symlinkSync(dir.file("target"), paths.users);
  await assertRejects(() => prepare(paths, undefined), Deno.errors.AlreadyExists);
  assertEquals([...Deno.readDirSync(dir.path)].some(({ name }) => name === "target"), false);
});
