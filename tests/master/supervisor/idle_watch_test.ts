import { assertEquals } from "@std/assert";
import { IdleWatch } from "../../../src/master/supervisor/idle_watch.ts";
import { newService, type Service } from "../../../src/master/policy/model.ts";
import { type Listener, ownListener } from "../../../src/master/policy/listener.ts";
import { FakeClock } from "../../fakes/fake_clock.ts";
import { serviceOf } from "../service_configs.ts";

function idleService(id: string): Service {
  return { ...newService(id), current: { config: serviceOf(id), generation: 1 } };
}

/** Idle services, on a system that refuses watches at times. */
class Scene {
  readonly clock: FakeClock = new FakeClock();
  readonly log: string[] = [];
  readonly woken: [id: string, fd: number][] = [];
  refuses = false;
  /** The callback of each watch, for a waiting connection. */
  readonly watches: Set<(listener: Listener) => void> = new Set();
  readonly idleWatch: IdleWatch = new IdleWatch({
    clock: this.clock,
    log: (text) => this.log.push(text),
  }, {
    onWaiting: ({ id }, { fd }) => this.woken.push([id, fd]),
    watch: (_config, onWaiting) => {
      if (this.refuses) throw new Error("no room");
      this.watches.add(onWaiting);
      return () => this.watches.delete(onWaiting);
    },
  });
}

Deno.test("IdleWatch tries a failed watch again until it succeeds, and logs it once", () => {
  const scene = new Scene(), service = idleService("x");
  scene.refuses = true;
  scene.idleWatch.update(service, true);
  scene.idleWatch.update(service, true);
  scene.clock.advance(2_500);
  assertEquals(scene.watches.size, 0);
  assertEquals(scene.log, [
    "x: can't watch for connections, and tries again every second: no room",
  ]);
  scene.refuses = false;
  scene.clock.advance(500);
  assertEquals(scene.clock.pending, 0);
  const [tell] = scene.watches;
  tell(ownListener({ kind: "unix", key: "unix:/run/x" }, { fd: 7 }));
  assertEquals(scene.woken, [["x", 7]]);
});

Deno.test("IdleWatch does not retry a watch that is no longer needed", () => {
  const scene = new Scene(), service = idleService("x");
  scene.refuses = true;
  scene.idleWatch.update(service, true);
  scene.idleWatch.update(service, false);
  scene.refuses = false;
  assertEquals(scene.clock.pending, 0);
  scene.idleWatch.update(service, true);
  assertEquals(scene.watches.size, 1);
});
