/**
 * Mistakes in settings, each to be told the same way at the start of a master and at its reload.
 *
 * @module
 */
import { SERVERS, type Site } from "./master.ts";
import { mayUsePrivilegedPorts } from "./privileges.ts";

/** One mistake. */
export interface Fault {
  /** What is wrong. */
  readonly what: string;
  /**
   * Makes it in a site.
   *
   * @param site Where.
   * @returns The problems that are to be told, as `FILE:LINE: KEY: TEXT` without the directory.
   */
  make(site: Site): readonly Expected[];
}

/** A problem that is to be told. */
export interface Expected {
  /** Such as `x.cf:2: server-service`; the place and the key. */
  readonly place: string;
  /** Such as `Cannot listen on "127.0.0.1:80": address in use`. */
  readonly text: string;
}

const COMMAND = SERVERS.coroutine;

/** A file with a good command and one address that is wrong. */
function badAddress(address: string, text: string): Fault["make"] {
  return (site) => {
    site.write("x.cf", { "server-command": COMMAND, "server-service": address });
    return [{ place: "x.cf:2: server-service", text }];
  };
}

/** A good file but for one more setting. */
function badSetting(key: string, value: string, text: string): Fault["make"] {
  return (site) => {
    const service = `127.0.0.1:${site.port()}`;
    site.write("x.cf", { "server-command": COMMAND, "server-service": service, [key]: value });
    return [{ place: `x.cf:3: ${key}`, text }];
  };
}

/** All mistakes that a file can hold. */
export const FAULTS: readonly Fault[] = [
  {
    what: "a misspelt list of addresses",
    make(site) {
      site.write("x.cf", { "server-command": COMMAND, "server-servce": site.socket("misspelt") });
      const text = 'Cannot use as a service "x.cf": no server-service, but "server-servce"';
      return [{ place: "x.cf:2: server-servce", text }];
    },
  },
  {
    what: "no addresses",
    make(site) {
      site.write("x.cf", { "server-command": COMMAND });
      const text = 'Cannot use as a service "x.cf": no server-service';
      return [{ place: "x.cf: server-service", text }];
    },
  },
  {
    what: "a file that can't be read",
    make(site) {
      Deno.symlinkSync("/no/such/file", `${site.conf}/x.cf`);
      return [{ place: "x.cf", text: "Cannot read settings file " }];
    },
  },
  {
    what: "a missing command",
    make(site) {
      site.write("x.cf", { "server-service": site.socket("uncommanded") });
      return [{ place: "x.cf: server-command", text: "Cannot use as a service " }];
    },
  },
  {
    what: "a command that isn't there",
    make(site) {
      site.write("x.cf", {
        "server-command": "/no/such",
        "server-service": site.socket("unfound"),
      });
      return [{ place: "x.cf:1: server-command", text: 'Cannot run "/no/such": no such program' }];
    },
  },
  {
    what: "an address in use",
    make(site) {
      const address = `127.0.0.1:${site.busyPort()}`;
      return badAddress(address, `Cannot listen on "${address}": address in use`)(site);
    },
  },
  {
    what: "an address of another machine",
    make: badAddress("192.0.2.1:2000", 'Cannot listen on "192.0.2.1:2000": not an address of this'),
  },
  ...mayUsePrivilegedPorts() ? [] : [{
    what: "a port that is not allowed",
    make: badAddress("127.0.0.1:1", 'Cannot listen on "127.0.0.1:1": permission denied'),
  }],
  {
    what: "a malformed address",
    make: badAddress("localhost:80", 'Cannot listen on "localhost:80": a host name'),
  },
  {
    what: "port 0",
    make: badAddress("127.0.0.1:0", 'Cannot listen on "127.0.0.1:0": a port out of range'),
  },
  {
    what: "an address that is named twice in a file",
    make: badAddress(
      "127.0.0.1:2000, a://127.0.0.1:2000",
      'Cannot listen on "127.0.0.1:2000": already named in ',
    ),
  },
  {
    what: "an address that is named in two files",
    make(site) {
      const settings = { "server-command": COMMAND, "server-service": site.socket("shared") };
      site.write("x.cf", settings);
      site.write("y.cf", settings);
      const { "server-service": path } = settings;
      return [{
        place: "y.cf:2: server-service",
        text: `Cannot listen on "${path}": already named`,
      }];
    },
  },
  {
    what: "a count that is no number",
    make: badSetting("server-proc-count", "many", 'Cannot read "many": '),
  },
  {
    what: "a negative count",
    make: badSetting("server-proc-count", "-1", 'Cannot read "-1": below 0'),
  },
  {
    what: "a time that is none",
    make: badSetting("server-stop-on-softstop-after", "soon", 'Cannot read "soon": '),
  },
  {
    what: "a unix path over 107 bytes",
    make: badAddress(
      `/${"x".repeat(107)}`,
      `Cannot listen on "/${"x".repeat(107)}": a path of 108`,
    ),
  },
  {
    what: "the path of a plain file",
    make(site) {
      const path = site.dir.write("file", "precious");
      return badAddress(path, `Cannot listen on "${path}": found a file of another kind`)(site);
    },
  },
  {
    what: "the path of a socket that another program serves",
    make(site) {
      const path = site.busySocket();
      return badAddress(path, `Cannot listen on "${path}": address in use`)(site);
    },
  },
  {
    what: "a shared setting of the master that can't be read",
    make(site) {
      site.write("all.gcf", { "master-stop-timeout": "soon" });
      return [{ place: "all.gcf:1: master-stop-timeout", text: 'Cannot read "soon": ' }];
    },
  },
  {
    what: "several mistakes in several files",
    make(site) {
      const busy = `127.0.0.1:${site.busyPort()}`;
      site.write("x.cf", {
        "server-command": "/no/such",
        "server-service": "localhost:80",
        "server-proc-count": "many",
      });
      site.write("y.cf", { "server-command": COMMAND, "server-service": busy });
      return [
        { place: "x.cf:1: server-command", text: 'Cannot run "/no/such": no such program' },
        { place: "x.cf:2: server-service", text: 'Cannot listen on "localhost:80": a host name' },
        { place: "x.cf:3: server-proc-count", text: 'Cannot read "many": ' },
        { place: "y.cf:2: server-service", text: `Cannot listen on "${busy}": address in use` },
      ];
    },
  },
];
