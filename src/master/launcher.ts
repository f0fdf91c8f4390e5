/**
 * Starting workers: real processes, each by the protocol that its service's program understands.
 *
 * @module
 */
import { launchControlWorker } from "./control_worker.ts";
import { launchDescriptorWorker } from "./descriptor_worker.ts";
import { protocolOf } from "./program.ts";
import type { Launcher, LauncherOptions } from "./worker_process.ts";

/**
 * Makes the launcher of real processes.
 *
 * @param options What it needs.
 */
export function createLauncher(options: LauncherOptions): Launcher {
  return {
    launch(request, listener) {
      const protocol = protocolOf(request.service, options);
      return protocol === "control" || protocol === "inherit"
        ? launchControlWorker(request, listener, { ...options, protocol })
        : launchDescriptorWorker(request, listener, { ...options, protocol });
    },
  };
}
