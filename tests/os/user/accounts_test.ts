import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  credentialsOf,
  findUser,
  hasCredentials,
  isOwnGroup,
  ownerOf,
  UnknownAccountError,
} from "../../../src/os/user/accounts.ts";
import { id, passwd } from "../../support/credentials.ts";

const numbers = (text: string) => text.split(" ").map(Number).sort((a, b) => a - b);

Deno.test("credentialsOf() gives a user the groups that the system knows for the user", () => {
  for (const user of ["root", "daemon", "nobody"]) {
    const { uid, gid, groups } = credentialsOf({ user });
    assertEquals([uid, gid], [Number(id("-u", user)), Number(id("-g", user))]);
    assertEquals(groups.toSorted((a, b) => a - b), numbers(id("-G", user)));
  }
});

Deno.test("credentialsOf() takes a number for a user that the system knows, groups included", () => {
  assertEquals(credentialsOf({ user: id("-u", "daemon") }), credentialsOf({ user: "daemon" }));
});

Deno.test("credentialsOf() puts a group in the place of the user's first one", () => {
  const { gid, groups } = credentialsOf({ user: "daemon", group: "0" });
  assertEquals([gid, groups.includes(0)], [0, true]);
});

Deno.test("credentialsOf() accepts a group without a user, and unassigned numbers", () => {
  const { gid } = credentialsOf({ user: "daemon" });
  assertEquals(credentialsOf({ group: "daemon" }), { gid, groups: [gid] });
  assertEquals(credentialsOf({ group: "54321" }), { gid: 54321, groups: [54321] });
  assertEquals(credentialsOf({ user: "54321", group: "54322" }), {
    uid: 54321,
    gid: 54322,
    groups: [54322],
  });
});

for (
  const [names, which, found] of [
    [{ user: "no-such-user" }, "user", "no such user"],
    [{ user: "no-such-user", group: "no-such-group" }, "user", "no such user"],
    [{ user: "root", group: "no-such-group" }, "group", "no such group"],
    [{ group: "-1" }, "group", "no such group"],
    // What stands for no number in setuid(2).
    [{ group: "4294967295" }, "group", "no such group"],
    [{ user: "54321" }, "user", "a number that is no user's, and no server-group"],
  ] as const
) {
  Deno.test(`credentialsOf() refuses ${JSON.stringify(names)}`, () => {
    const error = assertThrows(() => credentialsOf(names), UnknownAccountError);
    assertEquals([error.which, error.found], [which, found]);
  });
}

Deno.test("findUser() knows a user by name only", () => {
  assertEquals(findUser("root"), {
    name: "root",
    uid: 0,
    gid: 0,
    home: passwd("root").split(":")[5],
  });
  assertEquals(findUser("0"), undefined);
});

Deno.test("hasCredentials() is true for this process, and for no other groups or user", () => {
  const own = { uid: Number(id("-u")), gid: Number(id("-g")), groups: numbers(id("-G")) };
  assert(hasCredentials(own));
  assert(hasCredentials({ gid: own.gid, groups: own.groups }));
  assert(!hasCredentials({ ...own, uid: own.uid + 1 }));
  assert(!hasCredentials({ ...own, gid: own.gid + 1 }));
  assert(!hasCredentials({ ...own, groups: [...own.groups, 54321] }));
});

Deno.test("ownerOf() gives the numbers of names, and numbers as they are, and no group with a user", () => {
  const { uid, gid } = credentialsOf({ user: "daemon" });
  assertEquals(ownerOf({ user: "daemon" }), { uid });
  assertEquals(ownerOf({ group: "daemon" }), { gid });
  assertEquals(ownerOf({ user: "54321", group: "54322" }), { uid: 54321, gid: 54322 });
  for (const names of [{ user: "no-such-user" }, { group: "no-such-group" }, { user: "-1" }]) {
    assertThrows(() => ownerOf(names), UnknownAccountError);
  }
});

Deno.test("isOwnGroup() is true for the groups of this process", () => {
  for (const gid of numbers(id("-G"))) assert(isOwnGroup(gid));
  assert(!isOwnGroup(54321));
});
