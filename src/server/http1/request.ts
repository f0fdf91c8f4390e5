/**
 * The `Request` and the information that an HTTP/1 handler receives: the same as from Deno.serve, also
 * where the `Request` constructor would change the address or the method.
 *
 * @module
 */
import { type RequestHead, textOf } from "./head.ts";
import type { ListenAddress } from "../../os/net/socket.ts";

/** The address at which requests arrive. */
export interface Http1Place {
  readonly address: ListenAddress;
  readonly isTls: boolean;
}

/** Methods whose requests have no body in the runtime. */
const WITHOUT_BODY: ReadonlySet<string> = new Set(["GET", "HEAD", "CONNECT"]);

/** A placeholder for an address that `Request` refuses; the handler never sees it. */
const NOWHERE = "http://localhost/";

/** Returns the address of a request in the runtime's form, without normalization. */
function urlOf({ method, target, fields }: RequestHead, place: Http1Place): string {
  const scheme = place.isTls
    ? "https://"
    : place.address.kind === "unix"
    ? "http+unix://"
    : "http://";
  if (method === "CONNECT") return scheme + target;
  if (/^[^/*]/.test(target)) {
    const [, before, path = ""] = /^(.*?:\/\/[^/?]*)(.*)$/.exec(target) ?? [];
    return before + (path || "/");
  }
  const [, host = ""] = fields.find(([name]) => name.toLowerCase() === "host") ?? [];
  const authority = textOf(host) || fallbackHost(place);
  return scheme + authority + (target === "*" ? "/*" : target);
}

/** Returns the listener's address, as the host of a request without one. */
function fallbackHost({ address, isTls }: Http1Place): string {
  if (address.kind !== "inet") {
    return Array.from(new TextEncoder().encode(address.path), (byte) => {
      const character = String.fromCharCode(byte);
      if (/[0-9A-Za-z]/.test(character)) return character;
      return `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    }).join("");
  }
  const { hostname, port } = address;
  const host = /^(?:127\.|0\.0\.0\.0$|::1?$)/.test(hostname) ? "localhost" : hostname;
  if (port === (isTls ? 443 : 80)) return host;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The parts of a request. */
export interface RequestParts {
  readonly head: RequestHead;
  readonly place: Http1Place;
  readonly body: BodyInit;
  readonly signal: AbortSignal;
}

/** Makes the request. */
export function requestOf({ head, place, body, signal }: RequestParts): Request {
  const { method } = head, url = urlOf(head, place), hasBody = !WITHOUT_BODY.has(method);
  const init = { headers: headersOf(head), signal, body: hasBody ? body : undefined };
  let request: Request;
  try {
    request = new Request(url, { ...init, method });
  } catch {
    // `Request` refuses the method or the address.
    request = new Request(NOWHERE, { ...init, method: hasBody ? "POST" : "GET" });
  }
  Object.defineProperties(request.headers, IMMUTABLE_HEADERS);
  const isTold = request.url === url && request.method === method;
  return isTold ? request : disguise(request, { url, method });
}

function headersOf({ fields }: RequestHead): [string, string][] {
  const headers = fields.map(([name, value]): [string, string] => [name, value]);
  // The only repeated header field that is not joined by commas (RFC 9113, section 8.2.3).
  const cookies = headers.filter(([name]) => name.toLowerCase() === "cookie");
  if (cookies.length < 2) return headers;
  const rest = headers.filter((field) => !cookies.includes(field));
  return [...rest, ["cookie", cookies.map(([, value]) => value).join("; ")]];
}

const IMMUTABLE = {
  value: () => {
    throw new TypeError("Cannot change headers: headers are immutable");
  },
};
const IMMUTABLE_HEADERS = { append: IMMUTABLE, delete: IMMUTABLE, set: IMMUTABLE };

/** Makes a request, and each clone of it, show another address and method than it was created with. */
function disguise(
  request: Request,
  told: { readonly url: string; readonly method: string },
): Request {
  return Object.defineProperties(request, {
    url: { value: told.url },
    method: { value: told.method },
    clone: { value: () => disguise(Request.prototype.clone.call(request), told) },
  });
}

/** The second argument of a handler. */
export class HandlerInfo implements Deno.ServeHandlerInfo {
  readonly #remoteAddr: Deno.Addr;
  #completed?: PromiseWithResolvers<void>;
  #isSent?: boolean;

  constructor(remoteAddr: Deno.Addr) {
    this.#remoteAddr = remoteAddr;
  }

  /** The address of the client; on a unix socket, the address of the listener. */
  get remoteAddr(): Deno.Addr {
    return { ...this.#remoteAddr };
  }

  /** Fulfilled when the response was sent, rejected when it was not. */
  get completed(): Promise<void> {
    if (this.#completed === undefined) {
      this.#completed = Promise.withResolvers();
      // Without a reader, the rejection is not an error.
      this.#completed.promise.catch(() => {});
      this.#tell();
    }
    return this.#completed.promise;
  }

  /** Settles `completed`: `isSent` tells whether the whole response was sent. */
  settle(isSent: boolean): void {
    this.#isSent = isSent;
    this.#tell();
  }

  #tell(): void {
    if (this.#isSent === undefined) return;
    if (this.#isSent) return this.#completed?.resolve();
    const message = "HTTP response was not sent successfully";
    this.#completed?.reject(new Deno.errors.Interrupted(message));
  }
}
