/**
 * What a program is told of the stop of its server: types, and the signal.
 *
 * @module
 */
import { serverLifecycle } from "./lifecycle.ts";

export type { OpenWork, Softstop } from "./open_work.ts";

/**
 * A signal that is aborted when the server is told to stop, before `beforeSoftstop` is called: for what
 * would go on for as long as the server does, such as a stream of events, a WebSocket, a long poll, or a
 * request to another server. In a standby that is not needed it is aborted too.
 *
 * @returns The signal; the same at each call.
 *
 * @example
 * ```ts
 * import { softstopSignal } from "@zc/master";
 *
 * function ticks(): Response {
 *   let timer: ReturnType<typeof setInterval> | undefined;
 *   const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
 *     start(controller) {
 *       const encoder = new TextEncoder();
 *       timer = setInterval(() => controller.enqueue(encoder.encode("data: tick\n\n")), 1000);
 *       softstopSignal().addEventListener("abort", () => {
 *         clearInterval(timer);
 *         controller.close();
 *       });
 *     },
 *     cancel: () => clearInterval(timer),
 *   });
 *   return new Response(body, { headers: { "content-type": "text/event-stream" } });
 * }
 * ```
 */
export function softstopSignal(): AbortSignal {
  return serverLifecycle.softstopSignal;
}
