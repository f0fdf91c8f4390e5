import { cpuUsage } from "node:process";
import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { AdoptError } from "../../../src/os/adopt/listener.ts";
import { openLoopWait } from "../../../src/os/adopt/loop_wait.ts";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLLIN, Poller } from "../../../src/os/fd/poller.ts";
import { O_CLOEXEC } from "../../../src/os/ffi/constants.ts";
import type { SysError } from "../../../src/os/ffi/errors.ts";
import { encodeEpollEvent } from "../../../src/os/ffi/layout.ts";
import { libc, unwrap } from "../../../src/os/ffi/libc.ts";
import { receiveWithFds, sendWithFds } from "../../../src/os/net/fd_passing.ts";
import { socketPair } from "../../../src/os/net/socket.ts";
import { endOutput } from "../../../src/os/net/stream.ts";
import { countedDescriptors, leavesNothingOpen } from "../../support/descriptors.ts";
import { startFunction } from "../../support/processes.ts";
import { eventually, within } from "../../support/wait.ts";

const BYTE = new Uint8Array([1]);

/** A poller that the runtime's event loop waits for, with a watched pair whose bytes are counted. */
async function waitingPoller() {
  const errors: unknown[] = [];
  const poller = new Poller((error) => errors.push(error));
  const [one, two] = socketPair();
  let count = 0, told = Promise.withResolvers<void>();
  const watch = poller.watch(one, EPOLLIN, () => {
    receiveWithFds(one, new Uint8Array(1));
    count++;
    told.resolve();
  });
  await poller.waitBy(openLoopWait);
  return {
    poller,
    errors,
    two,
    count: () => count,
    /** Sends a byte, and waits until it has come. */
    async event() {
      told = Promise.withResolvers();
      sendWithFds(two, BYTE);
      await within(told.promise, { what: "an event" });
    },
    close() {
      watch.stop();
      closeFd(one);
      closeFd(two);
      assertEquals(errors, []);
    },
  };
}

for (const isLoaded of [false, true]) {
  const how = isLoaded ? "under load" : "at rest";

  Deno.test(`openLoopWait() wakes a poller for every event (${how})`, () =>
    leavesNothingOpen(async () => {
      const scene = await waitingPoller();
      scene.poller.isLoaded = isLoaded;
      for (let sent = 0; sent < 2_000; sent++) {
        await scene.event();
        // The next one comes in the same turn, in the next one, or while it waits.
        if (sent % 3 === 1) await new Promise((resolve) => setImmediate(resolve));
        if (sent % 10 === 2) await new Promise((resolve) => setTimeout(resolve, 1));
      }
      assertEquals(scene.count(), 2_000);
      scene.close();
    }));

  Deno.test(`openLoopWait() lets timers run while events never end (${how})`, () =>
    leavesNothingOpen(async () => {
      const scene = await waitingPoller();
      scene.poller.isLoaded = isLoaded;
      const [one, two] = socketPair();
      // It stays ready.
      sendWithFds(two, BYTE);
      let calls = 0;
      const busy = scene.poller.watch(one, EPOLLIN, () => calls++);
      await eventually(() => calls > 0, { what: "the first event" });
      for (let timer = 0; timer < 20; timer++) {
        const before = calls;
        await within(new Promise((resolve) => setTimeout(resolve, 0)), { what: "a timer" });
        await eventually(() => calls > before, { what: "further events" });
      }
      sendWithFds(scene.two, BYTE);
      await eventually(() => scene.count() === 1, { what: "the other descriptor's turn" });
      busy.stop();
      closeFd(one);
      closeFd(two);
      scene.close();
    }));
}

Deno.test("openLoopWait() is opened again for a poller that is watched again", () =>
  leavesNothingOpen(async () => {
    const poller = new Poller((error) => {
      throw error;
    });
    for (let round = 0; round < 5; round++) {
      const [one, two] = socketPair();
      const told = Promise.withResolvers<void>();
      const watch = poller.watch(one, EPOLLIN, () => told.resolve());
      // In odd rounds the event comes while it is being opened.
      if (round % 2 === 0) await poller.waitBy(openLoopWait);
      sendWithFds(two, BYTE);
      await within(told.promise, { what: "an event" });
      watch.stop();
      closeFd(one);
      closeFd(two);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }));

Deno.test("openLoopWait() uses no processor time while nothing is ready", () =>
  leavesNothingOpen(async () => {
    const scene = await waitingPoller();
    scene.poller.isLoaded = true;
    await scene.event();
    const before = cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const { user, system } = cpuUsage(before);
    // A loop that does not wait would need about 300,000 microseconds.
    assertLess(user + system, 100_000);
    scene.close();
  }));

Deno.test("openLoopWait() says that it may not listen, and the poller goes on without it", async () => {
  await using child = startFunction(import.meta, async () => {
    const { Poller, EPOLLIN } = await import("../../../src/os/fd/poller.ts");
    const { openLoopWait } = await import("../../../src/os/adopt/loop_wait.ts");
    const { socketPair } = await import("../../../src/os/net/socket.ts");
    const { sendWithFds } = await import("../../../src/os/net/fd_passing.ts");
    Deno.permissions.revokeSync({ name: "net" });
    const [one, two] = socketPair();
    const poller = new Poller(console.error);
    const watch = poller.watch(one, EPOLLIN, () => {
      console.log("event");
      watch.stop();
    });
    await poller.waitBy(async (epoll) => {
      try {
        return await openLoopWait(epoll);
      } catch (error) {
        console.log((error as Error).name);
      }
    });
    sendWithFds(two, new Uint8Array(1));
  });
  assertEquals(await child.succeeds(), "AdoptError\nevent\n");
});

Deno.test("openLoopWait() says at once that no byte can take the place of another: no event would wake anybody", () =>
  leavesNothingOpen(async () => {
    const epoll = unwrap({ syscall: "epoll_create1" }, () => libc().epoll_create1(O_CLOEXEC));
    const before = countedDescriptors();
    const wait = await openLoopWait(epoll);
    for (const [fd, target] of countedDescriptors()) {
      if (target.startsWith("socket:") && before.get(fd) !== target) endOutput(fd);
    }
    const ready = unwrap({ syscall: "eventfd" }, () => libc().eventfd(1, O_CLOEXEC));
    const event = encodeEpollEvent(EPOLLIN, 0n);
    unwrap({ syscall: "epoll_ctl" }, () => libc().epoll_ctl(epoll, EPOLL_CTL_ADD, ready, event));
    await assertRejects(() => within(wait.ready(true, false), { what: "an event" }), AdoptError);
    wait.close();
    [ready, epoll].forEach(closeFd);
  }));

Deno.test("openLoopWait() fails, and can be closed, when its registration is gone: the thread takes its place", () =>
  leavesNothingOpen(async () => {
    const errors: unknown[] = [];
    const poller = new Poller((error) => errors.push(error));
    const [one, two] = socketPair();
    const told = Promise.withResolvers<void>();
    const watch = poller.watch(one, EPOLLIN, () => told.resolve());
    const before = countedDescriptors();
    await poller.waitBy(async (epoll) => {
      const wait = await openLoopWait(epoll);
      const instances = [...countedDescriptors()].filter(([, target]) =>
        target.includes("eventpoll")
      );
      for (const [own] of instances.filter(([fd]) => !before.has(fd))) {
        const event = encodeEpollEvent(0, 0n);
        for (const [outer] of instances) libc().epoll_ctl(outer, EPOLL_CTL_DEL, own, event);
      }
      return wait;
    });
    await eventually(() => errors.length > 0, { what: "an error" });
    sendWithFds(two, BYTE);
    await within(told.promise, { what: "an event" });
    assertEquals(errors.map((error) => (error as SysError).code), ["ENOENT"]);
    watch.stop();
    [one, two].forEach(closeFd);
  }));

Deno.test("openLoopWait() refuses what is no epoll instance, and leaves nothing open", () =>
  leavesNothingOpen(async () => {
    const [one, two] = socketPair();
    closeFd(one);
    closeFd(two);
    await assertRejects(() => openLoopWait(one));
    const error: Error = await assertRejects(() => openLoopWait(1_000_000), Error);
    assert(!(error instanceof AdoptError));
  }));
