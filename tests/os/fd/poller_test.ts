import { assert, assertEquals, assertGreater, assertLess, assertThrows } from "@std/assert";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { SysError } from "../../../src/os/ffi/errors.ts";
import { receiveWithFds, sendWithFds } from "../../../src/os/net/fd_passing.ts";
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, Poller } from "../../../src/os/fd/poller.ts";
import { socketPair } from "../../../src/os/net/socket.ts";
import { leavesNothingOpen, openFile } from "../../support/descriptors.ts";
import { turn } from "../../support/polling.ts";
import { startFunction, withOpenFileLimit } from "../../support/processes.ts";
import { TempDir } from "../../support/temp.ts";
import { eventually, within } from "../../support/wait.ts";

const BYTE = new Uint8Array([1]);

function newPoller(): Poller {
  return new Poller((error) => {
    throw error;
  });
}

Deno.test("Poller.watch() calls back for each of many descriptors, with its own events", async () => {
  await leavesNothingOpen(async () => {
    const poller = newPoller();
    const pairs = Array.from({ length: 200 }, () => socketPair());
    const told: number[] = [];
    const done = Promise.withResolvers<void>();
    const watches = pairs.map(([one], index) =>
      poller.watch(one, EPOLLIN, (events) => {
        assertEquals(events, EPOLLIN);
        receiveWithFds(one, new Uint8Array(1));
        told.push(index);
        if (told.length === pairs.length) done.resolve();
      })
    );
    for (const [, two] of pairs) sendWithFds(two, BYTE);
    await within(done.promise, { what: "200 events" });
    assertEquals(told.toSorted((a, b) => a - b), pairs.map((_, index) => index));
    watches.forEach((watch) => watch.stop());
    pairs.flat().forEach(closeFd);
  });
});

Deno.test("Poller.watch() calls again while a descriptor stays ready", async () => {
  await leavesNothingOpen(async () => {
    const poller = newPoller();
    const [one, two] = socketPair();
    sendWithFds(two, BYTE);
    let calls = 0;
    const done = Promise.withResolvers<void>();
    const watch = poller.watch(one, EPOLLIN, () => {
      if (++calls === 3) done.resolve();
    });
    await within(done.promise, { what: "three calls" });
    watch.stop();
    closeFd(one);
    closeFd(two);
  });
});

Deno.test("Poller.watch() tells of a hang-up that nobody asked for", async () => {
  await leavesNothingOpen(async () => {
    const poller = newPoller();
    const [one, two] = socketPair();
    const told = Promise.withResolvers<number>();
    const watch = poller.watch(one, 0, told.resolve);
    closeFd(two);
    const events = await within(told.promise, { what: "a hang-up" });
    assert(events & EPOLLHUP);
    assertEquals(events & ~(EPOLLHUP | EPOLLERR), 0);
    watch.stop();
    closeFd(one);
  });
});

Deno.test("Watch.modify() changes what is watched for", async () => {
  await leavesNothingOpen(async () => {
    const poller = newPoller();
    const [one, two] = socketPair();
    const seen: number[] = [];
    let told = Promise.withResolvers<void>();
    const watch = poller.watch(one, 0, (events) => {
      seen.push(events);
      watch.modify(0);
      told.resolve();
    });
    sendWithFds(two, BYTE);
    await turn(poller);
    assertEquals(seen, []);
    for (const events of [EPOLLOUT, EPOLLIN, EPOLLIN | EPOLLOUT]) {
      told = Promise.withResolvers();
      watch.modify(events);
      await within(told.promise, { what: "an event" });
    }
    assertEquals(seen, [EPOLLOUT, EPOLLIN, EPOLLIN | EPOLLOUT]);
    await turn(poller);
    assertEquals(seen.length, 3);
    watch.stop();
    watch.modify(EPOLLIN);
    closeFd(one);
    closeFd(two);
  });
});

Deno.test("Watch.stop() in its own callback is the last of it, and twice is harmless", async () => {
  await leavesNothingOpen(async () => {
    const poller = newPoller();
    const [one, two] = socketPair();
    let calls = 0;
    const watch = poller.watch(one, EPOLLOUT, () => {
      calls++;
      watch.stop();
      watch.stop();
    });
    await turn(poller);
    await turn(poller);
    assertEquals(calls, 1);
    closeFd(one);
    closeFd(two);
  });
});

Deno.test("Watch.stop() of another watch holds for an event that has been fetched already", async () => {
  await leavesNothingOpen(async () => {
    const poller = newPoller();
    const pairs = [socketPair(), socketPair(), socketPair()];
    const told: number[] = [];
    const watches = pairs.map(([one], index) =>
      poller.watch(one, 0, () => {
        told.push(index);
        watches.forEach((watch) => watch.stop());
        pairs.flat().forEach(closeFd);
      })
    );
    await turn(poller, () => watches.forEach((watch) => watch.modify(EPOLLOUT)));
    const called = () => told.length > 0;
    await eventually(called, { what: "an event" });
    await turn(poller);
    assertEquals(told.length, 1);
  });
});

Deno.test("Poller.watch() tells a descriptor from an earlier one of the same number", async () => {
  await leavesNothingOpen(async () => {
    const poller = newPoller();
    const pairs = [socketPair(), socketPair()];
    const told: string[] = [];
    const reused = Promise.withResolvers<() => void>();
    const watches = pairs.map(([one], index) =>
      poller.watch(one, 0, () => {
        told.push("right");
        watches.forEach((watch) => watch.stop());
        // The other's event is in the same batch: it must not reach the descriptor with its number.
        const [other] = pairs[1 - index];
        closeFd(other);
        const [taken, end] = socketPair();
        assertEquals(taken, other);
        const quiet = poller.watch(taken, EPOLLIN, () => told.push("wrong"));
        reused.resolve(() => {
          quiet.stop();
          closeFd(end);
          pairs.flat().forEach(closeFd);
        });
      })
    );
    await turn(poller, () => watches.forEach((watch) => watch.modify(EPOLLOUT)));
    const cleanUp = await within(reused.promise, { what: "an event" });
    await turn(poller);
    assertEquals(told, ["right"]);
    cleanUp();
  });
});

Deno.test("Poller gives what a callback throws to onError, and the others go on", async () => {
  await leavesNothingOpen(async () => {
    const errors: unknown[] = [];
    const poller = new Poller((error) => errors.push(error));
    const pairs = Array.from({ length: 5 }, () => socketPair());
    const told: number[] = [];
    const watches = pairs.map(([one], index) =>
      poller.watch(one, EPOLLOUT, () => {
        watches[index].modify(0);
        told.push(index);
        throw new Error(`callback ${index}`);
      })
    );
    await eventually(() => told.length === pairs.length, { what: "all callbacks" });
    await turn(poller);
    assertEquals(errors.map(String).sort(), pairs.map((_, index) => `Error: callback ${index}`));
    watches.forEach((watch) => watch.stop());
    pairs.flat().forEach(closeFd);
  });
});

Deno.test("Poller.watch() works again after all watches were stopped", async () => {
  await leavesNothingOpen(async () => {
    const poller = newPoller();
    for (let round = 0; round < 20; round++) {
      const [one, two] = socketPair();
      const told = Promise.withResolvers<void>();
      const watch = poller.watch(one, EPOLLOUT, () => told.resolve());
      await within(told.promise, { what: "an event" });
      watch.stop();
      // In odd rounds the loop has ended by then, in even ones it is about to.
      if (round % 2 === 1) await new Promise((resolve) => setTimeout(resolve, 1));
      closeFd(one);
      closeFd(two);
    }
  });
});

Deno.test("Poller.watch() refuses what can't be watched, and works after that", async () => {
  using temp = new TempDir();
  await leavesNothingOpen(async () => {
    const poller = newPoller();
    const file = openFile(temp.file("file"));
    const refused = (fd: number) =>
      assertThrows(() => poller.watch(fd, EPOLLIN, () => {}), SysError).code;
    assertEquals(refused(1_000_000), "EBADF");
    assertEquals(refused(file), "EPERM");
    await turn(poller);

    const [one, two] = socketPair();
    const watch = poller.watch(one, 0, () => {});
    assertEquals(refused(one), "EEXIST");
    assertEquals(refused(file), "EPERM");
    await turn(poller);
    watch.stop();
    [one, two, file].forEach(closeFd);
  });
});

Deno.test("Poller.watch() leaves nothing open at the limit of open files", async () => {
  await using child = startFunction(import.meta, async () => {
    const { closeFd, duplicateFd } = await import("../../../src/os/fd/descriptor.ts");
    const { countedDescriptors } = await import("../../support/descriptors.ts");
    const { EPOLLIN, Poller } = await import("../../../src/os/fd/poller.ts");
    const poller = new Poller(console.error);
    const before = countedDescriptors().size;
    const fill: number[] = [];
    try {
      for (;;) fill.push(duplicateFd(0));
    } catch { /* The limit is reached. */ }
    for (const free of [0, 1]) {
      fill.splice(0, free).forEach(closeFd);
      try {
        poller.watch(fill[10], EPOLLIN, () => {});
      } catch (error) {
        console.log((error as Error).message);
      }
    }
    fill.forEach(closeFd);
    console.log(countedDescriptors().size - before);
  }, { prefix: withOpenFileLimit(100) });
  assertEquals((await child.succeeds()).split("\n"), [
    "epoll_create1: too many open files in this process (EMFILE)",
    "eventfd: too many open files in this process (EMFILE)",
    "0",
    "",
  ]);
});

Deno.test("Poller has its own descriptors close-on-exec, and only while something is watched", async () => {
  await using child = startFunction(import.meta, async () => {
    const { Poller } = await import("../../../src/os/fd/poller.ts");
    const { socketPair } = await import("../../../src/os/net/socket.ts");
    const { countedDescriptors, eventually, flagsOf } = {
      ...await import("../../support/wait.ts"),
      ...await import("../../support/descriptors.ts"),
    };
    const [one] = socketPair();
    const before = countedDescriptors();
    const watch = new Poller(console.error).watch(one, 0, () => {});
    const own = [...countedDescriptors().keys()].filter((fd) => !before.has(fd));
    console.log(own.length, own.every((fd) => flagsOf(fd).closeOnExec));
    watch.stop();
    const closed = () => own.every((fd) => !countedDescriptors().has(fd));
    await eventually(closed, { what: "the poller's descriptors to be closed" });
  });
  assertEquals(await child.succeeds(), "2 true\n");
});

Deno.test("Poller lets the process end once nothing is watched", async () => {
  await using child = startFunction(import.meta, async () => {
    const { EPOLLIN, Poller } = await import("../../../src/os/fd/poller.ts");
    const { socketPair } = await import("../../../src/os/net/socket.ts");
    const { sendWithFds } = await import("../../../src/os/net/fd_passing.ts");
    const poller = new Poller(console.error);
    const [one, two] = socketPair();
    const [three] = socketPair();
    const quiet = poller.watch(three, EPOLLIN, () => console.log("wrong"));
    const watch = poller.watch(one, EPOLLIN, () => {
      console.log("event");
      watch.stop();
      quiet.stop();
    });
    setTimeout(() => sendWithFds(two, new Uint8Array(1)), 20);
  });
  assertEquals(await child.succeeds(), "event\n");
});

Deno.test("Poller keeps the process running while something is watched, and Deno.exit() ends it", async () => {
  await using child = startFunction(import.meta, async () => {
    const { EPOLLIN, Poller } = await import("../../../src/os/fd/poller.ts");
    const { socketPair } = await import("../../../src/os/net/socket.ts");
    const { sendWithFds } = await import("../../../src/os/net/fd_passing.ts");
    const [one, two] = socketPair();
    new Poller(console.error).watch(one, EPOLLIN, () => Deno.exit(7));
    // A timer that does not hold the process.
    Deno.unrefTimer(setTimeout(() => sendWithFds(two, new Uint8Array(1)), 50) as unknown as number);
  });
  assertEquals((await child.ended()).code, 7);
});

Deno.test("Poller does not hold up the end of a process by an uncaught error", async () => {
  await using child = startFunction(import.meta, async () => {
    const { EPOLLIN, Poller } = await import("../../../src/os/fd/poller.ts");
    const { socketPair } = await import("../../../src/os/net/socket.ts");
    new Poller(console.error).watch(socketPair()[0], EPOLLIN, () => {});
    setTimeout(() => {
      throw new Error("uncaught");
    }, 10);
  });
  const { code, stderr } = await child.ended();
  assertEquals(code, 1);
  assert(stderr.includes("uncaught"));
});

Deno.test("Poller uses no processor time while nothing is ready", async () => {
  await leavesNothingOpen(async () => {
    const poller = newPoller();
    const pairs = Array.from({ length: 50 }, () => socketPair());
    // Its last watch was stopped just now, so that the loop was told to end and goes on all the same.
    await turn(poller);
    const watches = pairs.map(([one]) => poller.watch(one, EPOLLIN, () => {}));
    const before = ownTicks();
    await new Promise((resolve) => setTimeout(resolve, 300));
    // A loop that does not wait would need about 30.
    assertLess(ownTicks() - before, 10);
    watches.forEach((watch) => watch.stop());
    pairs.flat().forEach(closeFd);
  });
});

Deno.test("Poller under load lets timers and promises have their turn while events never end", async () => {
  await leavesNothingOpen(async () => {
    const poller = newPoller();
    poller.isLoaded = true;
    const [one, two] = socketPair();
    let calls = 0, reactions = 0;
    const watch = poller.watch(one, EPOLLOUT, () => {
      // The reactions to an event come before the next one.
      assertEquals(reactions, calls++);
      Promise.resolve().then(() => reactions++);
    });
    for (let timer = 0; timer < 20; timer++) {
      const before = calls;
      await eventually(() => calls > before, { what: "further events" });
    }
    watch.stop();
    closeFd(one);
    closeFd(two);
  });
});

Deno.test("Poller under load uses no processor time while nothing is ready", async () => {
  await leavesNothingOpen(async () => {
    const poller = newPoller();
    poller.isLoaded = true;
    await turn(poller);
    const [one, two] = socketPair();
    const watch = poller.watch(one, EPOLLIN, () => {});
    const before = ownTicks();
    await new Promise((resolve) => setTimeout(resolve, 300));
    assertLess(ownTicks() - before, 10);
    watch.stop();
    closeFd(one);
    closeFd(two);
  });
});

Deno.test("Poller goes on with the thread where what waits in its place fails", async () => {
  await leavesNothingOpen(async () => {
    const errors: unknown[] = [];
    const poller = new Poller((error) => errors.push(error));
    const [one, two] = socketPair();
    const told = Promise.withResolvers<void>();
    const watch = poller.watch(one, EPOLLIN, () => told.resolve());
    let closed = 0;
    await poller.waitBy(() =>
      Promise.resolve({
        ready: () => Promise.reject(new Error("out of order")),
        close: () => void closed++,
      })
    );
    await eventually(() => closed === 1, { what: "the end of it" });
    sendWithFds(two, BYTE);
    await within(told.promise, { what: "an event" });
    assertEquals(errors.map(String), ["Error: out of order"]);
    watch.stop();
    closeFd(one);
    closeFd(two);
  });
});

/** Processor time of this process in ticks of 10 ms (proc_pid_stat(5)). */
function ownTicks(): number {
  const fields = Deno.readTextFileSync("/proc/self/stat").replace(/^.*\) /, "").split(" ");
  const ticks = Number(fields[11]) + Number(fields[12]);
  assertGreater(ticks, 0);
  return ticks;
}
