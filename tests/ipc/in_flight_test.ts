import { assertEquals } from "@std/assert";
import { startFunction, withOpenFileLimit } from "../support/processes.ts";

Deno.test("Channel waits where more descriptors are in flight than an ordinary user may have open", async () => {
  await using child = startFunction(import.meta, async () => {
    const { Channel } = await import("../../src/ipc/channel.ts");
    const { closeFd } = await import("../../src/os/fd/descriptor.ts");
    const { Poller } = await import("../../src/os/fd/poller.ts");
    const { socketPair } = await import("../../src/os/net/socket.ts");
    const { countedDescriptors, openFile } = await import("../support/descriptors.ts");
    const { becomeOrdinaryUser } = await import("../support/privileges.ts");
    const { eventually } = await import("../support/wait.ts");
    const { ANYBODY, numbered } = await import("./channel_support.ts");
    const failed = (error: unknown) => console.log("failed", String(error));
    // Opened before: another user may not be able to load what this one can.
    const files = Array.from({ length: 60 }, () => openFile("/dev/null"));
    const poller = new Poller(failed);
    becomeOrdinaryUser();
    const pairs = Array.from({ length: 8 }, () => socketPair());
    const senders = pairs.map(([fd]) =>
      new Channel({ fd, poller, sender: ANYBODY }, {
        onMessage() {},
        onUnknown() {},
        onClose: failed,
      })
    );
    const before = countedDescriptors().size;
    for (const [index, sender] of senders.entries()) sender.send(numbered(index), files);
    // What waits costs one duplicate of each descriptor, and not one for each message.
    console.log(countedDescriptors().size - before);
    const received: number[] = [];
    const receivers = pairs.map(([, fd], index) =>
      new Channel({ fd, poller, sender: ANYBODY }, {
        onMessage(_message, fds) {
          fds.forEach(closeFd);
          received[index] = fds.length;
        },
        onUnknown() {},
        onClose: failed,
      })
    );
    await eventually(() => Object.keys(received).length === pairs.length, { what: "all" });
    console.log(received.join());
    [...senders, ...receivers].forEach((channel) => channel.close());
    console.log(countedDescriptors().size <= before - 2 * pairs.length);
  }, { prefix: withOpenFileLimit(256) });
  assertEquals(await child.succeeds(), `60\n${Array(8).fill(60).join()}\ntrue\n`);
});
