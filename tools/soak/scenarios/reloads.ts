/**
 * Scenarios of reloads that are accepted.
 *
 * @module
 */
import { SEVERAL } from "../amounts.ts";
import { Load } from "../load.ts";
import { type LoadAddress, type LoadTarget, SLOW_LOAD } from "../load_plan.ts";
import { isRefused } from "../../../tests/support/client.ts";
import { eventually } from "../../../tests/support/wait.ts";
import { protocolOf, type ServiceName, SERVICES } from "../installation.ts";
import type { Scenario } from "../scenario.ts";

/** How long a number of requests may take after the rest is done, and a listener to be closed. */
const PATIENCE_MS = 300_000, CLOSE_MS = 60_000;

/** From one reload to the next each target gives so many answers where there are few. */
const SLOW_ANSWERS = 4;

/** Of the listener that is added: so many answers at least. */
const ANSWERS = 20;

/** Reloads in a row. */
export const reload: Scenario = {
  name: "reload",
  processes: SEVERAL,
  describe: ({ reloads, requests }) => `${reloads} reloads, at least ${requests} requests`,
  async act({ installation, load, amounts }) {
    for (let count = 0; count < amounts.reloads; count++) await installation.reload();
    const what = `${amounts.requests} requests`;
    await load.reaches(({ ok }) => ok >= amounts.requests, { what, withinMs: PATIENCE_MS });
  },
};

/** Reloads in a row, with clients that connect and then take their time. */
export const reloadSlow: Scenario = {
  name: "reload-slow",
  describe: ({ slowReloads }) =>
    `${slowReloads} reloads, and clients that ask up to ${SLOW_LOAD.late.ms} ms after they connected`,
  load: SLOW_LOAD,
  async act({ installation, load, amounts }) {
    for (let count = 1; count <= amounts.slowReloads; count++) {
      await installation.reload();
      await load.flows(count * SLOW_ANSWERS);
    }
  },
};

/** A listener that is there from one reload to the next. */
export const listeners: Scenario = {
  name: "listeners",
  describe: ({ listeners }) =>
    `${2 * listeners} reloads, which add a listener and remove it again, in turn`,
  async act({ installation, amounts, counted, fault }) {
    const { site } = installation;
    const clients = new Load(amounts.load);
    for (let count = 0; count < amounts.listeners; count++) {
      const service = SERVICES[count % SERVICES.length];
      const place = count % 2 === 0 ? site.port() : site.socket(`added-${count}`);
      const text = typeof place === "number" ? `127.0.0.1:${place}` : place;
      const target = addedTarget(service, place);
      const services = amounts.changes === "few" ? [service] : SERVICES;
      const reloaded = installation.reload({ added: { service, address: text }, services });
      // It is there before those are ready who will serve it.
      const listens = eventually(async () => !await isRefused(place), {
        what: `${text} to listen`,
        withinMs: CLOSE_MS,
      });
      await Promise.race([listens, reloaded]);
      const askers = clients.ask(target);
      const before = answersOf(clients);
      try {
        await reloaded;
        await eventually(() => answersOf(clients) - before >= ANSWERS, {
          what: `answers from ${text}`,
        });
      } finally {
        await Promise.all([askers.stop(), listens]);
      }
      await installation.reload({ services });
      // The processes that served it may still be ending.
      await eventually(() => isRefused(place), { what: `the end of ${text}`, withinMs: CLOSE_MS })
        .catch((error) => fault(error.message));
    }
    counted(clients.report());
  },
};

function addedTarget(service: ServiceName, place: number | string): LoadTarget {
  const address: LoadAddress = typeof place === "number"
    ? { transport: "tcp", hostname: "127.0.0.1", port: place }
    : { transport: "unix", path: place };
  return { name: `added ${address.transport}`, protocol: protocolOf(service), address };
}

function answersOf(clients: Load): number {
  return clients.report().reduce((sum, { counts }) => sum + counts.ok, 0);
}

/** Many SIGHUPs at once. */
export const burst: Scenario = {
  name: "burst",
  describe: ({ burst }) => `${burst} SIGHUPs at once`,
  settings: () => ({ "server-reload": "always" }),
  async act({ installation, amounts, fault }) {
    const since = installation.log.length;
    installation.writeVersion();
    for (let count = 0; count < amounts.burst; count++) installation.signal("SIGHUP");
    await installation.serves();
    const most = installation.servers().length;
    // Whatever is still waiting comes before, or along with, this one.
    await installation.reload();
    const reloads = [...installation.log.slice(since).matchAll(/\breloaded\b/g)].length;
    if (reloads > 3) fault(`${reloads - 1} reloads for the burst, expected 2 at most`);
    const bound = 3 * installation.processCount;
    if (most > bound) fault(`${most} processes after the burst, expected ${bound} at most`);
  },
};
