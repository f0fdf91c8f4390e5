/**
 * A master in a program that just comes to its end after it, without a call of `Deno.exit`.
 *
 * @module
 */
import { masterServerMain } from "../../../master.ts";

console.error(`the master has ended with ${await masterServerMain()}`);
