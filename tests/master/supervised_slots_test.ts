import { assertEquals } from "@std/assert";
import type { FakeWorker } from "../fakes/fake_launcher.ts";
import { A_WHILE_MS, areReady, Scene, toldTo } from "./scene.ts";
import { serviceOf } from "./service_configs.ts";

const KEY = "inet:0.0.0.0:80";

/** A service whose processes have a socket each. */
function balanced(procCount: number, settings: Record<string, string> = {}) {
  return serviceOf("x", {
    addresses: "0:80",
    procCount,
    settings: { "server-balance": "reuseport", ...settings },
  });
}

/** The socket of each process. */
function socketsOf(workers: readonly FakeWorker[]): number[] {
  return workers.map(({ request: { fds: [fd] } }) => fd);
}

/** The slots that receive new connections. */
function chosen(scene: Scene): readonly number[] | undefined {
  return scene.listeners.chosen.get(KEY);
}

Deno.test("a replacement gets the socket of the ended process, though another one is free", () => {
  const scene = Scene.running(balanced(3, { "server-idle-exit": "60" }));
  const [first, second, third] = scene.running, sockets = socketsOf(scene.running);
  first.listener.onUsed(false);
  first.exit();
  scene.fresh();
  third.exit();
  assertEquals(chosen(scene), [sockets[1]]);
  const [newMaster] = scene.fresh();
  assertEquals(socketsOf([newMaster]), [sockets[2]]);
  areReady(newMaster);
  assertEquals(chosen(scene), [sockets[1], sockets[2]]);
  assertEquals(toldTo([second]), [""]);
});

Deno.test("the replacement of a recycled process gets its socket", () => {
  const scene = Scene.running(balanced(3));
  const [, recycleReason] = scene.running;
  scene.fresh();
  recycleReason.listener.onSpent();
  const [newMaster] = scene.fresh();
  assertEquals(socketsOf([newMaster]), socketsOf([recycleReason]));
  areReady(newMaster);
  assertEquals(toldTo([recycleReason]), ["softstop"]);
  assertEquals(chosen(scene)?.length, 3);
});

Deno.test("processes beyond server-proc-count share slots, and stop first", () => {
  const scene = Scene.running(balanced(2));
  const sockets = socketsOf(scene.running);
  scene.fresh();
  scene.running[0].exit();
  areReady(...scene.fresh());
  scene.supervisor.scale.all(+1);
  const [added] = scene.fresh();
  areReady(added);
  assertEquals(socketsOf([added]), [sockets[0]]);
  assertEquals(chosen(scene), sockets);
  scene.supervisor.scale.all(-1);
  const left = scene.running.filter(({ told }) => told.length === 0);
  assertEquals(socketsOf(left).toSorted(), sockets);
});

Deno.test("all sockets of an idle service are watched, and the one with a waiting connection is served", () => {
  const scene = Scene.running(balanced(3, { "server-idle-exit": "60" }));
  const sockets = socketsOf(scene.running);
  for (const worker of scene.running) {
    worker.listener.onUsed(false);
    worker.exit();
  }
  assertEquals(scene.running, []);
  assertEquals(chosen(scene)?.length, 1, "who comes waits where the next process will be");
  assertEquals(scene.expecting, sockets);
  scene.fresh();
  scene.arrive(sockets[1]);
  const [woken] = scene.fresh();
  assertEquals(socketsOf([woken]), [sockets[1]]);
  assertEquals(chosen(scene), [sockets[1]]);
  areReady(woken);
  scene.clock.advance(A_WHILE_MS);
  assertEquals(chosen(scene), [sockets[1]]);
});
