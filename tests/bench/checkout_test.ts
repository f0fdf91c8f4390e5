import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { describeCheckout, findCommit, unpackCommit } from "../../bench/checkout.ts";
import { UsageError } from "../../tools/usage_error.ts";

const FILES = [
  "master.ts",
  "bench/servers/ready.ts",
  "bench/servers/master_http.ts",
  "bench/servers/master_coroutine.ts",
  "bench/servers/master_aio.ts",
];

/** A repository, and a folder for what is unpacked. Declare it with `await using`. */
class Repository implements AsyncDisposable {
  readonly dir: string = Deno.makeTempDirSync();
  readonly root: string = `${this.dir}/repository`;
  readonly unpacked: string = `${this.dir}/unpacked`;

  constructor() {
    Deno.mkdirSync(this.root);
    this.git("init", "--quiet");
  }

  git(...args: string[]): void {
    const identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgSign=false"];
    const { success, stderr } = new Deno.Command("git", {
      args: [...identity, ...args],
      cwd: this.root,
    }).outputSync();
    assertEquals(success, true, new TextDecoder().decode(stderr));
  }

  write(path: string, text: string): void {
    Deno.mkdirSync(`${this.root}/${path}`.replace(/[^/]*$/, ""), { recursive: true });
    Deno.writeTextFileSync(`${this.root}/${path}`, text);
  }

  commit(files: readonly string[], title: string): void {
    for (const path of files) this.write(path, title);
    this.git("add", ".");
    this.git("commit", "--quiet", "--message", title);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}

Deno.test("unpackCommit() has the files of the commit, and leaves the repository as it was", async () => {
  await using repository = new Repository();
  const { root, unpacked } = repository;
  repository.commit(FILES, "old");
  repository.git("tag", "one");
  repository.commit(FILES, "new");
  const { commit, root: folder } = unpackCommit(findCommit("one", root), unpacked);
  assertEquals(folder, `${unpacked}/`);
  assertMatch(commit!, /^[0-9a-f]{7,}$/);
  assertEquals(FILES.map((path) => Deno.readTextFileSync(folder + path)), FILES.map(() => "old"));
  assertMatch(describeCheckout(root), /^[0-9a-f]{7,} new$/);
  assertEquals([...Deno.readDirSync(repository.dir)].length, 2);
});

Deno.test("unpackCommit() refuses a commit without the servers of these benchmarks", async () => {
  await using repository = new Repository();
  repository.commit(FILES.slice(0, -1), "early");
  const found = findCommit("HEAD", repository.root);
  const { message } = assertThrows(() => unpackCommit(found, repository.unpacked), UsageError);
  assertMatch(
    message,
    /^Cannot compare with "HEAD": [0-9a-f]+ early has no bench\/servers\/master_aio.ts, expected/,
  );
});

Deno.test("findCommit() refuses what is no commit, and a folder without a repository", async () => {
  await using repository = new Repository();
  repository.commit(FILES, "one");
  for (
    const [revision, folder] of [
      ["nope", repository.root],
      ["", repository.root],
      ["--all", repository.root],
      ["HEAD:master.ts", repository.root],
      ["HEAD", "/"],
    ] as const
  ) {
    const { message } = assertThrows(() => findCommit(revision, folder), UsageError);
    assertMatch(
      message,
      /^Cannot compare with ".*": fatal: .*, expected a commit, a branch or a tag/,
    );
    assertEquals(message.split("\n").length, 1);
  }
});

Deno.test("describeCheckout() tells of changes, and of files that git does not know", async () => {
  await using repository = new Repository();
  const { root } = repository;
  repository.commit(FILES, "one");
  const changed = /^the working tree, with changes that are not committed, on [0-9a-f]+ one$/;
  repository.write("new.ts", "");
  assertMatch(describeCheckout(root), changed);
  Deno.removeSync(`${root}/new.ts`);
  assertMatch(describeCheckout(root), /^[0-9a-f]+ one$/);
  repository.write("master.ts", "changed");
  assertMatch(describeCheckout(root), changed);
});
