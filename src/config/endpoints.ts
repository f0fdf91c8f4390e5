/**
 * The addresses of a service: conversion of `server-service` to endpoints, and checks of them.
 *
 * Pure: nothing is opened, bound or started, and no path is looked at.
 *
 * @module
 */

import {
  addressSlips,
  type AddressSource,
  type Endpoint,
  isAnyAddress,
  parseAddress,
} from "./address.ts";
import { type Config, settingOrigin } from "./config.ts";
import {
  cannot,
  formatPlace,
  type Problem,
  problemAt,
  quote,
  refusal,
  warningAt,
} from "./errors.ts";
import { endsInComment } from "./setting.ts";
import { readSetting, SERVER_SERVICE } from "./settings.ts";

/** The addresses of a service. */
interface HasEndpoints {
  readonly endpoints: readonly Endpoint[];
}

/**
 * The keys of a service's addresses, in their order.
 *
 * @param service The service.
 */
export function keysOf({ endpoints }: HasEndpoints): string[] {
  return endpoints.map(({ key }) => key);
}

/** Where a list of addresses comes from. */
type ListSource = Pick<AddressSource, "cwd" | "setting">;

/** A parsed `server-service`. */
export interface EndpointList {
  /** The valid addresses. */
  readonly endpoints: readonly Endpoint[];
  /** The problems of the others. */
  readonly problems: readonly Problem[];
}

/**
 * Reads a `server-service`: `[name://]address`, parted by any of `;`, `,`, tab and space.
 *
 * An address that is named twice isn't looked for; that is for {@linkcode validateServices}.
 *
 * @param config The settings.
 * @param source Where it comes from.
 * @returns The addresses, none where the setting is missing or empty, and what is wrong.
 */
export function readServiceList(
  config: Config,
  source: ListSource,
): EndpointList {
  const key = settingOfAddress(source);
  const list = readSetting(config, SERVER_SERVICE);
  if (!list.ok) return { endpoints: [], problems: [list.problem] };
  if (list.value === undefined) return { endpoints: [], problems: [] };
  const origin = settingOrigin(config, SERVER_SERVICE.name);
  const endpoints: Endpoint[] = [];
  const problems: Problem[] = [];
  const items = list.value.split(/[;, \t]+/).filter((item) => item !== "");
  if (items.length === 0) {
    const about = { found: "no address", expected: SERVER_SERVICE.kind.expected };
    problems.push(problemAt(origin, { key, message: cannot("read", list.value, about) }));
  }
  for (const item of items) {
    try {
      endpoints.push(parseItem(item, { ...source, origin }));
    } catch (error) {
      problems.push(problemAt(origin, { key, message: refusal(error) }));
    }
  }
  return { endpoints, problems };
}

/**
 * Finds addresses that are read as socket files, as in LIB-ZC, and look like a host or a port.
 *
 * @param config The settings.
 * @param endpoints The addresses that {@linkcode readServiceList} has read in them.
 * @param source Where the list comes from.
 * @returns One warning for all of them, if there are any.
 */
export function checkAddresses(
  config: Config,
  endpoints: readonly Endpoint[],
  source: Pick<ListSource, "setting"> = {},
): Problem[] {
  const { name } = SERVER_SERVICE;
  // A comment after the list is reported as such.
  if (endsInComment(config.getStr(name))) return [];
  const { slips, meant } = addressSlips(endpoints.map(({ text }) => text));
  if (slips.length === 0) return [];
  const files = slips.map((address) => `./${address}`).join(" ");
  const message = cannot("take for host:port", slips.join(" "), {
    found: `no colon in ${
      slips.length === 1 ? "it, so it is a socket file" : "these, so each is a socket file"
    }`,
    expected: `${meant.join(" ")}, or ${files} if that is meant`,
  });
  const key = settingOfAddress(source);
  return [warningAt(settingOrigin(config, name), { key, message })];
}

/**
 * Finds duplicate addresses, and one address and all addresses (`0.0.0.0` or `[::]`) with the same port, within one
 * service or in two.
 *
 * @param services All services of a configuration, from files or from a hook.
 * @returns A problem for each later one, with the place of the first one.
 */
export function validateServices(
  services: readonly HasEndpoints[],
): Problem[] {
  const problems: Problem[] = [];
  const firsts = new Map<string, Endpoint[]>();
  for (const named of services.flatMap((service) => service.endpoints)) {
    const place = placeOf(named), port = portOf(named), others = firsts.get(port) ?? [];
    const same = others.find((other) => placeOf(other) === place);
    if (same === undefined) firsts.set(port, [...others, named]);
    const rival = same ?? overlapping(named, others);
    if (rival === undefined) continue;
    const where = typeof rival.origin === "object" ? ` in ${formatPlace(rival.origin)}` : "";
    const text = quote(rival.text);
    const message = cannot(
      "listen on",
      named.text,
      same === undefined
        ? { found: `the port of ${text}${where}, which overlaps`, expected: "one of the two" }
        : { found: `already named${where} as ${text}`, expected: "each address once" },
    );
    problems.push(problemAt(named.origin, { key: settingOfAddress(named), message }));
  }
  return problems;
}

/** The first of other addresses with the same port that includes this one, or that this one includes. */
function overlapping(endpoint: Endpoint, others: readonly Endpoint[]): Endpoint | undefined {
  return isAnyAddress(endpoint) ? others[0] : others.find(isAnyAddress);
}

/** The port of an address among those of its kind of IP; each path is one of its own. */
function portOf(endpoint: Endpoint): string {
  if (endpoint.kind !== "inet") return placeOf(endpoint);
  return `${endpoint.hostname.includes(":") ? "IPv6" : "IPv4"} ${endpoint.port}`;
}

/** The setting that names an address, for messages. */
export function settingOfAddress(
  { setting = SERVER_SERVICE.name }: Pick<AddressSource, "setting">,
): string {
  return setting;
}

/** Reads one `[name://]address` of a list. */
function parseItem(item: string, source: AddressSource): Endpoint {
  const mark = item.indexOf("://");
  const service = item.slice(0, Math.max(mark, 0));
  if (service.includes(":")) {
    // The name travels to the server as `name:i5`, where a colon of its own would end it.
    const about = { found: "a colon in it", expected: "a name without one" };
    throw new TypeError(cannot("name a service", service, about));
  }
  return parseAddress(mark < 0 ? item : item.slice(mark + 3), { ...source, service });
}

/** The key without its kind, since two kinds of endpoint can't share a path. */
function placeOf({ kind, key }: Endpoint): string {
  return kind === "inet" ? key : key.slice(kind.length + 1);
}
