/**
 * `Deno.listen` and `Deno.listenTls` for a program that knows nothing of its master.
 *
 * @module
 */
import type { FdType } from "../../os/net/socket.ts";
import { runtimeFunctions } from "../../os/net/runtime_functions.ts";
import { openServiceListener } from "../listen/service_listener.ts";
import { TlsContext } from "../tls/context.ts";
import { openTlsListener } from "../tls/listener.ts";
import { portOf } from "./addresses.ts";
import type { ProgramService, ProgramServices } from "./services.ts";

/** The options of both functions, of all kinds of addresses. */
type ListenOptions =
  & Partial<Pick<Deno.ListenTlsOptions, "hostname" | "port" | "alpnProtocols">>
  & Partial<Pick<Deno.UnixListenOptions, "path">>
  & Partial<Pick<Deno.TlsCertifiedKeyPem, "cert" | "key">>
  & { readonly transport?: string };

/** Makes a function in place of `Deno.listen`. */
export function makeListen(services: ProgramServices): typeof Deno.listen {
  const listen = (options: ListenOptions) => {
    const service = takeFor(services, options);
    return service === undefined
      ? Reflect.apply(runtimeFunctions.listen, Deno, [options])
      : new ProgramListener(service, openServiceListener);
  };
  return listen as typeof Deno.listen;
}

/** Makes a function in place of `Deno.listenTls`. */
export function makeListenTls(services: ProgramServices): typeof Deno.listenTls {
  const listenTls = (options: ListenOptions) => {
    const { cert, key, alpnProtocols } = options ?? {};
    const service = cert && key ? takeFor(services, options) : undefined;
    if (service === undefined) return Reflect.apply(runtimeFunctions.listenTls, Deno, [options]);
    const context = new TlsContext({ cert: cert!, key: key!, alpnProtocols });
    return new ProgramListener(service, (fd, type) => openTlsListener(fd, type, context));
  };
  return listenTls as typeof Deno.listenTls;
}

function takeFor(
  services: ProgramServices,
  options: ListenOptions | undefined,
): ProgramService | undefined {
  const { transport = "tcp", path, hostname = "0.0.0.0", port: given } = options ?? {};
  if (transport === "unix" && typeof path === "string") {
    return services.take({ kind: "unix", path });
  }
  const port = portOf(given);
  if (transport !== "tcp" || port === undefined) return undefined;
  return services.take({ kind: "inet", hostname, port });
}

/** A listener whose socket may come later. */
class ProgramListener<C extends Deno.Conn> implements Deno.Listener<C> {
  readonly #service: ProgramService;
  readonly #opening: Promise<Deno.Listener<C> | undefined>;
  readonly #closed = Promise.withResolvers<undefined>();
  #open?: Deno.Listener<C>;
  #isClosed = false;

  /**
   * @param service Its service.
   * @param open Opens the socket.
   */
  constructor(service: ProgramService, open: (fd: number, type: FdType) => Deno.Listener<C>) {
    this.#service = service;
    const opened = service.use(
      () => !this.#isClosed,
      ({ fd, type }) => this.#open = open(fd, type),
    );
    this.#opening = Promise.race([opened, this.#closed.promise]);
  }

  get addr(): Deno.Addr {
    return this.#service.addr;
  }

  async accept(): Promise<C> {
    const open = this.#open ?? await this.#opening;
    if (open === undefined) throw new Deno.errors.BadResource("Listener has been closed");
    return await open.accept();
  }

  async *[Symbol.asyncIterator](): AsyncIterableIterator<C> {
    const open = await this.#opening;
    try {
      if (open !== undefined) yield* open;
    } finally {
      // The end of a loop closes the listener of the runtime, too.
      if (!this.#isClosed) this.close();
    }
  }

  close(): void {
    if (this.#isClosed) throw new Deno.errors.BadResource("Listener has been closed");
    this.#isClosed = true;
    this.#closed.resolve(undefined);
    this.#open?.close();
    this.#service.release();
  }

  /** Does nothing: the master decides how long the process runs. */
  ref(): void {}

  /** See {@linkcode ref}. */
  unref(): void {}

  [Symbol.dispose](): void {
    if (!this.#isClosed) this.close();
  }
}
