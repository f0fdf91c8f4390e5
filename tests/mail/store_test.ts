import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { bytesOf, textOf } from "../../examples/mail/net/latin1.ts";
import { store, storeLink, uniqueName } from "../../examples/mail/store/delivery.ts";
import { withFolderLock } from "../../examples/mail/store/folder_lock.ts";
import {
  listMessages,
  makeFolder,
  readMessage,
  removeMessages,
  setFlags,
} from "../../examples/mail/store/maildir.ts";
import { numberMessages } from "../../examples/mail/store/uid_list.ts";
import { TempDir } from "../support/temp.ts";

async function folderIn(dir: TempDir, name = "inbox"): Promise<string> {
  await makeFolder(dir.file(name));
  return dir.file(name);
}

const files = (path: string) => [...Deno.readDirSync(path)].map(({ name }) => name);

Deno.test("store() puts a message into new, or with flags into cur, and leaves nothing in tmp", async () => {
  using dir = new TempDir();
  const folder = await folderIn(dir), date = new Date("2026-01-31T12:00:00Z");
  await store([bytesOf("a"), bytesOf("bc")], [{ folder }, { folder, flags: "FS", date }]);
  assertEquals(files(`${folder}/tmp`), []);
  const [[one], [two]] = [files(`${folder}/new`), files(`${folder}/cur`)];
  assert(/^[0-9]+\.M[0-9]+P[0-9]+Q[0-9]+R[0-9a-f]+\.[^,:/]+,S=3$/.test(one), one);
  assert(two.endsWith(",S=3:2,FS"), two);
  assertEquals(Deno.readTextFileSync(`${folder}/new/${one}`), "abc");
  assertEquals(Deno.statSync(`${folder}/cur/${two}`).mtime, date);
});

Deno.test("store() stores nothing when one of the folders is missing", async () => {
  using dir = new TempDir();
  const folder = await folderIn(dir);
  const destinations = [{ folder }, { folder: dir.file("none") }];
  await assertRejects(() => store([bytesOf("a")], destinations), Deno.errors.NotFound);
  assertEquals([files(`${folder}/tmp`), files(`${folder}/new`)], [[], []]);
});

Deno.test("uniqueName() never gives a name twice", () => {
  const names = Array.from({ length: 5_000 }, () => uniqueName(1));
  assertEquals(new Set(names).size, names.length);
});

Deno.test("a message is read and removed, though its flags have been changed meanwhile", async () => {
  using dir = new TempDir();
  const folder = await folderIn(dir);
  await store([bytesOf("abc")], [{ folder }]);
  const [message] = await listMessages(folder);
  assertEquals([message.isNew, message.flags, message.size], [true, "", 3]);
  const changed = await setFlags(folder, message, "S");
  assertEquals([changed.isNew, changed.flags], [false, "S"]);
  assertEquals(textOf(await readMessage(folder, message) ?? new Uint8Array()), "abc");
  await storeLink(changed.path, { folder, flags: "D" }, message.size);
  assertEquals((await listMessages(folder)).map(({ flags }) => flags), ["S", "D"]);
  await removeMessages(folder, new Set([message.id]));
  assertEquals((await listMessages(folder)).map(({ flags }) => flags), ["D"]);
  assertEquals(await readMessage(folder, message), undefined);
});

Deno.test("a folder is locked by one at a time, and in turn", async () => {
  using dir = new TempDir();
  const folder = await folderIn(dir);
  let inside = 0;
  await Promise.all(Array.from({ length: 5 }, () =>
    withFolderLock(folder, async () => {
      assertEquals(++inside, 1);
      await Promise.resolve();
      inside--;
    })));
});

Deno.test("numberMessages() keeps UIDs, whoever asks at the same time, and uses none twice", async () => {
  using dir = new TempDir();
  const folder = await folderIn(dir);
  const add = () => store([bytesOf("a")], [{ folder }]);
  for (let i = 0; i < 3; i++) await add();
  const all = await Promise.all([1, 2, 3].map(() => numberMessages(folder, { take: false })));
  for (const { messages } of all) assertEquals(messages.map(({ uid }) => uid), [1, 2, 3]);
  const taken = await numberMessages(folder, { take: true });
  assertEquals(taken.messages.map(({ isRecent }) => isRecent), [true, true, true]);
  assertEquals(files(`${folder}/new`), []);
  await removeMessages(folder, new Set(taken.messages.slice(1).map(({ id }) => id)));
  await add();
  const later = await numberMessages(folder, { take: true });
  assertEquals([later.validity, later.nextUid], [taken.validity, 5]);
  assertEquals(later.messages.map(({ uid, isRecent }) => [uid, isRecent]), [[1, false], [4, true]]);
});

Deno.test("numberMessages() gives all UIDs anew with another UIDVALIDITY when it can't read them", async () => {
  using dir = new TempDir();
  const folder = await folderIn(dir);
  await store([bytesOf("a")], [{ folder }]);
  Deno.writeTextFileSync(`${folder}/uids`, "7 3\n1 gone\n");
  const { validity, messages } = await numberMessages(folder, { take: false });
  assertEquals([validity, messages[0].uid], [7, 3]);
  Deno.writeTextFileSync(`${folder}/uids`, "nonsense");
  const anew = await numberMessages(folder, { take: false });
  assertNotEquals(anew.validity, 7);
  assertEquals(anew.messages[0].uid, 1);
});
