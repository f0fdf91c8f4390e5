/**
 * The master as a program that an ordinary user runs, also where root runs the tests. It can't start
 * servers there: such a user can't reach root's Deno.
 *
 * @module
 */
import { masterServerMain } from "../../master.ts";
import { becomeOrdinaryUser } from "./privileges.ts";

becomeOrdinaryUser();
Deno.exit(await masterServerMain());
