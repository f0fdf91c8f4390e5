import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { bytesOf, textOf } from "../../examples/mail/net/latin1.ts";
import { store, storeLinks, uniqueName } from "../../examples/mail/store/delivery.ts";
import { withFolderLock } from "../../examples/mail/store/folder_lock.ts";
import {
  listMessages,
  makeFolder,
  readMessage,
  receivedAt,
  removeAbandoned,
  removeMessages,
  setFlags,
} from "../../examples/mail/store/maildir.ts";
import { numberMessages } from "../../examples/mail/store/uid_list.ts";
import { recording, replacing } from "../support/disk_calls.ts";
import { TempDir } from "../support/temp.ts";

async function folderIn(dir: TempDir, name = "inbox"): Promise<string> {
  await makeFolder(dir.file(name));
  return dir.file(name);
}

const files = (path: string) => [...Deno.readDirSync(path)].map(({ name }) => name);

Deno.test("store() puts a message into new of all folders, and leaves nothing in tmp", async () => {
  using dir = new TempDir();
  const folder = await folderIn(dir), other = await folderIn(dir, "other");
  const date = new Date("2026-01-31T12:00:00Z");
  const name = await store([bytesOf("a"), bytesOf("bc")], [folder, other]);
  assert(/^[0-9]+\.M[0-9]+P[0-9]+Q[0-9]+R[0-9a-f]+\.[^,:/]+,S=3$/.test(name), name);
  assertEquals([files(`${folder}/new`), files(`${other}/new`)], [[name], [name]]);
  const flagged = await store([bytesOf("d")], [other], { flags: "FS", date, isSynced: false });
  assertEquals([files(`${folder}/tmp`), files(`${other}/tmp`)], [[], []]);
  for (const one of [folder, other]) {
    assertEquals(Deno.readTextFileSync(`${one}/new/${name}`), "abc");
  }
  const [, { flags, isNew, path }] = await listMessages(other);
  assertEquals([path, flags, isNew], [`${other}/new/${flagged}:2,FS`, "FS", true]);
  assertEquals(Deno.statSync(path).mtime, date);
});

Deno.test("store() stores nothing when one of the folders is missing", async () => {
  using dir = new TempDir();
  const folder = await folderIn(dir), missing = dir.file("none");
  for (const folders of [[folder, missing], [missing, folder]]) {
    await assertRejects(() => store([bytesOf("a")], folders), Deno.errors.NotFound);
    assertEquals([files(`${folder}/tmp`), files(`${folder}/new`)], [[], []]);
  }
});

Deno.test("store() takes a message back that a session has moved already", async () => {
  using dir = new TempDir();
  const folder = await folderIn(dir), other = await folderIn(dir, "other");
  using _ = replacing("rename", async (from, to) => {
    await numberMessages(other, { take: true });
    throw new Error(`Cannot rename ${from} to ${to}`);
  }, { calls: [0] });
  await assertRejects(() => store([bytesOf("a")], [folder, other]), Error, "Cannot rename");
  for (const one of [folder, other]) assertEquals(await listMessages(one), []);
  assertEquals(files(`${folder}/tmp`), []);
});

Deno.test("storeLinks() adds all messages or none, those among them whose flags have changed meanwhile", async () => {
  using dir = new TempDir();
  const folder = await folderIn(dir), other = await folderIn(dir, "other");
  for (const text of ["a", "bc", "d"]) await store([bytesOf(text)], [folder]);
  const messages = await listMessages(folder);
  await setFlags(folder, messages[1], "S");
  await removeMessages(folder, new Set([messages[2].id]));
  const copy = (to: string) => storeLinks({ from: folder, messages, to, isSynced: true });
  await copy(other);
  const copies = async (from: string) =>
    (await listMessages(from)).map(({ size, flags }) => [size, flags]);
  assertEquals(await copies(other), [[1, ""], [2, "S"]]);
  await copy(folder);
  assertEquals((await copies(folder)).length, 4);
  {
    using _ = replacing("link", () => Promise.reject(new Error("no space")), { calls: [1] });
    await assertRejects(() => copy(other), Error, "no space");
    await assertRejects(() => copy(dir.file("none")), Deno.errors.NotFound);
  }
  assertEquals((await copies(other)).length, 2);
});

Deno.test("what is stored is on the disk before it has its name, and its name before the answer", async () => {
  using dir = new TempDir();
  const folder = await folderIn(dir), other = await folderIn(dir, "other");
  using calls = recording();
  await store([bytesOf("a")], [folder, other]);
  assertEquals(calls.take(), ["fsync", "link", "rename", "fsync", "fsync"]);
  await store([bytesOf("a")], [folder], { isSynced: false });
  assertEquals(calls.take(), ["rename"]);
  const messages = await listMessages(folder);
  await storeLinks({ from: folder, messages, to: other, isSynced: true });
  assertEquals(calls.take(), ["link", "link", "fsync"]);
  await storeLinks({ from: folder, messages, to: other, isSynced: false });
  assertEquals(calls.take(), ["link", "link"]);
  await numberMessages(folder, { take: false });
  // The last UIDVALIDITY, and the list.
  assertEquals(calls.take(), Array(2).fill(["fsync", "rename", "fsync"]).flat());
  await makeFolder(dir.file("third"));
  assertEquals(calls.take(), ["fsync", "fsync"]);
});

Deno.test("removeAbandoned() removes files in tmp of all folders that are 36 hours old, whatever their mtime", async () => {
  using dir = new TempDir();
  const folder = await folderIn(dir);
  Deno.writeTextFileSync(`${folder}/tmp/a`, "");
  Deno.utimeSync(`${folder}/tmp/a`, 0, 0);
  Deno.mkdirSync(`${folder}/tmp/b/cur`, { recursive: true });
  await makeFolder(`${folder}/.Sent`);
  Deno.writeTextFileSync(`${folder}/.Sent/tmp/c`, "");
  // No folder any more, or not yet.
  Deno.mkdirSync(`${folder}/.Half`);
  const left = () => [files(`${folder}/tmp`).sort(), files(`${folder}/.Sent/tmp`)];
  await removeAbandoned(folder, Date.now() + 35 * 3_600_000);
  assertEquals(left(), [["a", "b"], ["c"]]);
  await removeAbandoned(folder, Date.now() + 37 * 3_600_000);
  assertEquals(left(), [[], []]);
});

Deno.test("uniqueName() never gives a name twice", () => {
  const names = Array.from({ length: 5_000 }, () => uniqueName(1));
  assertEquals(new Set(names).size, names.length);
});

Deno.test("a message is read and removed, though its flags have been changed meanwhile", async () => {
  using dir = new TempDir();
  const folder = await folderIn(dir);
  await store([bytesOf("abc")], [folder]);
  const [message] = await listMessages(folder);
  assertEquals([message.isNew, message.flags, message.size], [true, "", 3]);
  const changed = await setFlags(folder, message, "S");
  assertEquals([changed.isNew, changed.flags], [false, "S"]);
  assertEquals(textOf(await readMessage(folder, message) ?? new Uint8Array()), "abc");
  assertEquals(await receivedAt(folder, message), Deno.statSync(changed.path).mtime);
  await removeMessages(folder, new Set([message.id]));
  assertEquals(await listMessages(folder), []);
  assertEquals(await readMessage(folder, message), undefined);
  assertEquals(await receivedAt(folder, message), undefined);
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
  const add = () => store([bytesOf("a")], [folder]);
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
  await store([bytesOf("a")], [folder]);
  Deno.writeTextFileSync(`${folder}/uids`, "7 3\n1 gone\n");
  const { validity, messages } = await numberMessages(folder, { take: false });
  assertEquals([validity, messages[0].uid], [7, 3]);
  Deno.writeTextFileSync(`${folder}/uids`, "nonsense");
  const anew = await numberMessages(folder, { take: false });
  assertNotEquals(anew.validity, 7);
  assertEquals(anew.messages[0].uid, 1);
});

Deno.test("a folder that is made again has another UIDVALIDITY, also within a second and when it was empty", async () => {
  using dir = new TempDir();
  const inbox = await folderIn(dir), validities: number[] = [];
  const validityOf = async (folder: string) =>
    (await numberMessages(folder, { take: false })).validity;
  for (let i = 0; i < 3; i++) {
    await makeFolder(`${inbox}/.A`);
    validities.push(await validityOf(`${inbox}/.A`));
    assertEquals(await validityOf(`${inbox}/.A`), validities.at(-1));
    Deno.removeSync(`${inbox}/.A`, { recursive: true });
  }
  validities.push(await validityOf(inbox));
  assertEquals(new Set(validities).size, 4);
  assertEquals(validities.toSorted(), validities);
});
