/**
 * The signal and the types by which a program learns of the soft stop.
 *
 * @module
 */
import { serverLifecycle } from "./lifecycle.ts";

export type { OpenWork, Softstop } from "./open_work.ts";

/**
 * Returns a signal that is aborted when the server is told to stop, before `beforeSoftstop` is called.
 * It ends work that would otherwise last as long as the server: an event stream, a WebSocket, a long
 * poll, a request to another server. In a standby that was never started it is aborted too.
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
