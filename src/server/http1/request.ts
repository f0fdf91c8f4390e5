/**
 * What a handler gets for a request of HTTP/1: the same `Request` and the same information as from
 * Deno.serve, also where the web's own `Request` would have another address or method in it.
 *
 * @module
 */
import { type RequestHead, textOf } from "./head.ts";
import type { ListenAddress } from "../../os/net/socket.ts";

/** Where connections come to. */
export interface Http1Place {
  readonly address: ListenAddress;
  readonly isTls: boolean;
}

/** Methods whose requests have no body for the runtime. */
const WITHOUT_BODY: ReadonlySet<string> = new Set(["GET", "HEAD", "CONNECT"]);

/** The address of a request that the web has no address for: it is not seen. */
const NOWHERE = "http://localhost/";

/**
 * The address of a request, as the runtime puts it together: it is not made regular.
 *
 * @param head The request.
 * @param place Where it has come to.
 */
export function urlOf({ method, target, fields }: RequestHead, place: Http1Place): string {
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

/** What stands for the host where a request has none: where the server listens. */
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

/** What a request is made of. */
export interface RequestParts {
  readonly head: RequestHead;
  readonly place: Http1Place;
  readonly body: BodyInit;
  readonly signal: AbortSignal;
}

/**
 * Makes the request.
 *
 * @param parts What of.
 */
export function requestOf({ head, place, body, signal }: RequestParts): Request {
  const { method } = head, url = urlOf(head, place), hasBody = !WITHOUT_BODY.has(method);
  const init = { headers: headersOf(head), signal, body: hasBody ? body : undefined };
  let request: Request;
  try {
    request = new Request(url, { ...init, method });
  } catch {
    // The web refuses the method, or the address.
    request = new Request(NOWHERE, { ...init, method: hasBody ? "POST" : "GET" });
  }
  Object.defineProperties(request.headers, IMMUTABLE_HEADERS);
  const isTold = request.url === url && request.method === method;
  return isTold ? request : disguise(request, { url, method });
}

function headersOf({ fields }: RequestHead): [string, string][] {
  const headers = fields.map(([name, value]): [string, string] => [name, value]);
  // Of all fields that are repeated this one alone is not joined by commas (RFC 9113, section 8.2.3).
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

/** Has a request, and each clone of it, tell another address and method than it was made with. */
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

/** What a handler is told beside the request. */
export class HandlerInfo implements Deno.ServeHandlerInfo {
  readonly #remoteAddr: Deno.Addr;
  #completed?: PromiseWithResolvers<void>;
  #isSent?: boolean;

  /** @param remoteAddr Where the client is. */
  constructor(remoteAddr: Deno.Addr) {
    this.#remoteAddr = remoteAddr;
  }

  /** Where the client is; on a unix socket, where it has connected to. */
  get remoteAddr(): Deno.Addr {
    return { ...this.#remoteAddr };
  }

  /** Fulfilled when the answer was sent, rejected when it was not. */
  get completed(): Promise<void> {
    if (this.#completed === undefined) {
      this.#completed = Promise.withResolvers();
      // Nobody need look at it.
      this.#completed.promise.catch(() => {});
      this.#tell();
    }
    return this.#completed.promise;
  }

  /**
   * Says what has become of the answer.
   *
   * @param isSent Whether all of it was sent.
   */
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
