/**
 * The value of `-server-service` under a master (LIB-ZC section 5): names, types and descriptor numbers of a
 * server's listeners.
 *
 * @module
 */
import { cannot } from "../config/errors.ts";
import type { FdType } from "../os/net/socket.ts";
import type { ServiceSocket } from "./service_socket.ts";

/** LIB-ZC's fixed descriptors: the master's status, the child's status, the first listener. */
export const MASTER_STATUS_FD = 3, CHILD_STATUS_FD = 4, FIRST_LISTENER_FD = 5;

/** The first descriptor of socket activation (sd_listen_fds(3)). */
export const LISTEN_FDS_START = 3;

const LETTERS: Readonly<Record<FdType, string>> = { inet: "i", unix: "u", fifo: "f" };
const TYPES: Readonly<Record<string, FdType>> = { i: "inet", u: "unix", f: "fifo" };

/**
 * Formats a list, such as `:i5,ssl:i6,:u7`; the descriptors are numbered from {@linkcode FIRST_LISTENER_FD} on.
 *
 * @param services Name and type of each listener, in order.
 */
export function formatServiceList(
  services: readonly Pick<ServiceSocket, "name" | "type">[],
): string {
  return services.map(({ name, type }, index) =>
    `${name}:${LETTERS[type]}${FIRST_LISTENER_FD + index}`
  ).join(",");
}

/**
 * Parses a list.
 *
 * @param text Such as `:i5,ssl:i6,:u7`; as in LIB-ZC, an entry may have no colon.
 * @returns The listeners; none for an empty text.
 * @throws {TypeError} When an entry has another form.
 */
export function parseServiceList(text: string): ServiceSocket[] {
  return text.split(",").filter((entry) => entry !== "").map((entry) => {
    const [, name = "", letter, number] = /^(?:([^:]*):)?([iuf])([0-9]{1,7})$/.exec(entry) ?? [];
    const fd = Number(number);
    if (letter === undefined || fd < FIRST_LISTENER_FD) {
      throw new TypeError(cannot("read the service", entry, {
        found: "another form",
        expected: `NAME:Tn with T one of i, u, f and n from ${FIRST_LISTENER_FD} on`,
      }));
    }
    return { name, type: TYPES[letter], fd };
  });
}
