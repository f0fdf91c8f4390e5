import { assertEquals } from "@std/assert";
import { closeFd } from "../../../src/os/fd/descriptor.ts";
import { connectLoopback } from "../../../src/os/net/connections.ts";
import { NOT_NOW, receiveNow, sendNow } from "../../../src/os/net/stream.ts";
import { ReservedPort } from "../../support/ports.ts";
import { descriptorsOf } from "../../support/proc.ts";
import { startFunction } from "../../support/processes.ts";
import { eventually } from "../../support/wait.ts";

const WANTED = 10_000;
/** What this process and the server need for themselves. */
const OTHERS = 200;

/** How many descriptors a process may have open. */
function openFileLimit(): number {
  const [, soft] = /^Max open files +(\d+)/m.exec(Deno.readTextFileSync("/proc/self/limits"))!;
  return Number(soft);
}

async function serveEcho(address: string): Promise<void> {
  const { aioServerGeneralAioRegister, aioServerMain, defaultAioBase } = await import(
    "../../../aio_server.ts"
  );
  type Aio = InstanceType<typeof import("../../../aio_server.ts").Aio>;
  const again = (aio: Aio) => aio.result < 1 ? aio.close() : aio.gets(100, back);
  const back = (aio: Aio) => {
    if (aio.result < 1) return aio.close();
    aio.cacheWriteDirect(aio.getReadCacheDirect(aio.result));
    aio.cacheFlush(again);
  };
  Deno.exit(
    await aioServerMain({
      serviceRegister(_service, fd, fdType) {
        aioServerGeneralAioRegister(defaultAioBase, fd, fdType, again);
        console.log("serving");
      },
    }, ["alone", "-server-service", address]),
  );
}

/** Sends a line of its own on each connection, and waits for all answers. */
async function askAll(clients: readonly number[]): Promise<void> {
  const lines = clients.map((_, index) => new TextEncoder().encode(`line ${index}\n`));
  const waiting = new Set(clients.keys());
  for (const index of waiting) {
    await eventually(() => sendNow(clients[index]!, lines[index]!) > 0, { what: "a write" });
  }
  const room = new Uint8Array(100);
  await eventually(() => {
    for (const index of waiting) {
      const count = receiveNow(clients[index]!, room);
      if (count === NOT_NOW) continue;
      assertEquals(room.subarray(0, count), lines[index]);
      waiting.delete(index);
    }
    return waiting.size === 0;
  }, { what: "all answers" });
}

Deno.test("an aio server holds thousands of connections, serves each, and leaves no descriptor of them", async () => {
  const count = Math.min(WANTED, openFileLimit() - OTHERS);
  using reserved = new ReservedPort();
  await using server = startFunction(import.meta, serveEcho, { arg: `127.0.0.1:${reserved.port}` });
  await server.prints(/serving\n/);
  const clients: number[] = [];
  const open = async (most: number) => {
    while (clients.length < most) clients.push(connectLoopback(reserved.port));
    await askAll(clients);
  };
  try {
    await open(1);
    const before = descriptorsOf(server.pid).size;
    await open(count);
    assertEquals(descriptorsOf(server.pid).size, before + count - 1);
    await askAll(clients);
    // Every second one goes; numbers are taken again.
    clients.splice(
      0,
      clients.length,
      ...clients.filter((fd, index) => index % 2 === 0 || closeFd(fd)),
    );
    await open(count);
    clients.splice(1).forEach(closeFd);
    await eventually(() => descriptorsOf(server.pid).size === before, {
      what: "closed descriptors",
    });
    await askAll(clients);
  } finally {
    clients.forEach(closeFd);
  }
});
