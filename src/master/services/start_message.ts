/**
 * The start message to a server of this framework.
 *
 * @module
 */
import type { GrantedSettings } from "../../config/effective.ts";
import type { ServiceConfig } from "../../config/service.ts";
import { settingOf } from "../../config/settings.ts";
import type { StandbyMessage, StartMessage } from "../../ipc/messages.ts";
import { readable } from "../../os/ffi/byte_text.ts";
import { ownSettings } from "./server_argv.ts";

/**
 * The message that tells a server its generation, settings and listeners.
 *
 * @param service Its service.
 * @param options `generation`: the generation of the server. `fds`: its listeners, if they are
 * inherited.
 */
export function startMessage(
  service: ServiceConfig,
  { generation, fds }: { readonly generation: number; readonly fds?: readonly number[] },
): StartMessage {
  const services = service.endpoints.map(({ service: name, kind, text }, index) => ({
    name: readable(name),
    type: kind,
    address: readable(text),
    ...(fds && { fd: fds[index] }),
  }));
  return { type: "start", services, ...whatIsTold(service, generation) };
}

/** The message that tells a standby its generation and settings. */
export function standbyMessage(service: ServiceConfig, generation: number): StandbyMessage {
  return { type: "standby", ...whatIsTold(service, generation) };
}

function whatIsTold(service: ServiceConfig, generation: number): Omit<StandbyMessage, "type"> {
  const capturesOutput = service.output.mode === "capture";
  return { generation, settings: settingsOf(service), capturesOutput };
}

/** The settings that are passed to a server. */
function settingsOf(service: ServiceConfig): GrantedSettings {
  const shared = [...service.shared], places = ownPlaces(service);
  // Never as arguments, which every user of the machine can read.
  return service.file === undefined
    ? { shared, own: ownSettings(service), isOfHook: true, places }
    : { shared, own: [...service.settings], places };
}

/** Where the settings were written that only the program itself knows. */
function ownPlaces(
  { origins, sharedOrigins }: ServiceConfig,
): NonNullable<GrantedSettings["places"]> {
  return [...new Map([...sharedOrigins, ...origins])].flatMap(([key, origin]) =>
    settingOf(key) !== undefined || origin === "argument" || origin.line === undefined
      ? []
      : [[readable(key), readable(origin.file), origin.line] as const]
  );
}
