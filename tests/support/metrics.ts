/**
 * A master with the service `metrics`, for tests.
 *
 * @module
 */
import { type Master, type MasterOptions, Site } from "./master.ts";
import { eventually } from "./wait.ts";

const PROGRAM = new URL("../../src/metrics/main.ts", import.meta.url).pathname;

/** What the service may do: only what it needs; or everything, which makes it serve by the runtime's own server. */
export type Confinement = "its own permissions" | "all permissions";

/** A {@linkcode Site} whose master has the service `metrics`. */
export class MetricsSite extends Site {
  /** Where it listens. */
  readonly metricsPort: number = this.port();

  constructor(readonly confinement: Confinement = "its own permissions") {
    super();
  }

  override start({ args = [], ...options }: MasterOptions = {}): Promise<Master> {
    const address = `127.0.0.1:${this.metricsPort}`, socket = `${this.pidFile}.status.sock`;
    if (this.confinement === "its own permissions") {
      return super.start({ ...options, args: [...args, "-metrics", address] });
    }
    this.write("metrics.cf", {
      "server-command": `${PROGRAM} ${socket}`,
      "server-service": `http://${address}`,
      "server-reload": "changed",
    });
    return super.start({ ...options, args: [...args, "-master-status", socket] });
  }

  /** The address of the page, as soon as it is served. */
  async url(): Promise<string> {
    const url = `http://127.0.0.1:${this.metricsPort}/`;
    await eventually(async () => (await this.ask("live"))[0] === 200, {
      what: "the metrics service",
    });
    return url;
  }

  /**
   * Asks the service.
   *
   * @param path The path, without the slash.
   */
  async ask(path: string): Promise<readonly [status: number, text: string]> {
    const response = await fetch(`http://127.0.0.1:${this.metricsPort}/${path}`);
    return [response.status, await response.text()];
  }
}
