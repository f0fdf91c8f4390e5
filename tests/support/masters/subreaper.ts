/**
 * A master to which the orphans among its descendants fall, as all do to process 1.
 *
 * @module
 */
import { masterServerMain } from "../../../master.ts";
import { libc } from "../../../src/os/ffi/libc.ts";

const PR_SET_CHILD_SUBREAPER = 36;

if (libc().prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n) !== 0) {
  throw new Error("Cannot become a subreaper: refused, expected Linux 3.4");
}
Deno.exit(await masterServerMain());
