import { assertEquals, assertThrows } from "@std/assert";
import { listenerWatcher, ListenerWatches } from "../../../src/master/listeners/watches.ts";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { Poller } from "../../../src/os/fd/poller.ts";
import {
  describeListener,
  type ListenAddress,
  shutdownSocket,
} from "../../../src/os/net/socket.ts";
import { openListener } from "../../../src/os/net/open_listener.ts";
import { type Listener, ownListener } from "../../../src/master/policy/listener.ts";
import { turn } from "../../support/polling.ts";
import { TempDir } from "../../support/temp.ts";
import { eventually } from "../../support/wait.ts";

const CLOSED = { fd: 1_000_000, kind: "inet", key: "", owner: "self" } as const;

function open(address: ListenAddress): Listener {
  return ownListener({ kind: address.kind, key: "" }, openListener(address));
}

/** Real listeners, and the reports of their watches. */
class Scene implements Disposable {
  readonly #temp = new TempDir();
  readonly poller = new Poller((error) => this.told.push(error));
  readonly told: unknown[] = [];
  readonly watches = new ListenerWatches(
    listenerWatcher(this.poller),
    ({ fd }) => this.told.push(["shut down", fd]),
  );
  readonly inet = open({ kind: "inet", hostname: "127.0.0.1", port: 0 });
  readonly unix = open({ kind: "unix", path: this.#temp.file("socket") });
  readonly fifo = open({ kind: "fifo", path: this.#temp.file("fifo") });

  expect(...listeners: Listener[]): () => void {
    return this.watches.expect(listeners, ({ fd }) => this.told.push(["waiting", fd]));
  }

  connect({ fd }: Listener): Promise<Deno.Conn> {
    const listener = describeListener(fd);
    return listener.kind === "inet"
      ? Deno.connect({ port: listener.port })
      : Deno.connect({ transport: "unix", path: (listener as { path: string }).path });
  }

  [Symbol.dispose](): void {
    for (const listener of [this.inet, this.unix, this.fifo]) {
      this.watches.remove(listener);
      closeFd(listener.fd);
    }
    this.#temp[Symbol.dispose]();
  }
}

Deno.test("ListenerWatches reports a connection once, and only where one is expected", async () => {
  using scene = new Scene();
  const { watches, inet, unix, fifo, told } = scene;
  for (const listener of [inet, unix, fifo]) watches.add(listener);
  using _first = await scene.connect(inet);
  await turn(scene.poller);
  assertEquals(told, [], "nobody waits for it");
  const end = scene.expect(unix, fifo);
  await turn(scene.poller);
  assertEquals(told, []);
  using _second = await scene.connect(unix);
  await eventually(() => told.length > 0, { what: "the connection" });
  using _third = await scene.connect(unix);
  await turn(scene.poller);
  assertEquals(told, [["waiting", unix.fd]]);
  end();
  const endAgain = scene.expect(inet);
  endAgain();
  await turn(scene.poller);
  assertEquals(told, [["waiting", unix.fd]]);
});

Deno.test("ListenerWatches waits for no connection if it can't watch all listeners", async () => {
  using scene = new Scene();
  assertThrows(() => scene.expect(scene.inet, CLOSED), Error, "EBADF");
  using _conn = await scene.connect(scene.inet);
  await turn(scene.poller);
  assertEquals(scene.told, []);
  scene.expect(scene.inet);
  await eventually(() => scene.told.length > 0, { what: "the connection" });
  assertEquals(scene.told, [["waiting", scene.inet.fd]]);
  scene.watches.add(CLOSED);
  scene.watches.remove(CLOSED);
});

Deno.test("ListenerWatches reports once that a listener was shut down, whether a connection is expected or not", async () => {
  using scene = new Scene();
  const { watches, inet, unix, told } = scene;
  for (const listener of [inet, unix]) watches.add(listener);
  scene.expect(unix);
  for (const [count, { fd }] of [inet, unix].entries()) {
    shutdownSocket(fd);
    await eventually(() => told.length > count, { what: "its end" });
  }
  await turn(scene.poller);
  assertEquals(told, [["shut down", inet.fd], ["shut down", unix.fd]]);
});

Deno.test("ListenerWatches still waits for a connection on the replacement of a listener", async () => {
  using scene = new Scene();
  const { watches, inet, unix, told } = scene;
  watches.add(inet);
  scene.expect(inet);
  watches.pause(inet);
  watches.replace(inet, unix);
  watches.add(unix);
  using _old = await scene.connect(inet);
  await turn(scene.poller);
  assertEquals(told, []);
  using _new = await scene.connect(unix);
  await eventually(() => told.length > 0, { what: "the connection" });
  assertEquals(told, [["waiting", unix.fd]]);
});
