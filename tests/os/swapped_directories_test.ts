/** Paths through a directory of another user, who exchanges it for another one at the worst moment. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { bindDatagram } from "../../src/os/net/bound_datagram.ts";
import { closeFd } from "../../src/os/fd/descriptor.ts";
import { SysError } from "../../src/os/ffi/errors.ts";
import { ParentDirectory } from "../../src/os/fs/parent_directory.ts";
import { bindFile } from "../../src/os/net/made_file.ts";
import { newSocket } from "../../src/os/net/socket.ts";
import { openListener } from "../../src/os/net/open_listener.ts";
import { removeSocketFile, setFileAccess, type SocketFile } from "../../src/os/net/socket_file.ts";
import { leavesNothingOpen } from "../support/descriptors.ts";
import { giveLinkAway, NOBODY } from "../support/privileges.ts";
import { exchangeDirectories } from "../support/swapping.ts";
import { TempDir } from "../support/temp.ts";

const IS_ROOT = Deno.uid() === 0, AF_UNIX = 1, CAP_NET_ADMIN = 12n;
const KINDS = ["unix", "fifo", "datagram"] as const;
type Kind = typeof KINDS[number];

/** Opens a listener or the socket of a log service; without a file where the pipe was there before. */
function open(kind: Kind, path: string): { readonly fd: number; readonly file?: SocketFile } {
  if (kind === "datagram") {
    const { fd, socketFile } = bindDatagram(path);
    return { fd, file: socketFile };
  }
  const { fd, socketFile, madeFifo } = openListener({ kind, path }, { mode: 0o666 });
  return { fd, file: socketFile ?? madeFifo };
}

/** The directory of an address, and another one, with a file of the same name, that a link leads to. */
class Place implements Disposable {
  readonly #dir = new TempDir();
  readonly directory = this.#dir.file("run");
  readonly link = this.#dir.file("link");
  /** The directory after the exchange. */
  readonly moved = this.#dir.file("moved");
  readonly path = `${this.directory}/file`;
  /** The other directory. */
  readonly elsewhere = this.#dir.file("elsewhere");
  readonly victim = `${this.elsewhere}/file`;

  constructor(readonly kind: Kind) {
    for (const path of [this.directory, this.elsewhere]) Deno.mkdirSync(path);
    Deno.symlinkSync(this.elsewhere, this.link);
  }

  /** Makes the other file. */
  makeVictim(): { readonly fd: number; readonly ino: number; readonly status: string } {
    const { fd } = open(this.kind, this.victim);
    Deno.chmodSync(this.victim, 0o600);
    return { fd, ino: Deno.lstatSync(this.victim).ino!, status: statusOf(this.victim) };
  }

  /** Puts the link in the place of the directory. */
  exchange(): void {
    Deno.renameSync(this.directory, this.moved);
    Deno.renameSync(this.link, this.directory);
  }

  [Symbol.dispose](): void {
    this.#dir[Symbol.dispose]();
  }
}

function statusOf(path: string): string {
  const { ino, mode, uid, gid } = Deno.lstatSync(path);
  return `${ino} ${mode?.toString(8)} ${uid}:${gid}`;
}

/** Whether the kernel tells which file a socket has (CAP_NET_ADMIN). */
function mayOpenSocketFile(): boolean {
  const [, effective] = /^CapEff:\s*([0-9a-f]+)/m.exec(Deno.readTextFileSync("/proc/self/status"))!;
  return (BigInt(`0x${effective}`) >> CAP_NET_ADMIN & 1n) === 1n;
}

function namesIn(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
}

for (const kind of KINDS) {
  Deno.test(`no file in another directory is changed or removed, whatever is put in the place of the directory of a ${kind} address`, async () => {
    using place = new Place(kind);
    // Where root's file would be reached by a link of another user. An ordinary user's own links are followed.
    if (IS_ROOT) giveLinkAway(place.link);
    const mayReplaceVictim = kind === "datagram" && !IS_ROOT;
    using home = ParentDirectory.open(place.path);
    using abroad = ParentDirectory.open(place.victim);
    let victim = place.makeVictim();
    const count = { opened: 0, refused: 0 };
    {
      await using attacker = await exchangeDirectories(place.directory, place.link);
      for (let round = 0; round < 1_000 || count.opened < 200; round++) {
        try {
          const { fd, file } = open(kind, place.path);
          try {
            if (file !== undefined) removeSocketFile(file);
            count.opened++;
          } finally {
            closeFd(fd);
          }
        } catch (error) {
          if (!(error instanceof SysError)) throw error;
          count.refused++;
        }
        const left = home.status();
        if (left !== undefined) home.remove(left);
        if (mayReplaceVictim && abroad.status()?.ino !== victim.ino) {
          closeFd(victim.fd);
          const made = abroad.status();
          if (made !== undefined) abroad.remove(made);
          victim = place.makeVictim();
        }
        assertEquals(statusOf(place.victim), victim.status, `after ${round} rounds`);
      }
      await attacker.closeInput();
      await attacker.succeeds();
    }
    closeFd(victim.fd);
    assert(count.refused > 0, "the attacker has never been in time");
  });
}

for (const kind of KINDS) {
  Deno.test(`a link of another user on the way to a ${kind} address is refused`, () =>
    leavesNothingOpen(() => {
      using place = new Place(kind);
      place.exchange();
      if (!IS_ROOT) {
        // One's own links are followed, and links of other users can't be made here.
        closeFd(open(kind, place.path).fd);
        assertEquals(namesIn(place.elsewhere), ["file"]);
        return;
      }
      giveLinkAway(place.directory);
      const error = assertThrows(() => open(kind, place.path), SysError);
      assertEquals(
        error.message,
        `open "${place.path}": "run" in it is a link of user ${NOBODY}, which is not followed (ELOOP)`,
      );
      assertEquals(namesIn(place.elsewhere), []);
    }));
}

for (const isTaken of [false, true]) {
  Deno.test(`bindFile() fails where the path leads to another directory by now${isTaken ? ", and leaves what is in its place" : ""}`, () =>
    leavesNothingOpen(() => {
      using place = new Place("unix");
      using directory = ParentDirectory.openTrusted(place.path);
      const other = isTaken
        ? openListener({ kind: "unix", path: place.path }, { mode: 0o600 })
        : undefined;
      place.exchange();
      const fd = newSocket(AF_UNIX), before = isTaken && statusOf(`${place.moved}/file`);
      const error = assertThrows(
        () => bindFile(fd, directory, { access: { mode: 0o666 } }),
        SysError,
      );
      assertEquals(error.code, "ESTALE");
      assertEquals(isTaken && statusOf(`${place.moved}/file`), before);
      // Where the kernel does not tell which file bind(2) has made, one that nobody can connect to is left.
      const left = namesIn(place.elsewhere).map((name) =>
        Deno.lstatSync(`${place.elsewhere}/${name}`).mode
      );
      assertEquals(left.filter((mode) => (mode! & 0o777) !== 0), []);
      if (mayOpenSocketFile()) assertEquals(left, []);
      closeFd(fd);
      if (other !== undefined) closeFd(other.fd);
    }));
}

Deno.test("the file of a socket is changed and removed where its directory was moved to, and nowhere else", () =>
  leavesNothingOpen(() => {
    using place = new Place("unix");
    const { fd, file } = open("unix", place.path), victim = place.makeVictim();
    assert(file !== undefined);
    place.exchange();
    assertThrows(() => setFileAccess(file, { mode: 0o666 }), Error, "another file is there by now");
    removeSocketFile(file);
    assertEquals(statusOf(place.victim), victim.status);
    Deno.removeSync(place.directory);
    Deno.renameSync(place.moved, place.directory);
    removeSocketFile(file);
    assertEquals(namesIn(place.directory), []);
    closeFd(fd);
    closeFd(victim.fd);
  }));

Deno.test("ParentDirectory renames within the directories that it has opened", () =>
  leavesNothingOpen(() => {
    using place = new Place("fifo");
    using directory = ParentDirectory.openTrusted(place.path);
    using next = ParentDirectory.openTrusted(`${place.path}.new`);
    const victim = place.makeVictim();
    place.exchange();
    next.makeFifo(0o600);
    assertEquals(namesIn(place.moved), ["file.new"]);
    next.renameTo(directory);
    assertEquals([next.status(), namesIn(place.moved)], [undefined, ["file"]]);
    assertEquals(statusOf(place.victim), victim.status);
    directory.remove(directory.status()!);
    assertEquals([namesIn(place.moved), namesIn(place.elsewhere)], [[], ["file"]]);
    closeFd(victim.fd);
  }));
