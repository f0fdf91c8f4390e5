/**
 * A process that serves HTTP for one test: it prints `serving` when it does, and `stopping` when it has
 * been told to stop.
 *
 * @module
 */
import { ReservedPort } from "../support/ports.ts";
import type { TestProcess } from "../support/processes.ts";
import { TempDir } from "../support/temp.ts";
import { HttpClient } from "./http_client.ts";

/** Where it is to serve. */
export interface ServerPlace {
  /** A folder of its own. */
  readonly dir: TempDir;
  /** The address, as `server-service` has it. */
  readonly address: string;
}

/** A running server. Declare it with `await using`. */
export interface HttpTestServer extends AsyncDisposable {
  readonly process: TestProcess;
  /** A port, or the path of a unix socket. */
  readonly target: number | string;
  connect(options?: { readonly tls?: boolean }): Promise<HttpClient>;
  /** Tells it to stop, and waits until it accepts no more. */
  softstop(): Promise<void>;
}

/**
 * Starts a server, and waits until it serves.
 *
 * @param run Starts its process.
 * @param options `unix`: whether it serves a unix socket; default a port.
 */
export async function startHttpServer(
  run: (place: ServerPlace) => TestProcess,
  { unix = false }: { readonly unix?: boolean } = {},
): Promise<HttpTestServer> {
  const dir = new TempDir(), reserved = new ReservedPort();
  const target = unix ? dir.file("http") : reserved.port;
  const process = run({ dir, address: unix ? `${target}` : `127.0.0.1:${target}` });
  await process.prints(/serving\n/);
  return {
    process,
    target,
    connect: (options) => HttpClient.connect(target, options),
    async softstop() {
      process.signal("SIGTERM");
      await process.prints(/stopping\n/);
    },
    async [Symbol.asyncDispose]() {
      await process[Symbol.asyncDispose]();
      reserved[Symbol.dispose]();
      dir[Symbol.dispose]();
    },
  };
}
