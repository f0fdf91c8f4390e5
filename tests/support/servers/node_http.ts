/**
 * A server in the aio mode that answers by node:http or, with `--express` in its command, by Express:
 * `/` at once, `/slow` when the file `until` of its settings is there. With `--by-itself` it does not ask
 * `serveNode`: it listens, and closes itself when it is told to stop.
 *
 * @module
 */
import { createServer, type RequestListener, type Server } from "node:http";
import { existsSync } from "@std/fs/exists";
import {
  aioServerMain,
  aioServerStopNotify,
  defaultConfig,
  serveNode,
  zinfo,
} from "../../../aio_server.ts";
import { expressApplication } from "./express.ts";
import { eventually } from "../wait.ts";

async function text(path: string): Promise<string> {
  if (path === "/slow") {
    zinfo("slow");
    const until = defaultConfig.getStr("until");
    await eventually(() => existsSync(until), { what: until, withinMs: 60_000 });
  }
  return `${Deno.pid} ${path}`;
}

async function listener(): Promise<RequestListener> {
  if (!Deno.args.includes("--express")) {
    return async (request, answer) => void answer.end(await text(request.url ?? ""));
  }
  return await expressApplication(text);
}

const listensByItself = Deno.args.includes("--by-itself");
const servers: Server[] = [];

Deno.exit(
  await aioServerMain({
    async serviceRegister(_service, fd, fdType) {
      const server = createServer(await listener());
      servers.push(server);
      if (listensByItself) server.listen({ fd });
      else serveNode(fd, fdType, server);
      zinfo("serviceRegister");
    },
    beforeSoftstop() {
      zinfo("beforeSoftstop");
      if (!listensByItself) return;
      for (const server of servers) server.close(() => aioServerStopNotify(0));
    },
  }),
);
