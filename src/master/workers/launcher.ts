/**
 * Launches workers as real processes, each by the protocol of its service's program.
 *
 * @module
 */
import { cannot } from "../../config/errors.ts";
import { launchControlWorker } from "./control.ts";
import { launchDescriptorWorker } from "./fixed_fds.ts";
import type { Launcher, LauncherOptions } from "./worker.ts";

const STANDBY_PROTOCOL = "a server of this framework that can be handed descriptors";

/** Creates the launcher of real processes. */
export function createLauncher(options: LauncherOptions): Launcher {
  return {
    launch(request, listener) {
      const { protocol } = request.service;
      if (request.isStandby && protocol !== "control") {
        const about = { found: `the ${protocol} protocol`, expected: STANDBY_PROTOCOL };
        throw new TypeError(cannot("keep a standby of", request.service.id, about));
      }
      return protocol === "control" || protocol === "inherit"
        ? launchControlWorker(request, listener, options)
        : launchDescriptorWorker(request, listener, options);
    },
  };
}
